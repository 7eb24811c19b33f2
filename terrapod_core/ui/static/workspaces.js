// Renews the list of workspaces, or the page of one, when something happens to what it shows.
"use strict";

const REST = 1000; // milliseconds between two looks, however much happens
const shown = document.querySelector("[data-renewed]");
let due = 0;

async function renew() {
  due = 0;
  const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") location.reload(); // signed out meanwhile
  if (!answer.ok) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(shown.id);
  // Somebody who is about to click, or writes, keeps what they see until they are done.
  const busy = shown.querySelector(":focus") || [...shown.querySelectorAll("input:not([type=hidden])")].some((field) => field.value);
  if (now && now.innerHTML !== shown.innerHTML && !busy) shown.replaceChildren(...now.childNodes);
}

const soon = () => {
  due ||= setTimeout(() => renew().catch(console.warn), REST);
};

watch(() => shown.dataset.stream, Object.fromEntries(CHANGES.map((name) => [name, soon])), soon);
