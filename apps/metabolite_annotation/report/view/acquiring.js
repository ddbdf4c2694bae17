// The dataset grows: this page is loaded again when there may be more to show. What is shown
// stays in the address; annotations have other numbers then, so they are kept by their names.

const NUMBERED = ["ion", "red", "green", "blue"]; // of what the address keeps
const LEAST_S = 20; // between two loads
const IDLE_S = 5; // without a hand on the page before one

const nameOf = n => ["formula", "adduct", "database"].map(name => columns[name][n]).join("|");

// Give the annotations that the address names their numbers on this page, before it is read.
function findNamed() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const names = Array.from({length: total}, (_, n) => nameOf(n));
  for (const name of NUMBERED) {
    const wanted = fragment.get(`${name}-named`), n = names.indexOf(wanted);
    if (wanted === null) continue;
    fragment.delete(`${name}-named`);
    if (n < 0) fragment.delete(name);
    else fragment.set(name, n);
    if (name === "ion" && fragment.has("overlay")) fragment.set("overlay", n < 0 ? "" : n);
  }
  history.replaceState(null, "", `#${fragment}`);
}

function loadAgain() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (total) fragment.set("ion", state.ion);
  for (const name of NUMBERED) {
    const n = fragment.get(name);
    if (n !== null && n !== "") fragment.set(`${name}-named`, nameOf(Number(n)));
  }
  history.replaceState(null, "", `#${fragment}`);
  location.reload();
}

let touched = 0;
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
  addEventListener(kind, () => { touched = performance.now(); }, {passive: true});
}

// Not while nobody looks, nor in somebody's hands.
function loadIfIdle() {
  const isIdle = performance.now() - touched > 1000 * IDLE_S;
  if (isIdle && !document.hidden) loadAgain();
  else setTimeout(loadIfIdle, 1000);
}

findNamed();
const dueMs = Date.parse(find("acquiring").dataset.due) - Date.now();
setTimeout(loadIfIdle, Math.max(1000 * LEAST_S, dueMs || 0));
