// Begin.

const FILTER_NAMES = Object.keys(FILTERS);

// One annotation is always chosen: that of the fragment, or the best that is shown.
function chooseFirst() {
  if (!(/^\d+$/.test(state.ion) && Number(state.ion) < total)) state.ion = String(shown[0] ?? 0);
}

// The shape of images: pixels may be longer one way.
function setShape() {
  const {width, height, pixel_um} = data.box, [across, down] = pixel_um ?? [1, 1];
  document.documentElement.style.setProperty("--shape", width * across / (height * down));
}

if (total) {
  setShape();
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
