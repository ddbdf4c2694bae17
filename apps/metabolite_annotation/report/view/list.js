// The list of annotations, as a table or as images: what is in it, the keyboard, the CSV.
// Public: makeList, fillList, markList, stepBy.

const isGallery = () => state.view === "images";
const listed = () => isGallery() ? tiles : shown;
const findChosen = () => isGallery() ? findTile() : shown.indexOf(Number(state.ion));

function fillList() {
  showFilters();
  chooseRows();
  find("count").textContent = `${sayCount(shown.length)} of ${sayCount(total)} annotations`;
  find("empty").hidden = shown.length > 0;
  if (!shown.length) fillEmpty();
  showList();
}

function showList() {
  find("rows").hidden = isGallery() || !shown.length;
  find("tiles").hidden = !isGallery();
  find("wide").hidden = isGallery();
  for (const button of find("views").children) {
    button.setAttribute("aria-pressed", button.value === state.view);
  }
  find("wide").setAttribute("aria-pressed", Boolean(state.wide));
  if (isGallery()) fillGallery();
  else fillTable();
}

function restartList() {
  find("list").scrollTop = 0;
  fillList();
  if (findChosen() >= 0) showChosen();
}

function showChosen() {
  if (isGallery()) showTile(findChosen());
  else showRow(findChosen());
}

function markList() {
  if (findChosen() >= 0) showChosen();
  if (isGallery()) markTile();
  else markChosen();
}

// Choose the annotation so many further on; the first where none of the list is chosen.
function stepBy(by) {
  const at = findChosen(), last = listed().length - 1;
  if (last < 0) return;
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), last);
  setState({ion: String(listed()[next])});
}

// ---- Keyboard

function getStep(key) {
  const across = isGallery() ? tilesAcross() : 1;
  const height = find("list").clientHeight;
  const page = isGallery() ? 3 * across : Math.max(Math.floor(height / ROW) - 2, 1);
  const keys = {ArrowDown: across, ArrowUp: -across, PageDown: page, PageUp: -page,
    Home: -total, End: total};
  return isGallery() ? {...keys, ArrowRight: 1, ArrowLeft: -1}[key] : keys[key];
}

function isInSight() {
  const {top, bottom} = find("list").getBoundingClientRect();
  return top < innerHeight / 2 && bottom > innerHeight / 4;
}

// Arrows walk where the list has the focus, and where nothing has and the list is in sight.
function isWalk(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return false;
  if (find("list").contains(event.target)) return getStep(event.key) !== undefined;
  return event.target === document.body && isInSight() && /^Arrow(Up|Down)$/.test(event.key);
}

function pressKey(event) {
  const isTyping = event.target.matches?.("input, select, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    find("filter-search").focus();
    find("filter-search").select();
  } else if (event.key === "Escape" && find("list").contains(event.target)) removeFilters();
  else if (event.key === "ArrowDown" && event.target.id === "filter-search") {
    find(isGallery() ? "gallery" : "table").focus();
    if (findChosen() < 0) stepBy(0);
  } else if (isWalk(event)) stepBy(getStep(event.key));
  else return;
  event.preventDefault();
}

// ---- What is shown, as a file

const CSV_COLUMNS = ["formula", "adduct", "ion", "database", "mz", "msm", "score", "chaos",
  "spatial", "spectral", "fdr", "fdr_level", "ppm_error", "mz_err_abs", "mz_err_rel",
  "total_intensity", "max_intensity", "n_pixels", "names", "ids", "isomers", "isobars"];

function quoteCsv(value) {
  const text = Array.isArray(value) ? value.join("; ") : String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// An adduct alone, as +H, would be a formula to a spreadsheet.
const getCsvCell = (name, n) => name === "adduct" ? `M${columns.adduct[n]}` : columns[name][n];

function makeCsv() {
  const rows = shown.map(n => CSV_COLUMNS.map(name => quoteCsv(getCsvCell(name, n))));
  return [CSV_COLUMNS, ...rows].map(row => row.join(",") + "\r\n").join("");
}

function saveCsv() {
  const href = URL.createObjectURL(new Blob([makeCsv()], {type: "text/csv"}));
  make("a", {href, download: "annotations.csv"}).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

function makeList() {
  makeFilters();
  makeTable();
  makeGallery();
  addEventListener("keydown", pressKey);
  find("views").addEventListener("click", ({target}) => {
    if (target.value) setState({view: target.value});
  });
  find("wide").addEventListener("click", () => setState({wide: state.wide ? "" : "1"}));
  find("reset-filters").addEventListener("click", removeFilters);
  find("csv").addEventListener("click", saveCsv);
}
