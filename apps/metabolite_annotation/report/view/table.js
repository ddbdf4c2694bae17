// The table of annotations: only the rows in sight are elements.
// Public: SORTED, makeTable, fillTable, showRow, writeFormula, writeIon, markChosen.

const ROW = 30; // pixels, as in page.css
const BEYOND = 10; // rows above and below those in sight
const PRINTED = 200; // rows at most on paper

const writeIon = modifier => `[M${modifier.replaceAll("-", "−")}]${SIGNS[data.sign]}`;

// Return a formula with its numbers as subscripts.
const writeFormula = formula => formula.split(/(\d+)/).filter(Boolean)
  .map(part => /^\d+$/.test(part) ? make("sub", {}, part) : part);

const sayRate = n => columns.fdr_level[n] < 1 ? `≤ ${percent(columns.fdr_level[n])}` : "> 50 %";
const countOthers = name => n => columns[name][n].split(";").filter(part => part.trim()).length;
const numberColumn = (name, title, said, digits, width = 70) => ({name, title, said, width,
  down: true, write: n => [fixed(digits)(columns[name][n])]});
const amountColumn = (name, title, said) => ({name, title, said, width: 84, down: true,
  write: n => [amount(columns[name][n])]});

function writeRate(n) {
  return [make("i", {className: level(n)}), sayRate(n)];
}

function writeNames(n) {
  const [names, all] = countMolecules(n);
  return [make("span", {}, names[0] ?? "–"),
    ...(all > 1 ? [make("small", {}, `+${sayCount(all - 1)}`)] : [])];
}

function writeLabel(n) {
  const others = sameImage(n).length - 1, title = `${others} more of the same image`;
  return [...writeFormula(columns.formula[n]),
    ...(others ? [" ", make("small", {className: "same", title}, `≡${others + 1}`)] : [])];
}

// Of each column: how it is named and explained, its width in pixels, how its cells are made,
// what it is sorted by where that is not the column itself, whether best is last.
const COLUMNS = [
  {name: "formula", title: "Formula", said: "Of the molecule", width: 138, kind: "text",
    write: writeLabel},
  {name: "adduct", title: "Adduct", said: "What makes it an ion", width: 96, kind: "text",
    write: n => [adduct(n)]},
  {name: "names", title: "Molecules", said: "The first name, and how many more", width: 0,
    kind: "text names", by: n => columns.names[n][0] ?? null,
    write: n => [make("span", {className: "cell"}, ...writeNames(n))]},
  {name: "mz", title: "m/z", said: "Expected, of the first isotope", width: 92,
    write: n => [fixed(4)(columns.mz[n])]},
  numberColumn("msm", "MSM", "Metabolite-signal match", 3, 64),
  {name: "fdr", title: "FDR", said: "Level, and the colour it has here", width: 84,
    write: writeRate},
];
const MORE_COLUMNS = [
  {name: "database", title: "Database", said: "Where the molecule is from", width: 130,
    kind: "text", write: n => [columns.database[n]]},
  numberColumn("score", "Score", "Of METASPACE-ML", 3),
  numberColumn("chaos", "Chaos", "Areas rather than scattered pixels", 3),
  numberColumn("spatial", "Spatial", "Isotope images alike", 3),
  numberColumn("spectral", "Spectral", "Isotope intensities as expected", 3, 80),
  {name: "ppm_error", title: "Error, ppm", said: "Of m/z, first isotope", width: 96,
    write: n => [signed(2)(columns.ppm_error[n])]},
  amountColumn("total_intensity", "Total", "Intensity of the first image"),
  amountColumn("max_intensity", "Highest", "Intensity of a pixel of the first image"),
  {name: "n_pixels", title: "Pixels", said: "With signal, in the first image", width: 74,
    down: true, write: n => [columns.n_pixels[n].toLocaleString("en")]},
  {name: "isomers", title: "Isomers", said: "Annotations of the same ion formula", width: 84,
    down: true, by: countOthers("isomers"), write: n => [String(countOthers("isomers")(n))]},
  {name: "isobars", title: "Isobars", said: "Annotated ions that may share the signal", width: 84,
    down: true, by: countOthers("isobars"), write: n => [String(countOthers("isobars")(n))]},
];

