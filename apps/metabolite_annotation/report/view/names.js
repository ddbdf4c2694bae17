// Annotations that the address names. As a result grows they get other numbers: its page is
// loaded again with their names, and this one finds the numbers, before the address is read.
// Public: NUMBERED, nameOf.

const NUMBERED = ["ion", "red", "green", "blue"]; // of what the address keeps

const nameOf = n => ["formula", "adduct", "database"].map(name => columns[name][n]).join("|");

function findNamed() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const wanted = NUMBERED.filter(name => fragment.has(`${name}-named`));
  if (!wanted.length) return;
  const names = Array.from({length: total}, (_, n) => nameOf(n));
  const isOverlay = fragment.get("overlay") === fragment.get("ion");
  for (const name of wanted) {
    const n = names.indexOf(fragment.get(`${name}-named`));
    fragment.delete(`${name}-named`);
    if (n < 0) fragment.delete(name);
    else fragment.set(name, n);
  }
  if (isOverlay && fragment.has("ion")) fragment.set("overlay", fragment.get("ion"));
  else fragment.delete("overlay");
  history.replaceState(null, "", `#${fragment}`);
}

findNamed();
