// What is shown; the fragment of the address remembers it.

const DEFAULTS = {search: "", fdr: "0.1", database: "", sort: "", down: "", ion: ""};
const state = {...DEFAULTS, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1)))};
const watchers = [];

// Call back after any of some parts of the state has changed.
function watch(names, callback) {
  watchers.push({names, callback});
}

function setState(changes) {
  const changed = Object.keys(changes).filter(name => state[name] !== changes[name]);
  Object.assign(state, changes);
  remember();
  for (const {names, callback} of watchers) {
    if (names.some(name => changed.includes(name))) callback();
  }
}

function remember() {
  const kept = Object.entries(state).filter(([name, value]) => value !== (DEFAULTS[name] ?? ""));
  history.replaceState(null, "", "#" + new URLSearchParams(kept));
}
