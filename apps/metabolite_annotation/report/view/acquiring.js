// The dataset grows: this page is loaded again when there may be more to show. What is shown
// stays in the address, annotations by their names.

const LEAST_S = 20; // between two loads
const IDLE_S = 5; // without a hand on the page before one

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

const dueMs = Date.parse(find("acquiring").dataset.due) - Date.now();
setTimeout(loadIfIdle, Math.max(1000 * LEAST_S, dueMs || 0));
