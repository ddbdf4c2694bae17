// The molecules that an annotation may be, and pages about them elsewhere, opened by a click.
// Public: makeMolecules.

const MOLECULES_AT_ONCE = 8;
const MOST_TEXTS = 100; // as in columns.py
const SITES = [
  [/^HMDB\d+$/, "HMDB", id => `https://hmdb.ca/metabolites/${id}`],
  [/^CHEBI:\d+$/, "ChEBI", id => `https://www.ebi.ac.uk/chebi/searchId.do?chebiId=${id}`],
  [/^LM[A-Z]{2}\w+$/, "LIPID MAPS", id => `https://www.lipidmaps.org/databases/lmsd/${id}`],
  [/^SLM:\d+$/, "SwissLipids", id => `https://www.swisslipids.org/#/entity/${id}/`],
  [/^CID:?\d+$/, "PubChem",
    id => `https://pubchem.ncbi.nlm.nih.gov/compound/${id.replace(/\D/g, "")}`],
];

function makeLink(id) {
  const site = SITES.find(([pattern]) => pattern.test(id));
  if (!site) return id;
  return make("a", {href: site[2](id), target: "_blank", rel: "noopener noreferrer",
    title: `${id} in ${site[1]}, on the internet`}, id);
}

// Return the texts of a list, and how many more there are that the page does not have.
function splitTexts(texts) {
  const more = texts.length > MOST_TEXTS && texts.at(-1).match(/^and ([\d,]+) more$/);
  return more ? [texts.slice(0, -1), Number(more[1].replaceAll(",", ""))] : [texts, 0];
}

// Return the ids of each name; where names and ids do not belong together, each on its own.
function groupMolecules(n) {
  const [names] = splitTexts(columns.names[n]), [ids] = splitTexts(columns.ids[n]);
  const found = new Map();
  const pairs = names.length === ids.length ? names.map((name, k) => [name, ids[k]])
    : [...names.map(name => [name]), ...ids.map(id => [id, id])];
  for (const [name, id] of pairs) {
    if (!found.has(name)) found.set(name, []);
    if (id !== undefined && !found.get(name).includes(id)) found.get(name).push(id);
  }
  return [...found];
}

function makeMolecule([name, ids]) {
  const links = ids.flatMap(id => [" ", makeLink(id)]);
  return make("li", {}, ...(ids.length === 1 && ids[0] === name ? [] : [name]),
    make("small", {}, ...links));
}

// Return the names of an annotation, or its ids where it has none, and how many there are.
function countMolecules(n) {
  const texts = columns.names[n].length ? columns.names[n] : columns.ids[n];
  const [kept, more] = splitTexts(texts), names = [...new Set(kept)];
  return [names, names.length + more];
}

function makeMolecules(n) {
  const found = groupMolecules(n).map(makeMolecule), more = found.splice(MOLECULES_AT_ONCE);
  const [, all] = countMolecules(n), absent = all - found.length - more.length;
  if (absent > 0) more.push(make("li", {}, `and ${sayCount(absent)} more, in annotations.tsv`));
  const rest = more.length ? [make("details", {},
    make("summary", {}, `${sayCount(all - found.length)} more`), make("ul", {}, ...more))] : [];
  const intro = all > 1
    && `${sayCount(all)} candidates of this formula: m/z alone cannot tell them apart.`;
  return makePart("molecules-part", all > 1 ? "Molecules" : "Molecule", intro,
    make("ul", {}, ...found), ...rest);
}
