// Follows a run: reads its logs piece by piece and renews the part of the page that says where it is.
// Everything a run printed is put in as text, never as markup.
"use strict";

const SLOW = 2000; // milliseconds between looks
const MOST = 4 * 1024 * 1024; // bytes of a log that the page shows; the rest is in the whole log
const progress = document.getElementById("progress");

const isFinal = () => progress.querySelector("[data-final=yes]") !== null;
const pause = (time) => new Promise((resume) => setTimeout(resume, time));

async function get(url) {
  const answer = await fetch(url, { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect" || answer.status === 401) {
    location.reload(); // signed out meanwhile
  }
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer;
}

class Terminal {
  constructor(place) {
    this.place = place;
    this.style = new Set();
    this.rest = "";
  }

  write(text) {
    const follow = this.place.scrollTop + this.place.clientHeight >= this.place.scrollHeight - 40;
    text = this.rest + text;
    this.rest = "";
    const open = text.lastIndexOf("\x1b");
    if (open >= 0 && text.length - open < 64 && !/^\x1b(\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])/.test(text.slice(open))) {
      this.rest = text.slice(open); // a sequence that goes on in the next piece
      text = text.slice(0, open);
    }
    for (const part of text.split(/(\x1b\[[0-?]*[ -\/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?)/)) {
      if (part.startsWith("\x1b[") && part.endsWith("m")) this.colour(part.slice(2, -1));
      else if (!part.startsWith("\x1b")) this.print(part);
    }
    if (follow) this.place.scrollTop = this.place.scrollHeight;
  }

  print(text) {
    text = text.replace(/\r\n/g, "\n").replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "");
    if (!text) return;
    const span = document.createElement("span");
    span.className = [...this.style].join(" ");
    span.textContent = text;
    this.place.append(span);
  }

  colour(codes) {
    const names = { 1: "bold", 2: "dim", 3: "italic", 4: "underline" };
    for (const code of codes.split(";").map(Number)) {
      if (code === 0) this.style.clear();
      else if (names[code]) this.style.add(names[code]);
      else if (code === 22) ["bold", "dim"].forEach((name) => this.style.delete(name));
      else if (code === 23) this.style.delete("italic");
      else if (code === 24) this.style.delete("underline");
      else if ((code >= 30 && code <= 39) || (code >= 90 && code <= 97)) {
        for (let colour = 0; colour < 8; colour++) this.style.delete(`c${colour}`);
        if (code !== 38 && code !== 39) this.style.add(`c${code % 10}`);
      }
    }
  }
}

async function followLog(place) {
  const terminal = new Terminal(place);
  const decoder = new TextDecoder();
  let offset = 0;
  while (offset < MOST) {
    let piece = new Uint8Array(0);
    const ended = isFinal();
    try {
      piece = new Uint8Array(await (await get(`${place.dataset.log}?offset=${offset}`)).arrayBuffer());
    } catch (problem) {
      console.warn(problem);
    }
    offset += piece.length;
    terminal.write(decoder.decode(piece, { stream: true }));
    if (piece.length > 0 && piece[piece.length - 1] === 3) return; // ETX: the end of the log
    if (piece.length === 0) {
      if (ended) return;
      await pause(SLOW);
    }
  }
  terminal.write("\n… the rest is in the whole log.\n");
}

async function followProgress() {
  let shown = null;
  while (!isFinal()) {
    await pause(SLOW);
    try {
      const now = await (await get(progress.dataset.url)).text();
      // Somebody who writes a comment, or is about to click, keeps what they see until they are done.
      if (now !== shown && !progress.querySelector("input[name=comment]:focus, button:focus")) {
        const comment = progress.querySelector("input[name=comment]")?.value ?? "";
        const page = new DOMParser().parseFromString(now, "text/html");
        progress.replaceChildren(...page.body.childNodes);
        const field = progress.querySelector("input[name=comment]");
        if (field) field.value = comment;
        shown = now;
      }
    } catch (problem) {
      console.warn(problem);
    }
  }
}

document.querySelectorAll("[data-log]").forEach(followLog);
followProgress();
