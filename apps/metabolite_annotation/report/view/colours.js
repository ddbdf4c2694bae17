// Colour maps, scales of intensity, and images painted by them.
// For others: COLOUR_MAPS, paintImage(canvas, image, options), viewSettings() (in viewer.js).

// matplotlib's maps, each within 1/255 of it. Stops of eight hexadecimal digits: which of the
// 256 colours, then red, green, blue. viridis and magma: S. van der Walt and N. Smith, CC0;
// cividis: J. R. Nuñez, C. R. Anderton and R. S. Renslow, PLoS ONE 13, e0199239 (2018), CC0;
// hot and grey are formulas.
const COLOUR_MAPS = {
  viridis: makeColours("004401541748217228453681403a528b7125828e8b1e9a899821a784a730b47a"
    + "b84dc26bcc79d151ebcae01ef2dce218f9eee51bfffde724"),
  magma: makeColours("000000030b0504171e1a10412d30106536400f734355137d5c7c238177a7317d"
    + "93d4436da4eb5660b1f56c5bbdfa825fccfd9f6ce4fecb8efffbfcbf"),
  grey: makeColours("00000000ffffffff"),
  hot: makeColours("000a00005dfe0000befffe00c1ffff0affffffff"),
  cividis: makeColours("0000224d14003070170031701d14366f2b2b3f6d474a536b7371727385817f78"
    + "a5a09775c8c4b468e0dec957f3f3da42fcfde333fffde737"),
};

// A function declaration, since the maps above are made before this line is reached.
function makeColours(text) {
  const stops = text.match(/.{8}/g).map(stop => stop.match(/../g).map(hex => parseInt(hex, 16)));
  const bytes = new Uint8ClampedArray(4 * 256).fill(255);
  for (let k = 0, next = 1; k < 256; k++) {
    if (k > stops[next][0]) next++;
    const [from, ...a] = stops[next - 1], [to, ...b] = stops[next];
    a.forEach((value, c) => bytes[4 * k + c] = value + (b[c] - value) * (k - from) / (to - from));
  }
  return new Uint32Array(bytes.buffer);
}

// Scales: `warp` takes the share of the clipped intensity to what is linear in colour, `unwarp`
// back from a place between the ends, 0 to 1. A logarithm begins at `floor`: there is none of 0.
const SCALES = {
  linear: {warp: share => share, unwarp: place => place},
  log: {
    warp: (share, floor) => Math.log(Math.max(share, floor)),
    unwarp: (place, floor) => place > 0 ? floor ** (1 - place) : 0,
  },
  root: {warp: share => Math.sqrt(share), unwarp: place => place * place},
};

// Return the 16-bit value at a quantile of those from `least` on, the greatest where there are
// none: the k-th smallest of n, k = ceil(quantile * n).
function findQuantile(values, quantile, least) {
  const counts = new Uint32Array(65536);
  let n = 0;
  for (let p = 0; p < values.length; p++) {
    if (values[p] >= least) { counts[values[p]]++; n++; }
  }
  const sought = Math.max(Math.ceil(quantile * n - 1e-9), 1);
  for (let value = least, seen = 0; value < 65536; value++) {
    seen += counts[value];
    if (seen >= sought) return value;
  }
  return 65535;
}

const imageRanges = new WeakMap();

// Where the colours of an image begin and end: `level`, the 16-bit value at the quantile `hot`
// (METASPACE's removal of hotspots: of the pixels above 1/256 of the brightest), and `floor`, the
// share of it at which logarithms begin, the lowest hundredth, at least a decade below.
function findRange(image, hot) {
  if (!imageRanges.has(image)) imageRanges.set(image, {});
  const known = imageRanges.get(image);
  known[hot] ??= {level: hot < 1 ? findQuantile(image.values, hot, 256) : 65535};
  const range = known[hot];
  range.floor ??= Math.min(findQuantile(image.values, 0.01, 1) / range.level, 0.1);
  return range;
}

// Return a function from the share of the clipped intensity to the place on the colour map.
function makePlace({scale = "linear", low = 0, high = 1}, floor) {
  const {warp} = SCALES[scale], from = warp(low, floor);
  const span = Math.max(warp(high, floor) - from, 1e-9);
  return share => Math.min(Math.max((warp(share, floor) - from) / span, 0), 1);
}

// Return the colour of each 16-bit value.
function colourValues({level, floor}, options, colours = COLOUR_MAPS[options.map ?? "viridis"]) {
  const place = makePlace(options, floor), table = new Uint32Array(65536);
  for (let value = 0; value < 65536; value++) {
    table[value] = colours[Math.min(Math.floor(256 * place(value / level)), 255)];
  }
  return table;
}

// Return the picture of an image; where `there` is 0, no spectrum, it is transparent.
function colourImage(image, there, options = {}) {
  const table = colourValues(findRange(image, options.hot ?? 1), options);
  const picture = new ImageData(image.width, image.height);
  const pixels = new Uint32Array(picture.data.buffer), {values} = image;
  for (let p = 0; p < values.length; p++) if (there[p]) pixels[p] = table[values[p]];
  return picture;
}

// Paint an image on a canvas that becomes as large, a pixel a pixel, in its true shape.
// Options: map (of COLOUR_MAPS), scale ("linear", "log", "root"), hot (the quantile that is full
// intensity, 1: the brightest pixel), low and high (shares of that intensity, where the colours
// begin and end). Where there is no spectrum the canvas is transparent, and its class hatches it.
async function paintImage(canvas, image, options) {
  const {width, height} = image, there = await mask, [x, y] = data.box.pixel_um ?? [1, 1];
  Object.assign(canvas, {width, height}).getContext("2d")
    .putImageData(colourImage(image, there, options), 0, 0);
  canvas.classList.add("ion-image");
  canvas.style.aspectRatio = `${width * x} / ${height * y}`;
}
