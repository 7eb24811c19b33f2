// Renews the list of workspaces when something happens to one of them.
"use strict";

const REST = 1000; // milliseconds between two looks, however much happens
const list = document.getElementById("workspaces");
let due = 0;

async function renew() {
  due = 0;
  const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") location.reload(); // signed out meanwhile
  if (!answer.ok) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("workspaces");
  if (now && now.innerHTML !== list.innerHTML && !list.querySelector("a:focus")) list.replaceChildren(...now.childNodes);
}

const soon = () => {
  due ||= setTimeout(() => renew().catch(console.warn), REST);
};

watch(() => list.dataset.stream, Object.fromEntries(CHANGES.map((name) => [name, soon])), soon);
