// Which annotations are shown, in which order, and the controls of that.
// Public: shown, chooseRows, makeFilters, showFilters, FILTERS, isActive, sayFilter, loosened.

const sayCount = n => n.toLocaleString("en");

const linesOf = {
  names: n => [...columns.names[n], ...columns.ids[n]],
  all: n => [columns.formula[n], columns.formula[n] + columns.adduct[n], adduct(n),
    columns.formula[n] + adduct(n), columns.ion[n], columns.database[n], ...linesOf.names(n)],
};

// return what gives the lines of an annotation in small letters, made when first asked for.
function makeIndex(name) {
  const kept = [];
  return n => kept[n] ??= linesOf[name](n).join("\n").toLowerCase();
}

const wordsOf = {names: makeIndex("names"), all: makeIndex("all")};

// Make the words ready while nothing else is to be done, some annotations at a time.
function readyWords(from = 0) {
  for (let n = from; n < Math.min(from + 250, total); n++) wordsOf.all(n);
  if (from + 250 < total) setTimeout(() => readyWords(from + 250));
}

// Words that are all to be found; one after an exclamation mark is not to be.
function makeSearch(text) {
  const sought = text.toLowerCase().split(/\s+/).filter(Boolean)
    .map(word => word.length > 1 && word[0] === "!" ? [word.slice(1), false] : [word, true]);
  return sought.length
    && (n => sought.every(([word, is]) => wordsOf.all(n).includes(word) === is));
}

function makePhrase(text, read) {
  const sought = text.trim().toLowerCase();
  return sought && (n => read(n).includes(sought));
}

const makeEqual = (name, text) => text && (n => columns[name][n] === (text === "none" ? "" : text));

// Return the ends of a range of m/z: "700-800", "700-", "-800", or "760.59", which means the
// window of the run and at least half of the last digit; null of another text.
function readRange(text) {
  const found = text.trim().replaceAll(",", ".").replace(/[–—]/, "-")
    .match(/^(\d+(?:\.\d*)?)?\s*(-?)\s*(\d+(?:\.\d*)?)?$/);
  if (!found || !(found[1] || found[3])) return null;
  if (found[2]) return [Number(found[1] ?? 0), Number(found[3] ?? Infinity)];
  const mz = Number(found[1]), digits = (found[1].split(".")[1] ?? "").length;
  const far = Math.max(1e-6 * data.ppm * mz, 0.5 * 10 ** -digits);
  return [mz - far, mz + far];
}

function makeRange(text) {
  const ends = readRange(text);
  return ends && (n => columns.mz[n] >= ends[0] && columns.mz[n] <= ends[1]);
}

function makeLeast(text) {
  const least = Number(text.replace(",", "."));
  return text.trim() && least >= 0 && (n => columns.msm[n] >= least);
}

function makeRate(text) {
  const most = (Number(text) || Number(DEFAULTS.fdr)) + 1e-9;
  return most < 1 && (n => columns.fdr_level[n] <= most);
}

// How a filter is named and chosen from; `accept` makes of its text what accepts an annotation,
// or a false value where it accepts all; `off` is the text of one that does.
const FILTERS = {
  search: {title: "Search", hint: "any text; !word hides", accept: makeSearch,
    said: "Words in formula, adduct, ion, database, names and ids"},
  fdr: {title: "FDR", off: "1", accept: makeRate,
    options: [["0.05", "≤ 5 %"], ["0.1", "≤ 10 %"], ["0.2", "≤ 20 %"], ["0.5", "≤ 50 %"],
      ["1", "any"]]},
  adduct: {title: "Adduct", column: "carrier", write: text => writeIon(text)},
  loss: {title: "Neutral loss", column: "loss", write: text => text.replaceAll("-", "−")},
  modification: {title: "Modification", column: "modification",
    write: text => text.replaceAll("-", "−")},
  database: {title: "Database", column: "database"},
  mz: {title: "m/z", hint: "700-800", said: "A range, or one m/z within the window of the run",
    accept: makeRange},
  msm: {title: "MSM at least", hint: "0 to 1", accept: makeLeast},
  molecule: {title: "Molecule", hint: "name or id",
    accept: text => makePhrase(text, wordsOf.names)},
  formula: {title: "Formula", hint: "C6H12O6",
    accept: text => makePhrase(text, n => columns.formula[n].toLowerCase())},
};

for (const filter of Object.values(FILTERS)) {
  filter.off ??= "";
  if (filter.column) filter.accept = text => makeEqual(filter.column, text);
}

const isActive = name => state[name] !== FILTERS[name].off;

