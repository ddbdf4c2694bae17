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
function splitImages(bytes, tops) {
  const {width, height} = data.box, size = width * height;
  let at = 0;
  return tops.map(top => {
    if (!top) return null;
    const values = new Uint16Array(size);
    for (let p = 0; p < size; p++) values[p] = bytes[at + p] | bytes[at + size + p] << 8;
    at += 2 * size;
    return {width, height, values, top};
  });
}

const MOST_UNPACKED = 200;
const unpacked = new Map();

// Promise the images of the isotope peaks of an ion, null for one without signal; or null
// where the ion has no picture here.
function readImages(ion) {
  const tops = data.tops[ion];
  if (!tops) return Promise.resolve(null);
  if (!unpacked.has(ion)) {
    if (unpacked.size >= MOST_UNPACKED) unpacked.delete(unpacked.keys().next().value);
    unpacked.set(ion, unpack(find(`image-${ion}`).textContent)
      .then(bytes => splitImages(bytes, tops)));
  }
  return unpacked.get(ion);
}

const readTotal = () => unpack(data.total.text).then(bytes => splitImages(bytes, data.total.tops)[0]);

// Promise where there is a spectrum: 1 or 0 for each pixel.
const mask = unpack(data.box.mask);
