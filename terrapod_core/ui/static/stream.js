// Keeps one stream open while the page is looked at: a browser allows few connections to one server, and a hidden page needs none.
"use strict";

const AGAIN = 2000; // milliseconds until a stream that ended is opened again

// `url()` says where; `events` has what to do by an event's name; `missed()` is called when something may have gone by unheard.
// What is returned ends it for good.
function watch(url, events, missed) {
  let source = null;
  let timer = 0;
  let over = false;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    if (over || document.hidden || source) return;
    source = new EventSource(url());
    for (const [name, act] of Object.entries(events)) source.addEventListener(name, act);
    source.addEventListener("error", () => {
      close(); // the browser would come back to the same address, and we know more by now
      missed();
      timer = setTimeout(open, AGAIN);
    });
  };
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden && !over) {
      missed();
      open();
    }
  });
  open();
  return () => {
    over = true;
    close();
  };
}

const CHANGES = ["run.created", "run.status", "state-version.created", "workspace.locked", "workspace.unlocked", "workspace.deleted", "reset"];
