// What is shown: strings by name. The fragment of the address remembers all that differs from
// DEFAULTS, and is followed when it changes (back, forward, pasted).
// Public: DEFAULTS, state, watch, setState.

const DEFAULTS = {
  search: "", fdr: "0.1", database: "", adduct: "", loss: "", modification: "", mz: "", msm: "",
  molecule: "", formula: "", sort: "", down: "", view: "table", wide: "", ion: "",
  map: "viridis", scale: "linear", low: "0", high: "1", hot: "0.99", opacity: "0.6", zoom: "",
  overlay: "", red: "", green: "", blue: "", redmax: "1", greenmax: "1", bluemax: "1",
  optical: "1", place: "", regions: "", spectrum: "",
};
const state = {...DEFAULTS, ...readFragment()};
const watchers = [];

// What the fragment says, but for an annotation that there is not.
function readFragment() {
  const found = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!/^\d+$/.test(found.ion) || Number(found.ion) >= total) delete found.ion;
  return found;
}

// Call back after any of some parts of the state has changed.
function watch(names, callback) {
  watchers.push({names, callback});
}

function setState(changes) {
  applyState(changes);
  remember();
}

function applyState(changes) {
  const changed = Object.keys(changes).filter(name => state[name] !== changes[name]);
  Object.assign(state, changes);
  for (const {names, callback} of watchers) {
    if (names.some(name => changed.includes(name))) callback();
  }
}

// A change begins an entry of the history; those that follow at once, as letters are typed or
// a slider is drawn, belong to it, and only where they end is written.
let settling = 0;
function remember() {
  if (!settling) writeFragment("pushState");
  clearTimeout(settling);
  settling = setTimeout(() => {
    settling = 0;
    writeFragment("replaceState");
  }, 400);
}

function writeFragment(how) {
  const kept = Object.entries(state).filter(([name, value]) => value !== (DEFAULTS[name] ?? ""));
  const fragment = "#" + new URLSearchParams(kept);
  if (fragment !== (location.hash || "#")) history[how](null, "", fragment);
}

// A fragment without an annotation keeps the one that is chosen.
addEventListener("hashchange", () => {
  const unset = Object.fromEntries(Object.keys(state).map(name => [name, DEFAULTS[name] ?? ""]));
  applyState({...unset, ion: state.ion, ...readFragment()});
});
