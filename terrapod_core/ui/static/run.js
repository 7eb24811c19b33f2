// Follows a run: its logs come on a stream, and so does the news that renews the part of the page that says where it is.
// When the stream fails, the page looks by itself until there is one again.
// Everything a run printed is put in as text, never as markup.
"use strict";

const SLOW = 15000; // milliseconds between looks at what no news is told of: a cancel by force is offered after a while
const MOST = 4 * 1024 * 1024; // bytes of a log that the page shows; the rest is in the whole log
const progress = document.getElementById("progress");

const isFinal = () => progress.querySelector("[data-final=yes]") !== null;

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

class Log {
  constructor(place) {
    this.url = place.dataset.log;
    this.phase = this.url.split("/").pop();
    this.terminal = new Terminal(place);
    this.offset = 0; // bytes of it that are shown
    this.isWhole = false;
  }

  show(from, text, next) {
    if (from !== this.offset || this.isWhole) return; // shown already
    this.terminal.write(text);
    this.offset = next;
    if (next >= MOST) {
      this.terminal.write("\n… the rest is in the whole log.\n");
      this.isWhole = true;
    }
  }

  async look() {
    if (this.isWhole) return;
    const from = this.offset;
    const answer = await get(`${this.url}?offset=${from}`);
    const [text, next] = [await answer.text(), Number(answer.headers.get("Log-Next-Offset"))];
    this.show(from, text, next);
    this.isWhole ||= text.endsWith("\x03") && this.offset === next; // ETX
  }
}

let shown = null;

async function followProgress() {
  const now = await (await get(progress.dataset.url)).text();
  // Somebody who writes a comment, or is about to click, keeps what they see until they are done.
  if (now === shown || progress.querySelector("input[name=comment]:focus, button:focus")) return;
  const comment = progress.querySelector("input[name=comment]")?.value ?? "";
  const [folded, scrolled] = [progress.querySelector("details.history")?.open === false, progress.querySelector("details.history ol")?.scrollTop ?? 0];
  const page = new DOMParser().parseFromString(now, "text/html");
  progress.replaceChildren(...page.body.childNodes);
  const history = progress.querySelector("details.history");
  if (history) {
    history.open = !folded;
    history.querySelector("ol").scrollTop = scrolled;
  }
  countDown();
  const field = progress.querySelector("input[name=comment]");
  if (field) field.value = comment;
  shown = now;
}

// Says how long it is until a run can be cancelled by force, and has it offered then.
let counting = 0;
function countDown() {
  clearInterval(counting);
  const place = progress.querySelector("[data-left]");
  if (!place) return;
  const due = performance.now() + 1000 * Number(place.dataset.left);
  const tell = () => {
    const left = Math.ceil((due - performance.now()) / 1000);
    place.textContent = left > 0 ? `, in ${left} s` : "";
    if (left > 0) return;
    clearInterval(counting);
    setTimeout(() => followProgress().catch(console.warn), 1000);
  };
  tell();
  counting = setInterval(tell, 1000);
}
countDown();

const logs = [...document.querySelectorAll("[data-log]")].map((place) => new Log(place));
const unfinished = () => logs.filter((log) => !log.isWhole);

const look = () => Promise.all([...unfinished().map((log) => log.look()), followProgress()]).catch(console.warn).finally(endWhenDone);

const stop = watch(
  () => `${progress.dataset.stream}?${new URLSearchParams(unfinished().map((log) => [log.phase, log.offset]))}`,
  {
    ...Object.fromEntries(CHANGES.map((name) => [name, () => followProgress().catch(console.warn).finally(endWhenDone)])),
    log: (event) => {
      const piece = JSON.parse(event.data);
      logs.find((log) => log.phase === piece.phase)?.show(piece.offset, piece.text, Number(event.lastEventId));
    },
    end: (event) => {
      const phase = JSON.parse(event.data).phase;
      logs.filter((log) => log.phase === phase).forEach((log) => (log.isWhole = true));
      endWhenDone();
    },
  },
  look,
);
const slowly = setInterval(() => document.hidden || followProgress().catch(console.warn).finally(endWhenDone), SLOW);

function endWhenDone() {
  if (!isFinal() || unfinished().length > 0) return;
  clearInterval(slowly);
  stop();
}
