// The viewer of ion images: one annotation, or three as red, green and blue.
// For others:
//   showIon()                       show what the state says
//   viewSettings()                  how images are painted now, for paintImage
//   addLayer(paint)                 paint(context, toScreen) draws on the image: toScreen(x, y) is
//                                   [x, y] on the canvas of a point in pixels of the page's image
//                                   (not measured ones: data.box.block of them are one here);
//                                   returns what asks for another painting
//   watchPointer({down, move, up})  each gets ({x, y}, event), {x, y} in pixels of the image;
//                                   the image is not moved by dragging until the function that
//                                   is returned is called

const ionStage = total ? makeStage(find("ion-image"), {paint: paintScene, hover: sayPointer,
  tap: point => tapIon(point), moved: rememberZoom}) : null;
const layers = [];
const ionShown = {parts: [], there: null, picture: document.createElement("canvas"), asked: 0};

const PIXEL = data.box.pixel_um ?? null; // [x, y] of a measured pixel
const STRETCH = PIXEL ? PIXEL[1] / PIXEL[0] : 1;

function addLayer(paint) {
  layers.push(paint);
  return () => askPaint(ionStage);
}

function watchPointer(watcher) {
  ionStage.watchers.push(watcher);
  askPaint(ionStage);
  return () => {
    ionStage.watchers = ionStage.watchers.filter(other => other !== watcher);
    askPaint(ionStage);
  };
}

// Return a number of the state, its default where it is none or out of bounds.
function readNumber(name, least, most) {
  const value = Number(state[name] || NaN);
  return value >= least && value <= most ? value : Number(DEFAULTS[name]);
}

const viewSettings = () => ({
  map: Object.hasOwn(COLOUR_MAPS, state.map) ? state.map : DEFAULTS.map,
  scale: Object.hasOwn(SCALES, state.scale) ? state.scale : DEFAULTS.scale,
  hot: readNumber("hot", 0.5, 1),
});

const ionSettings = () =>
  ({...viewSettings(), low: readNumber("low", 0, 1), high: readNumber("high", 0, 1)});

// Return what is to be seen: [{n, channel}], without channel where it is one annotation.
function listParts() {
  const channels = isOverlay() ? listChannels() : [];
  return channels.length ? channels : [{n: Number(state.ion), channel: ""}];
}

// Show what the state says; images that arrive late are not shown over later ones.
async function showIon() {
  const asked = ++ionShown.asked, wanted = listParts();
  const images = await Promise.all(wanted.map(({n}) => readImages(columns.image[n])));
  const there = await mask;
  if (asked !== ionShown.asked) return;
  const parts = wanted.map((part, k) => ({...part, image: images[k]?.[0] ?? null}));
  Object.assign(ionShown, {there, parts: parts.filter(part => part.image)});
  find("no-picture").hidden = ionShown.parts.length > 0;
  find("no-picture").textContent = "No picture here: the page has images of the best ions only. "
    + "All are in results.h5.";
  colourIon();
}

// Paint the picture anew: another ion, or other colours.
function colourIon() {
  const {parts, there, picture} = ionShown, {width, height} = data.box;
  Object.assign(picture, {width, height});
  if (parts.length) {
    const pixels = parts[0].channel ? colourOverlay(parts, there)
      : colourImage(parts[0].image, there, ionSettings());
    picture.getContext("2d").putImageData(pixels, 0, 0);
  }
  fillControls();
  askPaint(ionStage);
}

// Paint all that is seen; `paper` is for a figure: light, and without what the page says beside it.
function paintScene(context, place, paper = false) {
  const {width, height} = ionStage.size, {left, top, across, down} = place;
  const box = [left, top, width * across, height * down];
  context.fillStyle = makeHatch(context, paper);
  context.fillRect(...box);
  const isUnder = isOpticalShown();
  if (isUnder) paintOptical(context, place);
  context.save();
  context.imageSmoothingEnabled = false;
  context.globalAlpha = isUnder ? readNumber("opacity", 0, 1) : 1;
  context.drawImage(ionShown.picture, ...box);
  context.restore();
  for (const paint of layers) paint(context, turnTo(place));
  if (!paper) paintPageMarks(context, place, box);
}

function paintPageMarks(context, place, box) {
  Object.assign(context, {strokeStyle: readColour("--faint"), lineWidth: 1});
  context.strokeRect(...box);
  paintPlaced(context, turnTo(place));
  const {length, said} = chooseScaleBar(place, place.wide / 4);
  Object.assign(context, {font: "600 12px system-ui, sans-serif", textAlign: "center"});
  const wide = Math.max(length, context.measureText(said).width) + 16;
  const [x, y] = [10, place.high - 10 - 32];
  context.fillStyle = "rgb(0 0 0 / .62)";
  context.fillRect(x, y, wide, 32);
  context.fillStyle = "#fff";
  context.fillText(said, x + wide / 2, y + 14);
  context.fillRect(x + (wide - length) / 2, y + 21, length, 4);
}

