// What was found: columns of the annotations, and images, unpacked when they are shown.

const data = JSON.parse(find("data").textContent);
const columns = data.columns, total = columns.formula.length;

const SIGNS = {"+": "⁺", "-": "⁻", "": ""};
const adduct = n => `[M${columns.adduct[n].replaceAll("-", "−")}]${SIGNS[data.sign]}`;
const level = n => `level${Math.round(100 * columns.fdr_level[n])}`;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// An image is {width, height, values, top}: values are 16 bits a pixel, top is what 65535 means.
// The first has two bytes a pixel, low ones first; the others have one.
function splitImages(bytes, tops) {
  const {width, height} = data.box, size = width * height;
  let at = 0;
  return tops.map((top, k) => {
    if (!top) return null;
    const values = new Uint16Array(size);
    if (k) for (let p = 0; p < size; p++) values[p] = 257 * bytes[at + p];
    else for (let p = 0; p < size; p++) values[p] = bytes[at + p] | bytes[at + size + p] << 8;
    at += k ? size : 2 * size;
    return {width, height, values, top};
  });
}

// Errors of m/z of the first image, ppm, NaN where there is no peak; null where the run has none.
// They stand at the end, a byte a pixel.
function splitErrors(bytes) {
  const {width, height} = data.box, size = width * height;
  if (!data.has_errors) return null;
  const packed = new Int8Array(bytes.buffer, bytes.length - size, size);
  return {width, height, values: Float32Array.from(packed, v => v < -127 ? NaN : data.ppm * v / 127)};
}

const MOST_UNPACKED = 200;
const unpacked = new Map();

function readIon(ion) {
  const tops = data.tops[ion];
  if (!tops) return Promise.resolve({images: null, errors: null});
  if (!unpacked.has(ion)) {
    if (unpacked.size >= MOST_UNPACKED) unpacked.delete(unpacked.keys().next().value);
    unpacked.set(ion, unpack(find(`image-${ion}`).textContent)
      .then(bytes => ({images: splitImages(bytes, tops), errors: splitErrors(bytes)})));
  }
  return unpacked.get(ion);
}

// Promise the images of the isotope peaks of an ion, null for one without signal; or null
// where the ion has no picture here.
const readImages = ion => readIon(ion).then(found => found.images);

// Promise the errors of m/z of its first image: {width, height, values}, or null.
const readErrors = ion => readIon(ion).then(found => found.errors);

const readTotal = () => unpack(data.total.text).then(bytes => splitImages(bytes, data.total.tops)[0]);

// Promise where there is a spectrum: 1 or 0 for each pixel.
const mask = unpack(data.box.mask);
