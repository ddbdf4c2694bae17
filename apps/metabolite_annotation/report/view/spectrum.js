// The mean spectrum, with the annotations that are listed marked in it: drag to zoom, click a
// mark to open its annotation.
// Public: beginSpectrum.

const beginSpectrum = (() => {
  const spectrum = data.spectrum, HIGH = 330, MOST_MARKS = 500, NEAR = 9, LEAST_SPAN = 0.01;
  const FRAME = {left: 64, top: 26, bottom: HIGH - 46};
  let ask = () => {}, drawn = null; // {x, marks, frame} of what is seen

  // Return where an m/z would stand among those of the spectrum.
  function findPlace(mz) {
    let low = 0, high = spectrum.mz.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (spectrum.mz[middle] < mz) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function getWhole() {
    const ends = [spectrum.mz[0], spectrum.mz.at(-1)], room = 0.01 * (ends[1] - ends[0]) || 0.5;
    return [Math.max(ends[0] - room, 0), ends[1] + room];
  }

  // Return first and last m/z of what is seen; all of it where the state names none.
  function getRange() {
    const whole = getWhole(), ends = state.spectrum.split(",").map(Number);
    if (ends.length !== 2 || !(ends[1] - ends[0] >= LEAST_SPAN)) return whole;
    if (ends[0] >= whole[1] || ends[1] <= whole[0]) return whole;
    return [Math.max(ends[0], whole[0]), Math.min(ends[1], whole[1])];
  }

  function setRange(from, to) {
    const whole = getWhole();
    const span = Math.min(Math.max(to - from, LEAST_SPAN), whole[1] - whole[0]);
    const middle = Math.min(Math.max((from + to) / 2, whole[0] + span / 2), whole[1] - span / 2);
    const ends = [middle - span / 2, middle + span / 2].map(end => end.toFixed(3));
    setState({spectrum: span > 0.999 * (whole[1] - whole[0]) ? "" : ends.join()});
  }

  // Show a part of what is seen: `scale` times its span, moved by a share of it.
  function changeRange(scale, shift = 0) {
    const [from, to] = getRange(), span = to - from, middle = (from + to) / 2 + shift * span;
    setRange(middle - scale * span / 2, middle + scale * span / 2);
  }

  // Show the isotopes of the annotation that is chosen.
  function showChosenPeaks() {
    const peaks = data.peaks[columns.image[Number(state.ion)]].mz.filter(mz => mz > 0);
    setRange(Math.min(...peaks) - 1, Math.max(...peaks) + 1);
  }

  // Return the greatest intensity of each pixel across, as [place, intensity].
  function listSticks(from, to, x) {
    const first = findPlace(from), last = findPlace(to), sticks = new Map();
    for (let k = first; k < last; k++) {
      const place = Math.round(2 * x(spectrum.mz[k])) / 2;
      if (!(sticks.get(place) > spectrum.intensity[k])) sticks.set(place, spectrum.intensity[k]);
    }
    return [...sticks];
  }

  // Return the greatest intensity within the window about an m/z.
  function getHeight(mz) {
    const half = 1e-6 * data.ppm * mz, last = findPlace(mz + half);
    let height = 0;
    for (let k = findPlace(mz - half); k < last; k++) height = Math.max(height, spectrum.intensity[k]);
    return height;
  }

  // Return the annotations that are marked, the most intense first: one an ion.
  function listMarks(from, to) {
    const seen = new Set(), chosen = Number(state.ion), marks = [];
    for (const n of total ? [chosen, ...shown] : []) {
      const mz = columns.mz[n], ion = columns.image[n];
      if (mz < from || mz > to || seen.has(ion)) continue;
      seen.add(ion);
      marks.push({n, mz, height: getHeight(mz), isChosen: n === chosen});
    }
    return marks.sort((a, b) => b.isChosen - a.isChosen || b.height - a.height).slice(0, MOST_MARKS);
  }

  function drawMark({n, mz, height, isChosen}, x, y) {
    const said = `${columns.formula[n]} ${adduct(n)}, m/z ${fixed(4)(mz)}, FDR ${sayRate(n)}: `
      + `${columns.names[n][0] ?? ""}`;
    const at = x(mz), top = y(height);
    return draw("g", {class: `mark ${level(n)}${isChosen ? " picked" : ""}`},
      draw("line", {x1: at, x2: at, y1: y(0), y2: top}),
      draw("path", {d: `M${at} ${top - 2}l-4 -7h8z`}), draw("title", {}, said));
  }

  // Return the names of marks for which there is room: no other label, no higher mark. The
  // marks come in order of height, but for the chosen one, which is first.
  function drawLabels(marks, x, y, frame) {
    const taken = [], higher = [];
    return marks.flatMap(({n, mz, height, isChosen}) => {
      const words = isChosen ? `${columns.formula[n]} ${adduct(n)}` : fixed(4)(mz);
      const half = 3.4 * words.length, top = y(height) - 13;
      const at = Math.min(Math.max(x(mz), frame.left + half), frame.right - half);
      const isFree = taken.every(t => Math.abs(t.at - at) > t.half + half || Math.abs(t.top - top) > 13)
        && (isChosen || higher.every(place => Math.abs(place - at) > half));
      if (!isChosen) higher.push(x(mz));
      if (!isFree) return [];
      taken.push({at, half, top});
      return [draw("text", {class: `middle halo${isChosen ? " strong" : " soft"}`, x: at, y: top}, words)];
    });
  }

  // Return short lines below the axis where the isotopes of the chosen annotation are expected.
  function drawExpected(from, to, x) {
    if (!total) return [];
    const peaks = data.peaks[columns.image[Number(state.ion)]].mz;
    return peaks.filter(mz => mz >= from && mz <= to).map(mz =>
      draw("line", {class: "expected", x1: x(mz), x2: x(mz), y1: FRAME.bottom + 1, y2: FRAME.bottom + 8}));
  }

  function drawSpectrum(wide) {
    const [from, to] = getRange(), frame = {...FRAME, right: wide - 12};
    const x = makeScale(from, to, frame.left, frame.right), sticks = listSticks(from, to, x);
    const top = 1.06 * sticks.reduce((most, [, intensity]) => Math.max(most, intensity), 0) || 1;
    const y = makeScale(0, top, frame.bottom, frame.top), marks = listMarks(from, to);
    const digits = Math.max(0, Math.ceil(-Math.log10((to - from) / 20)));
    const path = sticks.map(([place, intensity]) =>
      `M${place} ${frame.bottom}V${y(intensity).toFixed(1)}`).join("");
    drawn = {x, y, marks, frame};
    find("spectrum").replaceChildren(draw("svg", {width: wide, height: HIGH,
      viewBox: `0 0 ${wide} ${HIGH}`, "aria-hidden": "true"},
      ...drawAxes(frame, {low: from, high: to, name: "m/z", write: fixed(digits)},
        {low: 0, high: top, name: "mean intensity", write: amount}),
      draw("path", {class: "sticks", d: path}), ...drawExpected(from, to, x),
      ...marks.toReversed().map(mark => drawMark(mark, x, y)), ...drawLabels(marks, x, y, frame),
      draw("rect", {class: "zooming", y: frame.top, height: frame.bottom - frame.top, width: 0})));
    saySpectrum(from, to, marks.length);
  }

  function saySpectrum(from, to, n) {
    const said = `m/z ${fixed(2)(from)} to ${fixed(2)(to)}: ${sayCount(n)} annotated `
      + `${n === 1 ? "peak" : "peaks"} marked`;
    find("spectrum-said").textContent = n === MOST_MARKS ? `${said}, the most intense` : said;
    find("spectrum").setAttribute("aria-label", `Mean spectrum, ${said}`);
    find("spectrum-whole").disabled = !state.spectrum;
  }

  // ---- Pointer and keys

  const keepInside = x => Math.min(Math.max(x, drawn.frame.left), drawn.frame.right);

  function findMark(at) {
    const far = ({mz, height}) =>
      Math.hypot(drawn.x(mz) - at.x, Math.max(0, drawn.y(height) - 9 - at.y, at.y - drawn.frame.bottom));
    const near = drawn.marks.map(mark => [far(mark), mark]).filter(([away]) => away < NEAR);
    return near.sort(([a], [b]) => a - b)[0]?.[1];
  }

  const getAt = event => {
    const {left, top} = find("spectrum").getBoundingClientRect();
    return {x: event.clientX - left, y: event.clientY - top};
  };

  function listenToPointer(holder) {
    let from = null;
    const showDrag = to => {
      const ends = [keepInside(from.x), keepInside(to)].sort((a, b) => a - b);
      const box = holder.querySelector(".zooming");
      box?.setAttribute("x", ends[0]);
      box?.setAttribute("width", ends[1] - ends[0]);
      return ends;
    };
    holder.addEventListener("pointerdown", event => {
      if (event.button || !drawn) return;
      from = getAt(event);
      holder.setPointerCapture(event.pointerId);
    });
    holder.addEventListener("pointermove", event => {
      const at = getAt(event);
      if (from) showDrag(at.x);
      else if (drawn) holder.style.cursor = findMark(at) ? "pointer" : "";
    });
    holder.addEventListener("pointerup", event => {
      if (!from) return;
      const at = getAt(event), ends = showDrag(at.x), mark = findMark(at);
      from = null;
      if (ends[1] - ends[0] > 5) setRange(...ends.map(drawn.x.invert));
      else if (mark) openAnnotation(mark.n);
    });
    holder.addEventListener("pointercancel", () => { from = null; ask(); });
    holder.addEventListener("dblclick", () => setState({spectrum: ""}));
  }

  const KEYS = {"+": [0.5], "=": [0.5], "-": [2], ArrowLeft: [1, -0.25], ArrowRight: [1, 0.25]};

  function pressSpectrumKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in KEYS) changeRange(...KEYS[event.key]);
    else if (event.key === "0") setState({spectrum: ""});
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return () => {
    if (!spectrum?.mz.length) return;
    find("spectrum-part").hidden = false;
    ask = watchWidth(find("spectrum"), drawSpectrum);
    watch(["spectrum", "ion", ...Object.keys(FILTERS)], ask);
    listenToPointer(find("spectrum"));
    find("spectrum").addEventListener("keydown", pressSpectrumKey);
    find("spectrum-whole").addEventListener("click", () => setState({spectrum: ""}));
    find("spectrum-in").addEventListener("click", () => changeRange(0.5));
    find("spectrum-out").addEventListener("click", () => changeRange(2));
    find("spectrum-chosen").hidden = !total;
    find("spectrum-chosen").addEventListener("click", showChosenPeaks);
  };
})();
