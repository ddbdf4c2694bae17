// Begin.

const FILTER_NAMES = Object.keys(FILTERS);

// One annotation is always chosen: that of the fragment, or the best that is shown.
function chooseFirst() {
  if (!(/^\d+$/.test(state.ion) && Number(state.ion) < total)) state.ion = String(shown[0] ?? 0);
}

if (total) {
  document.documentElement.style.setProperty("--shape", data.box.width / data.box.height);
  makeList();
  fillList();
  chooseFirst();
  markList();
  showPanel();
  watch([...FILTER_NAMES, "sort", "down", "view"], () => { restartList(); showTitle(); });
  watch(["wide"], fillTable);
  watch(["ion"], () => { chooseFirst(); markList(); showPanel(); showIon(); });
  addEventListener("DOMContentLoaded", showIon);
}
addEventListener("DOMContentLoaded", showDataset);
