// Errors of m/z of an annotation: of each pixel as an image, their histogram, and the means.
// Public: makeErrors.

const ERROR_BINS = 25;
const OFF_COLOURS = [[38, 96, 164], [240, 240, 240], [178, 52, 36]]; // too low, right, too high

const NO_PEAK = [110, 118, 126];

// Return the colour of an error as a share of the window, -1 to 1.
function getErrorColour(share) {
  const far = Math.min(Math.abs(share), 1), end = OFF_COLOURS[share < 0 ? 0 : 2];
  return OFF_COLOURS[1].map((middle, c) => middle + far * (end[c] - middle));
}

// Where there is no spectrum it is transparent.
async function paintErrors(canvas, {width, height, values}) {
  const picture = new ImageData(width, height), there = await mask;
  values.forEach((error, p) => {
    const colour = Number.isNaN(error) ? NO_PEAK : getErrorColour(error / data.ppm);
    if (there[p]) picture.data.set([...colour, 255], 4 * p);
  });
  Object.assign(canvas, {width, height}).getContext("2d").putImageData(picture, 0, 0);
}

function countErrors(values) {
  const counts = Array(ERROR_BINS).fill(0);
  for (const error of values) {
    if (Number.isNaN(error)) continue;
    const bin = Math.floor((error / data.ppm + 1) / 2 * ERROR_BINS);
    counts[Math.min(Math.max(bin, 0), ERROR_BINS - 1)]++;
  }
  return counts;
}

function drawErrorBar(pixels, k, top) {
  const height = 100 * pixels / top, middle = 2 * (k + 0.5) / ERROR_BINS - 1;
  const said = `${signed(2)(middle * data.ppm)} ppm: ${sayCount(pixels)} pixels`;
  return draw("rect", {class: "bar", x: 20 + 10.4 * k, y: 112 - height, width: 9.4, height},
    draw("title", {}, said));
}

function drawErrorHistogram(values, mean) {
  const counts = countErrors(values), top = Math.max(...counts, 1);
  const x = error => 150 + 130 * error / data.ppm;
  const ticks = [-1, 0, 1].map(share => draw("text", {class: "middle soft",
    x: x(share * data.ppm), y: 127}, share ? signed(1)(share * data.ppm) : "0"));
  const marked = mean === null ? [] : [draw("line", {class: "mean", x1: x(mean), x2: x(mean),
    y1: 4, y2: 112})];
  return draw("svg", {viewBox: "0 0 300 146", role: "img",
    "aria-label": `Errors of m/z of ${sayCount(counts.reduce((a, b) => a + b))} pixels`},
    ...counts.map((pixels, k) => drawErrorBar(pixels, k, top)),
    draw("line", {class: "axis", x1: 20, x2: 280, y1: 112, y2: 112}),
    draw("line", {class: "limit", x1: 150, x2: 150, y1: 4, y2: 112}), ...marked, ...ticks,
    draw("text", {class: "middle", x: 150, y: 142}, "error of m/z, ppm"));
}

function sayErrors(n) {
  const pairs = [
    ["Mean", `${signed(2)(columns.ppm_error[n])} ppm`, milli(columns.mz_err_abs[n])],
    ["Other isotopes less the first", milli(columns.mz_err_rel[n])],
    ["Window", `±${data.ppm} ppm`],
  ];
  return make("dl", {className: "numbers"}, ...pairs.flatMap(([name, ...values]) =>
    [make("dt", {}, name), make("dd", {}, values.join(", "))]));
}

async function fillErrors(holder, n) {
  await loaded;
  const errors = data.has_errors && await readErrors(columns.image[n]);
  if (!errors) return;
  const canvas = make("canvas", {className: "ion-image", width: 1, height: 1});
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Error of m/z of each pixel: blue is too low, red too high");
  paintErrors(canvas, errors);
  const scale = make("div", {className: "error-scale"}, `−${data.ppm}`, make("span"),
    `+${data.ppm} ppm`, make("i", {className: "no-peak"}), "no peak");
  holder.prepend(make("figure", {}, canvas, scale),
    make("figure", {}, drawErrorHistogram(errors.values, columns.ppm_error[n])));
}

function makeErrors(n) {
  const holder = make("div", {className: "errors"}, sayErrors(n));
  fillErrors(holder, n);
  return makePart("errors-part", "m/z error", "Measured less expected, of the first isotope.",
    holder);
}
