// Colour maps, and images painted by them.

const COLOUR_MAPS = {};

function makeColours(stops) {
  const colours = new Uint8ClampedArray(4 * 256), last = stops.length - 1;
  for (let k = 0; k < 256; k++) {
    const at = Math.min(Math.floor(k / 255 * last), last - 1), share = k / 255 * last - at;
    const [a, b] = [stops[at], stops[at + 1]].map(stop =>
      [1, 3, 5].map(from => parseInt(stop.slice(from, from + 2), 16)));
    a.forEach((from, c) => colours[4 * k + c] = from + share * (b[c] - from));
    colours[4 * k + 3] = 255;
  }
  return colours;
}

COLOUR_MAPS.viridis = makeColours(["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c",
  "#28ae80", "#5ec962", "#addc30", "#fde725"]);

// Paint an image; where there is no spectrum it is transparent. `low` and `high` are shares
// of the image's top.
async function paintImage(canvas, image, {map = "viridis", low = 0, high = 1} = {}) {
  const {width, height, values} = image, there = await mask;
  const picture = new ImageData(width, height), colours = COLOUR_MAPS[map];
  for (let p = 0; p < values.length; p++) {
    if (!there[p]) continue;
    const share = Math.min(Math.max((values[p] / 65535 - low) / (high - low), 0), 1);
    const at = 4 * Math.round(255 * share);
    picture.data.set(colours.subarray(at, at + 4), 4 * p);
  }
  Object.assign(canvas, {width, height}).getContext("2d").putImageData(picture, 0, 0);
}
