// Errors of m/z against m/z, of the annotations that are listed.
// Public: beginCalibration.

const beginCalibration = (() => {
  const HIGH = 430, MOST_DOTS = 2000, FRAME = {left: 58, top: 14, bottom: HIGH - 46};

  // Return the annotations that are drawn, the best last, so that it is on top.
  function listDots() {
    const chosen = Number(state.ion);
    const known = shown.filter(n => columns.ppm_error[n] !== null && n !== chosen);
    const dots = known.toSorted((a, b) => a - b).slice(0, MOST_DOTS).reverse();
    return columns.ppm_error[chosen] === null ? dots : [...dots, chosen];
  }

  const sayDot = n => `${columns.formula[n]} ${adduct(n)}: m/z ${fixed(4)(columns.mz[n])}, `
    + `${signed(2)(columns.ppm_error[n])} ppm, FDR ${sayRate(n)}`;

  function drawDot(n, x, y) {
    const isChosen = n === Number(state.ion);
    const dot = draw("circle", {class: `${level(n)}${isChosen ? " picked" : ""}`, r: isChosen ? 6 : 3.4,
      cx: x(columns.mz[n]).toFixed(1), cy: y(columns.ppm_error[n]).toFixed(1)});
    dot.dataset.row = n;
    return dot;
  }

  const writeSigned = tick => `${["−", "", "+"][Math.sign(tick) + 1]}${Math.abs(tick)}`;

  // Thousands of words would be made for one that is read.
  function nameDot({target}) {
    const {row} = target.dataset;
    if (row && !target.firstChild) target.append(draw("title", {}, sayDot(Number(row))));
  }

  function drawErrors(wide) {
    const dots = listDots(), frame = {...FRAME, right: wide - 12}, most = 1.05 * data.ppm;
    const mz = dots.map(n => columns.mz[n]);
    const [low, high] = mz.reduce(([a, b], m) => [Math.min(a, m), Math.max(b, m)], [Infinity, -Infinity]);
    const room = Math.max(0.04 * (high - low), 1) || 1;
    const across = dots.length ? {low: low - room, high: high + room} : {low: 0, high: 1};
    const x = makeScale(across.low, across.high, frame.left, frame.right);
    const y = makeScale(-most, most, frame.bottom, frame.top);
    find("calibration").replaceChildren(draw("svg", {width: wide, height: HIGH,
      viewBox: `0 0 ${wide} ${HIGH}`, role: "img",
      "aria-label": `Errors of m/z of ${sayCount(dots.length)} annotations`},
      ...drawAxes(frame, {...across, name: "m/z", write: String},
        {low: -most, high: most, name: "error of m/z, ppm", write: writeSigned, about: 7}),
      ...dots.map(n => drawDot(n, x, y))));
    find("calibration-said").textContent = shown.length > MOST_DOTS
      ? `The best ${sayCount(MOST_DOTS)} of those listed are drawn.` : "";
  }

  return () => {
    if (!total) return;
    const ask = watchWidth(find("calibration"), drawErrors);
    watch(["ion", ...Object.keys(FILTERS)], ask);
    find("calibration").addEventListener("pointerover", nameDot);
    find("calibration").addEventListener("click", ({target}) => {
      if (target.dataset.row) openAnnotation(Number(target.dataset.row));
    });
  };
})();
