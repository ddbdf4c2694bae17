// Begin.

if (total) {
  watch(["search", "fdr", "database", "sort", "down"], fillTable);
  watch(["ion"], () => { showPanel(); showIon(); });
  listenToFilters();
  fillTable();
  if (!(state.ion in columns.formula)) state.ion = String(shown[0] ?? 0);
  showPanel();
  addEventListener("DOMContentLoaded", showIon);
}
addEventListener("DOMContentLoaded", showDataset);