// Return a filter and what it is set to, in words.
function sayFilter(name) {
  const {title, options, write = text => text} = FILTERS[name];
  const said = options?.find(([value]) => value === state[name])?.[1] ?? write(state[name]);
  return `${title} ${said}`;
}

let shown = [];
// Of each filter, how many annotations it alone keeps from being shown.
let loosened = {};

function chooseRows() {
  const tests = Object.entries(FILTERS)
    .map(([name, {accept}]) => [name, accept(state[name])]).filter(([, test]) => test);
  shown = [];
  loosened = Object.fromEntries(tests.map(([name]) => [name, 0]));
  for (let n = 0; n < total; n++) {
    const first = tests.findIndex(([, test]) => !test(n));
    if (first < 0) shown.push(n);
    else if (tests.every(([, test], k) => k <= first || test(n))) loosened[tests[first][0]]++;
  }
  sortRows();
}

const collator = new Intl.Collator("en", {numeric: true});

function compareValues(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" ? a - b : collator.compare(a, b);
}

// What has no value is last both ways.
function sortRows() {
  const column = SORTED.get(state.sort);
  if (!column) return;
  const way = state.down ? -1 : 1, values = new Map(shown.map(n => [n, column(n)]));
  shown.sort((m, n) => {
    const [a, b] = [values.get(m), values.get(n)], both = a !== null && b !== null;
    return (both ? way : 1) * compareValues(a, b) || m - n;
  });
}

// ---- Controls

function countValues(name) {
  const counts = new Map();
  for (const value of columns[name]) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => collator.compare(a, b));
}

// Without a choice there is no control.
function listOptions({column, write = text => text, options}) {
  if (options) return options;
  const counts = countValues(column);
  if (counts.length < 2) return [];
  return [["", "all"], ...counts.map(([value, n]) =>
    [value || "none", `${value ? write(value) : "none"} (${sayCount(n)})`])];
}

function makeControl(name, filter) {
  const about = {name, id: `filter-${name}`};
  if (filter.hint) {
    return make("input", {...about, type: "text", placeholder: filter.hint,
      title: filter.said ?? "", autocomplete: "off", spellcheck: false});
  }
  const options = listOptions(filter);
  return options.length
    && make("select", about, ...options.map(([value, said]) => make("option", {value}, said)));
}

function makeFilter([name, filter]) {
  const control = makeControl(name, filter);
  if (!control) return [];
  const remove = make("button", {type: "button", className: "remove",
    title: `Remove the filter ${filter.title}`}, "×");
  remove.setAttribute("aria-label", remove.title);
  remove.addEventListener("click", () => {
    setState({[name]: filter.off});
    control.focus();
  });
  const label = make("label", {htmlFor: control.id}, filter.title);
  return [make("div", {className: `filter filter-${name}`}, label, control, remove)];
}

function makeFilters() {
  const form = find("filters");
  form.replaceChildren(...Object.entries(FILTERS).flatMap(makeFilter));
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", ({target}) => setState({[target.name]: target.value}));
  form.addEventListener("keydown", event => {
    if (event.key === "Escape" && isActive(event.target.name)) {
      setState({[event.target.name]: FILTERS[event.target.name].off});
      event.preventDefault();
    }
  });
}

// Show in the controls what the state says.
function showFilters() {
  for (const control of find("filters").elements) {
    if (!control.name) continue;
    const {accept} = FILTERS[control.name], text = state[control.name];
    if (control.value !== text) control.value = text;
    control.parentElement.classList.toggle("active", isActive(control.name));
    control.nextElementSibling.hidden = !isActive(control.name);
    const isWrong = control.type === "text" && text.trim() !== "" && !accept(text);
    control.setAttribute("aria-invalid", isWrong);
  }
}

function removeFilters() {
  setState(Object.fromEntries(Object.keys(FILTERS).map(name => [name, DEFAULTS[name]])));
}

// ---- Nothing is shown: what to loosen

function fillEmpty() {
  const best = Object.entries(loosened).filter(([, n]) => n).sort(([, a], [, b]) => b - a);
  const items = best.map(([name, n]) => {
    const button = make("button", {type: "button"}, `without ${sayFilter(name)}: ${sayCount(n)}`);
    button.addEventListener("click", () => setState({[name]: FILTERS[name].off}));
    return make("li", {}, button);
  });
  const said = best.length ? "One filter less would show:" : "Two or more filters are in the way: "
    + Object.keys(loosened).map(sayFilter).join(", ") + ".";
  find("empty").replaceChildren(make("p", {}, "No annotation is within all filters. " + said),
    make("ul", {}, ...items));
}
