// What the viewer shows, to keep: a figure as PNG, and values as 16-bit TIFF.

const FIGURE = 1200; // pixels of the longer edge, about
const PER_INCH = 300; // pixels of a figure in an inch of paper

function saveBlob(blob, name) {
  const link = make("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const datasetName = document.title.replace(/^Annotation: /, "");

function nameFile(ending) {
  const ions = ionShown.parts.map(({n}) => columns.formula[n] + columns.adduct[n]);
  return `${[datasetName, ...ions].join("_")}.${ending}`.replaceAll(/[^\w.+-]+/g, "_");
}

// --- The figure ---

// Return the part of the image that is seen, in its pixels: {x, y, width, height}.
function getSeen() {
  const {left, top, across, down, wide, high} = getPlace(ionStage), {width, height} = ionStage.size;
  const [x, y] = [Math.max(-left / across, 0), Math.max(-top / down, 0)];
  return {x, y, width: Math.min((wide - left) / across, width) - x,
    height: Math.min((high - top) / down, height) - y};
}

// Return a canvas with the figure: `times` pixels for each of the image, `framed` with a title,
// a scale bar and a colour bar.
function makeFigure(times, framed) {
  const seen = getSeen(), [across, down] = STRETCH >= 1 ? [times, times * STRETCH]
    : [times / STRETCH, times];
  const wide = Math.round(seen.width * across), high = Math.round(seen.height * down);
  const unit = framed ? Math.max(12, Math.round(Math.max(wide, high) / 36)) : 0;
  const isOne = ionShown.parts.length === 1 && !ionShown.parts[0].channel;
  const frame = {unit, left: unit, top: Math.round(4.3 * unit), right: isOne ? 7 * unit : unit,
    bottom: Math.round((isOne ? 3.5 : 4 + 1.5 * ionShown.parts.length) * unit), wide, high};
  const canvas = make("canvas", {width: Math.max(wide, 14 * unit) + frame.left + frame.right,
    height: high + frame.top + frame.bottom});
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const place = {across, down, wide, high, left: frame.left - seen.x * across,
    top: frame.top - seen.y * down};
  paintFigure(context, place, frame);
  askPaint(ionStage); // layers know the page's canvas again
  if (framed) paintFrame(context, place, frame, isOne);
  return canvas;
}

function paintFigure(context, place, {left, top, wide, high}) {
  context.save();
  context.beginPath();
  context.rect(left, top, wide, high);
  context.clip();
  paintScene(context, place, true);
  context.restore();
}

function paintFrame(context, place, frame, isOne) {
  const {unit, left, top, high} = frame;
  const lineWidth = Math.max(unit / 12, 1);
  Object.assign(context, {fillStyle: "#000", strokeStyle: "#000", lineWidth});
  context.strokeRect(left, top, frame.wide, high);
  const [first, ...rest] = titleFigure(isOne);
  paintText(context, first, left, 1.9 * unit, 1.25 * unit, "600 ");
  rest.forEach((line, k) => paintText(context, line, left, (3.4 + 1.3 * k) * unit, unit));
  const {length, said} = chooseScaleBar(place, frame.wide / 3);
  context.fillRect(left, top + high + unit, length, unit / 3);
  paintText(context, said, left, top + high + 2.6 * unit, unit);
  const hasHatch = ionShown.there.includes(0) && !isOpticalShown();
  if (hasHatch && frame.wide > 18 * unit) paintNoSpectrum(context, frame);
  if (isOne) paintColourBar(context, frame);
  else paintKeys(context, frame);
}

function paintNoSpectrum(context, {unit, left, top, wide, high}) {
  const x = left + wide - 8.2 * unit, y = top + high + 1.8 * unit;
  context.fillStyle = makeHatch(context, true);
  context.fillRect(x, y, 1.4 * unit, unit);
  context.fillStyle = "#000";
  context.strokeRect(x, y, 1.4 * unit, unit);
  paintText(context, "no spectrum", x + 1.8 * unit, y + 0.8 * unit, unit);
}

// Return the lines over the figure.
function titleFigure(isOne) {
  const {n} = ionShown.parts[0];
  return isOne ? [nameAnnotation(n), `m/z ${columns.mz[n].toFixed(4)}, ${datasetName}`]
    : [ionShown.parts.map(part => columns.formula[part.n]).join(", "), datasetName];
}

// Write a line, smaller where it would be cut.
function paintText(context, text, x, y, size, weight = "") {
  const most = context.canvas.width - x - size / 2, write = pixels => {
    context.font = `${weight}${pixels}px "Helvetica Neue", Arial, sans-serif`;
    return context.measureText(text).width;
  };
  const wide = write(size);
  if (wide > most) write(Math.max(size * most / wide, 7));
  context.textAlign = "left";
  context.fillText(text, x, y, most);
}

function paintColourBar(context, {unit, left, top, wide, high}) {
  const {map, scale, low, high: most, hot} = ionSettings(), {image} = ionShown.parts[0];
  const {level, floor} = findRange(image, hot), full = image.top * level / 65535;
  const apart = Math.max(0.12, 1.4 * unit / high);
  const from = toAxis(low, scale, floor), to = toAxis(most, scale, floor), x = left + wide + unit;
  const bytes = new Uint8ClampedArray(COLOUR_MAPS[map].buffer);
  for (let k = 0; k < high; k++) {
    const c = 4 * Math.min(Math.floor(256 * (1 - (k + 0.5) / high)), 255);
    context.fillStyle = `rgb(${bytes[c]} ${bytes[c + 1]} ${bytes[c + 2]})`;
    context.fillRect(x, top + k, unit, 1);
  }
  context.fillStyle = "#000";
  context.strokeRect(x, top, unit, high);
  for (const {value, at} of makeTicks(full * most, scale, floor / most, apart)) {
    const share = (toAxis(value / full, scale, floor) - from) / (to - from);
    if (!(share >= 0 && share <= 1)) continue;
    const y = top + high * (1 - share);
    context.fillRect(x + unit, y - context.lineWidth / 2, unit / 3, context.lineWidth);
    paintText(context, sayIntensity(value), x + 1.6 * unit, y + 0.35 * unit, unit);
  }
}

// Name the colours of an overlay, with the intensity that is full colour.
function paintKeys(context, {unit, left, top, high}) {
  ionShown.parts.forEach(({channel, n}, k) => {
    const y = top + high + (4.4 + 1.5 * k) * unit;
    context.fillStyle = {red: "#f00", green: "#0f0", blue: "#00f"}[channel];
    context.fillRect(left, y - 0.8 * unit, unit, unit);
    context.fillStyle = "#000";
    paintText(context, `${nameAnnotation(n)} m/z ${columns.mz[n].toFixed(4)}, ${sayMost(channel)}`,
      left + 1.5 * unit, y, unit);
  });
}

// --- Its size on paper ---

// Return the check of bytes that PNG wants (CRC-32).
function checkBytes(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum >>> 1 ^ (sum & 1 && 0xedb88320);
  }
  return ~sum >>> 0;
}

// Return a PNG that says how many of its pixels are an inch: a chunk pHYs, in pixels a metre,
// after the header, which ends at byte 33.
async function sizePng(blob) {
  const chunk = new DataView(new ArrayBuffer(21)), metre = Math.round(PER_INCH / 0.0254);
  [9, 0x70485973, metre, metre].forEach((value, k) => chunk.setUint32(4 * k, value));
  chunk.setUint8(16, 1); // the unit is the metre
  chunk.setUint32(17, checkBytes(new Uint8Array(chunk.buffer, 4, 13)));
  return new Blob([blob.slice(0, 33), chunk, blob.slice(33)], {type: "image/png"});
}

// --- The values ---

// Return a TIFF of 16-bit images, uncompressed, a page each: {image, description}. The ratios are
// [pixels, units] across and down; unit 3 is the centimetre, 1 is none.
function makeTiff(pages, ratios, unit) {
  const chunks = [Uint8Array.of(0x49, 0x49, 42, 0, 8, 0, 0, 0)]; // little-endian, first page at 8
  let at = 8;
  pages.forEach((page, k) => {
    const bytes = makeTiffPage(page, at, ratios, unit, k + 1 === pages.length);
    chunks.push(bytes);
    at += bytes.byteLength;
  });
  return new Blob(chunks, {type: "image/tiff"});
}

// Return the bytes of a page that begins at a place of the file: its tags, its description, the
// two ratios, its values.
function makeTiffPage({image: {width, height, values}, description}, at, ratios, unit, isLast) {
  const said = new TextEncoder().encode(`${description}\0`), size = 2 * values.length;
  const saidAt = 2 + 12 * 13 + 4, ratiosAt = saidAt + said.length + said.length % 2;
  const valuesAt = ratiosAt + 16, end = valuesAt + size;
  // Tag, type (2 text, 3 and 4 whole numbers of 16 and 32 bits, 5 ratio), count, value or place
  const tags = [[256, 4, 1, width], [257, 4, 1, height], [258, 3, 1, 16], [259, 3, 1, 1],
    [262, 3, 1, 1], [270, 2, said.length, at + saidAt], [273, 4, 1, at + valuesAt], [277, 3, 1, 1],
    [278, 4, 1, height], [279, 4, 1, size], [282, 5, 1, at + ratiosAt],
    [283, 5, 1, at + ratiosAt + 8], [296, 3, 1, unit]];
  const bytes = new DataView(new ArrayBuffer(end));
  bytes.setUint16(0, tags.length, true);
  tags.forEach((tag, row) => putTag(bytes, 2 + 12 * row, tag));
  bytes.setUint32(saidAt - 4, isLast ? 0 : at + end, true);
  new Uint8Array(bytes.buffer).set(said, saidAt);
  ratios.flat().forEach((value, k) => bytes.setUint32(ratiosAt + 4 * k, value, true));
  values.forEach((value, p) => bytes.setUint16(valuesAt + 2 * p, value, true));
  return bytes.buffer;
}

function putTag(bytes, at, [tag, type, count, value]) {
  bytes.setUint16(at, tag, true);
  bytes.setUint16(at + 2, type, true);
  bytes.setUint32(at + 4, count, true);
  bytes.setUint32(at + 8, value, true);
}

function describeImage({n, image}) {
  const {block} = data.box;
  return [`${columns.formula[n]} ${columns.adduct[n]}`, `m/z ${columns.mz[n]}`,
    `dataset ${datasetName}`, `intensity = value * ${image.top / 65535}`,
    "0 is no signal or no spectrum",
    PIXEL ? `pixel ${PIXEL[0] * block} x ${PIXEL[1] * block} um` : "pixel of unknown size",
    ...(block > 1 ? [`each the mean of ${block} x ${block} measured pixels`] : [])].join("\n");
}

function saveTiff() {
  const pages = ionShown.parts.map(part => ({image: part.image, description: describeImage(part)}));
  // Pixels in a centimetre: ten million nanometres over those of a pixel.
  const ratio = axis => PIXEL ? [1e7, Math.round(1000 * PIXEL[axis] * data.box.block)] : [1, 1];
  saveBlob(makeTiff(pages, [ratio(0), ratio(1)], PIXEL ? 3 : 1), nameFile("tif"));
}

function listenToDownload() {
  const form = find("downloads"), {times: {max}} = form.elements, {width, height} = data.box;
  const fitting = Math.floor(FIGURE / Math.max(width, height));
  form.elements.times.value = Math.min(Math.max(fitting, 1), max);
  form.addEventListener("submit", event => event.preventDefault());
  find("save-tiff").addEventListener("click", saveTiff);
  find("save-png").addEventListener("click", () => {
    const times = Math.min(Math.max(Math.round(form.elements.times.value) || 1, 1), max);
    makeFigure(times, form.elements.framed.checked)
      .toBlob(async blob => saveBlob(await sizePng(blob), nameFile("png")));
  });
}

if (total) listenToDownload();
