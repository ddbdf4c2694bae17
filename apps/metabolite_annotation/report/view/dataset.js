// The dataset as a whole: its total ion current, spectrum, calibration and counts.
// Public: showDataset, openAnnotation.

// Choose an annotation, and bring it into sight.
function openAnnotation(n) {
  setState({ion: String(n)});
  find("chosen-title").scrollIntoView({block: "nearest"});
}

async function paintTotal() {
  const image = await readTotal();
  if (!image) return;
  paintImage(find("tic"), image, viewSettings());
  find("tic-said").textContent = `Total ion current, ${amount(image.top)} at most`;
}

// List what a count counts.
function listCounted({database, adduct: modifier, level: rate}) {
  const n = columns.adduct.findIndex((one, k) => one === modifier && columns.database[k] === database);
  const off = Object.fromEntries(Object.entries(FILTERS).map(([name, {off}]) => [name, off]));
  const only = {database, adduct: columns.carrier[n], loss: columns.loss[n] || "none",
    modification: columns.modification[n] || "none", fdr: rate};
  const asked = Object.keys(only).filter(name => find(`filter-${name}`));
  setState({...off, ...Object.fromEntries(asked.map(name => [name, only[name]]))});
  find("annotations").scrollIntoView();
}

function showDataset() {
  if (find("tic")) {
    paintTotal();
    watch(["map", "scale", "hot"], paintTotal);
  }
  if (find("spectrum")) beginSpectrum();
  if (find("calibration")) beginCalibration();
  find("counted")?.addEventListener("click", ({target}) => {
    const button = target.closest("button");
    if (button) listCounted(button.dataset);
  });
}
