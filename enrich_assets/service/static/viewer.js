"use strict";
// Fills the parts of a page that are read later, and keeps what works on the page up to date. All of it is made and
// escaped by the viewer; without scripts the pages say how to see the same.

for (const part of document.querySelectorAll("[data-part]")) {
  fetch(part.dataset.part).then(async (answer) => {
    if (answer.ok) part.innerHTML = await answer.text();
  }).catch(() => {});
}

const live = document.querySelector("[data-live]");
const SECONDS = 2;

async function follow() {
  try {
    if (!document.hidden) {
      const answer = await fetch(live.dataset.live);
      if (answer.ok) live.innerHTML = await answer.text();
      if (answer.headers.get("x-live") === "no") return location.reload();
    }
  } catch {
    // The viewer may have been ended; the next try tells.
  }
  setTimeout(follow, SECONDS * 1000);
}

if (live) setTimeout(follow, SECONDS * 1000);
