// Annotations beside one: isomers, isobars, those of the same image, and those of like images.
// Public: makeRelated, makeColocalised.

const hasDatabases = new Set(columns.database).size > 1;

const sayRow = n => [make("span", {className: "name"}, ...writeAnnotation(n)),
  make("small", {}, `MSM ${fixed(3)(columns.msm[n])}, FDR ${sayRate(n)}`
    + (hasDatabases ? `, ${columns.database[n]}` : ""))];

// Return what chooses an annotation, or its name where the page does not list it.
function makeRelative(name, n) {
  return make("li", {}, n === null ? name : makeChoice(n, "link", ...sayRow(n)));
}

function makeRelatives(title, intro, pairs) {
  if (!pairs.length) return [];
  return [makePart("related", title, intro,
    make("ul", {}, ...pairs.map(([name, n]) => makeRelative(name, n))))];
}

function listNamed(name, rows, n) {
  const others = columns[name][n].split(";").map(text => text.trim()).filter(Boolean);
  return others.map((text, k) => [text, columns[rows][n][k] ?? null]);
}

function makeRelated(n) {
  return [
    ...makeRelatives("Isomers", "Other annotations with the same ion formula, and so the same m/z.",
      listNamed("isomers", "isomer_rows", n)),
    ...makeRelatives("Isobars", "Other annotated ions near in m/z, which may share the signal.",
      listNamed("isobars", "isobar_rows", n)),
    ...makeRelatives("Same image", "Annotations whose first image is this one.",
      sameImage(n).filter(m => m !== n).map(m => ["", m])),
  ];
}

function makeNeighbour(ion, cosine) {
  const n = rowOfIon(ion);
  const image = hasPicture(n) ? paintLater(ion) : make("span", {className: "absent"}, "no image");
  const choice = makeChoice(n, "tile", image, make("b", {}, ...writeFormula(columns.formula[n])),
    make("span", {}, `${adduct(n)} · ${fixed(2)(cosine)}`),
    make("span", {}, columns.names[n][0] ?? ""));
  choice.title = `Cosine ${fixed(3)(cosine)}; ${columns.names[n].join("; ").slice(0, 500)}`;
  return choice;
}

function makeColocalised(n) {
  const [ions, cosines] = data.colocalised[columns.image[n]] ?? [[], []];
  const near = ions.map((ion, k) => [ion, cosines[k]])
    .filter(([ion]) => rowOfIon(ion) !== undefined && ion !== columns.image[n]);
  if (!near.length) return [];
  return [makePart("colocalised", "Colocalised", "The nearest images, by the cosine of their "
    + "intensities above the median; 1 is the same place.",
    make("div", {className: "neighbours"},
      ...near.map(([ion, cosine]) => makeNeighbour(ion, cosine))))];
}
