// Which annotations are shown, in which order.

const words = columns.formula.map((formula, n) => [formula, columns.adduct[n], adduct(n),
  columns.ion[n], columns.database[n], ...columns.names[n], ...columns.ids[n]]
  .join("\n").toLowerCase());
let shown = [];

function chooseRows() {
  const sought = state.search.trim().toLowerCase(), most = Number(state.fdr) + 1e-9;
  shown = [...Array(total).keys()].filter(n => words[n].includes(sought)
    && columns.fdr_level[n] <= most
    && (!state.database || columns.database[n] === state.database));
}

function listenToFilters() {
  const form = find("filters"), names = ["search", "fdr", "database"];
  for (const name of names) form.elements[name].value = state[name];
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", () =>
    setState(Object.fromEntries(names.map(name => [name, form.elements[name].value]))));
}