const readColour = name => getComputedStyle(document.documentElement).getPropertyValue(name);

// Return the pattern of no spectrum, of colours that no map has.
function makeHatch(context, paper) {
  const tile = document.createElement("canvas"), size = 8, end = paper ? "-paper" : "";
  Object.assign(tile, {width: size, height: size});
  const pen = tile.getContext("2d");
  pen.fillStyle = readColour(`--none${end}`);
  pen.fillRect(0, 0, size, size);
  Object.assign(pen, {strokeStyle: readColour(`--none-line${end}`), lineWidth: 2});
  for (const x of [-size, 0, size]) pen.moveTo(x, size), pen.lineTo(x + size, 0);
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

// Return the longest of 1, 2, 5, 10, ... that is at most so many.
function chooseLength(most) {
  const power = 10 ** Math.floor(Math.log10(most) + 1e-9);
  return power * [5, 2, 1].find(times => times * power <= most * (1 + 1e-9));
}

// Return the length on the canvas of a scale bar, at most `most`, and what it is of.
function chooseScaleBar({across}, most) {
  const unit = (PIXEL ? PIXEL[0] : 1) * data.box.block; // of a pixel of the page's image
  const size = PIXEL ? chooseLength(most / across * unit)
    : Math.max(chooseLength(most / across * unit), 1);
  const digits = value => String(Number(value.toPrecision(3)));
  const said = !PIXEL ? `${digits(size)} pixel${size > 1 ? "s" : ""}`
    : size >= 1000 ? `${digits(size / 1000)} mm` : `${digits(size)} µm`;
  return {length: size / unit * across, said};
}

function sayIntensity(value) {
  if (value === 0 || (value >= 0.01 && value < 1e4)) return String(Number(value.toPrecision(4)));
  return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
}

// Return the measured pixels that a pixel of the page's image is of, along one axis.
function sayPixel(at, size) {
  const {block} = data.box, from = at * block, to = Math.min(from + block, size) - 1;
  return from < to ? `${from}–${to}` : String(from);
}

// Say what is under the pointer.
function sayPointer(point) {
  const {width, height, block, full} = data.box, readout = find("readout");
  const x = Math.floor(point?.x ?? -1), y = Math.floor(point?.y ?? -1);
  if (x < 0 || y < 0 || x >= width || y >= height) return void (readout.textContent = "");
  const [wide, high] = full ?? [width * block, height * block];
  readout.textContent = `x ${sayPixel(x, wide)}, y ${sayPixel(y, high)}: `
    + sayValues(y * width + x);
}

function sayValues(p) {
  const {parts, there} = ionShown;
  if (!there?.[p]) return "no spectrum";
  return parts.map(({channel, image: {values, top}}) =>
    `${channel || "intensity"} ${sayIntensity(top * values[p] / 65535)}`).join(", ");
}

let zoomTimer = 0;

function rememberZoom() {
  clearTimeout(zoomTimer);
  zoomTimer = setTimeout(() => {
    const {k, x, y} = ionStage.view;
    setState({zoom: k > 1 ? [k, x, y].map(value => Number(value.toFixed(2))).join(",") : ""});
  }, 250);
}

function followZoom() {
  const [k, x, y] = state.zoom.split(",").map(Number), {width, height} = data.box;
  const known = [k, x, y].every(Number.isFinite);
  setView(ionStage, known ? {k, x, y} : {k: 1, x: width / 2, y: height / 2});
}

function listenToZoom() {
  const keys = {"+": 1.5, "=": 1.5, "-": 1 / 1.5, "0": 0};
  const zoom = factor => factor ? zoomAt(ionStage, factor) : zoomAt(ionStage, 1 / MOST_ZOOM);
  find("zoom-in").addEventListener("click", () => zoom(1.5));
  find("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  find("zoom-all").addEventListener("click", () => zoom(0));
  addEventListener("keydown", event => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey
      || event.target.closest("input, select, textarea")) return;
    zoom(keys[event.key]);
    event.preventDefault();
  });
}

function beginViewer() {
  const {width, height} = data.box;
  find("stage").style.aspectRatio = `${width} / ${height * STRETCH}`;
  setSize(ionStage, width, height, STRETCH);
  followZoom();
  listenToZoom();
  watch(["zoom"], followZoom);
  watch(["map", "scale", "low", "high", "hot", "redmax", "greenmax", "bluemax"], colourIon);
  watch(["overlay", "red", "green", "blue"], showIon);
  watch(["opacity", "optical"], () => askPaint(ionStage));
  matchMedia("(prefers-color-scheme: dark)")
    .addEventListener("change", () => askPaint(ionStage));
}

if (total) beginViewer();
