// The molecules that an annotation may be, and pages about them elsewhere, opened by a click.
// Public: makeMolecules.

const MOLECULES_AT_ONCE = 8;
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

// Return the ids of each name; where names and ids do not belong together, each on its own.
function groupMolecules(n) {
  const names = columns.names[n], ids = columns.ids[n], found = new Map();
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

function makeMolecules(n) {
  const found = groupMolecules(n).map(makeMolecule), more = found.splice(MOLECULES_AT_ONCE);
  const rest = more.length ? [make("details", {}, make("summary", {}, `${more.length} more`),
    make("ul", {}, ...more))] : [];
  const all = found.length + more.length;
  const intro = all > 1 && `${all} candidates of this formula: m/z alone cannot tell them apart.`;
  return makePart("molecules-part", all > 1 ? "Molecules" : "Molecule", intro,
    make("ul", {}, ...found), ...rest);
}