const hasScore = columns.score.some((score, n) => score !== columns.msm[n]);
const tableColumns = () => [...COLUMNS, ...(state.wide ? MORE_COLUMNS : [])]
  .filter(({name}) => name !== "score" || hasScore);
const SORTED = new Map([...COLUMNS, ...MORE_COLUMNS].map(({name, by}) =>
  [name, by ?? (n => columns[name][n])]));

function sortBy({name, down}) {
  const first = down ? "1" : "", other = down ? "" : "1";
  if (state.sort !== name) setState({sort: name, down: first});
  else if (state.down === first) setState({down: other});
  else setState({sort: "", down: ""});
}

function makeHead(column) {
  const button = make("button", {type: "button", title: `${column.said}; sort`}, column.title);
  button.addEventListener("click", () => sortBy(column));
  const head = make("th", {scope: "col", className: column.kind ?? ""}, button);
  head.dataset.name = column.name;
  if (column.name === state.sort) {
    head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  }
  return head;
}

function fillHead() {
  const heads = tableColumns(), table = find("table");
  const focused = document.activeElement.closest?.("#table th")?.dataset.name;
  const widths = heads.map(({width}) =>
    make("col", {style: width ? `width: calc(${width}px * var(--tight))` : ""}));
  table.querySelector("colgroup").replaceChildren(...widths);
  table.tHead.rows[0].replaceChildren(...heads.map(makeHead));
  table.classList.toggle("wide", Boolean(state.wide));
  if (focused) table.querySelector(`th[data-name=${focused}] button`)?.focus();
}

function makeRow(n, at) {
  const cells = tableColumns().map(({name, kind, write}) => {
    const about = {className: kind ?? ""};
    if (name === "names") about.title = columns.names[n].join("; ").slice(0, 2000);
    if (name === "fdr") about.title = `FDR ${percent(columns.fdr[n])}`;
    return name === "formula" ? make("th", {...about, scope: "row"}, ...write(n))
      : make("td", about, ...write(n));
  });
  const row = make("tr", {id: `row-${n}`}, ...cells);
  row.dataset.row = n;
  row.setAttribute("aria-rowindex", at + 2);
  row.setAttribute("aria-selected", String(n) === state.ion);
  return row;
}

let drawnRows = [0, 0];
// Make elements of the rows in sight, if they are not there.
function drawRows(isNew = false, most = 0) {
  const list = find("list"), first = Math.floor(list.scrollTop / ROW);
  const from = most ? 0 : Math.max(0, first - BEYOND);
  const to = Math.min(shown.length, most || first + Math.ceil(list.clientHeight / ROW) + BEYOND);
  if (!isNew && from === drawnRows[0] && to === drawnRows[1]) return;
  drawnRows = [from, to];
  const table = find("table");
  table.style.top = `${ROW * from}px`;
  table.tBodies[0].replaceChildren(...shown.slice(from, to).map((n, k) => makeRow(n, from + k)));
  markChosen();
}

function fillTable() {
  fillHead();
  find("rows").style.height = `${ROW * (shown.length + 1)}px`;
  find("table").setAttribute("aria-rowcount", shown.length + 1);
  drawRows(true);
}

// Mark the annotation that is chosen.
function markChosen() {
  const table = find("table"), chosen = find(`row-${state.ion}`);
  for (const row of table.tBodies[0].rows) row.setAttribute("aria-selected", row === chosen);
  if (chosen) table.setAttribute("aria-activedescendant", chosen.id);
  else table.removeAttribute("aria-activedescendant");
}

// Bring a row into sight, within the list only.
function showRow(at) {
  const list = find("list"), top = ROW * at, below = list.clientHeight - 2 * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top > list.scrollTop + below) list.scrollTop = top - below;
  drawRows();
}

function makeTable() {
  find("list").addEventListener("scroll", () => {
    if (state.view !== "images") drawRows();
  });
  find("table").tBodies[0].addEventListener("click", event => {
    const row = event.target.closest("tr");
    if (row) setState({ion: row.dataset.row});
  });
  addEventListener("resize", () => drawRows());
  addEventListener("beforeprint", () => drawRows(true, PRINTED));
  addEventListener("afterprint", () => drawRows(true));
}
