// Begin.

const FILTER_NAMES = Object.keys(FILTERS);

// The shape of images: pixels may be longer one way.
function setShape() {
  const {width, height, pixel_um} = data.box, [across, down] = pixel_um ?? [1, 1];
  document.documentElement.style.setProperty("--shape", width * across / (height * down));
}

if (total) {
  setShape();
  makeList();
  fillList();
  state.ion ||= String(shown[0] ?? 0); // one annotation is always chosen
  markList();
  showPanel();
  watch([...FILTER_NAMES, "sort", "down", "view"], () => { restartList(); showTitle(); });
  watch(["wide"], fillTable);
  watch(["map", "scale", "hot"], repaint);
  watch(["ion"], () => { markList(); showPanel(); showIon(); });
  addEventListener("DOMContentLoaded", showIon);
  addEventListener("load", () => readyWords());
}
addEventListener("DOMContentLoaded", showDataset);
