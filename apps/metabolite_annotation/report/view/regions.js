// Regions of the dataset, drawn here or given, and the intensities in them.
// A region is {name, colour, polygons}: polygons of rings of points [x, y], in measured pixels from
// the corner of the box; pixel p is from p to p + 1, and in a polygon if its centre is (even-odd).
// Public: regions, showRegions. The fragment keeps those drawn here, if it does not get too long.

const REGION_COLOURS = ["#e6550d", "#3182bd", "#31a354", "#c51b8a", "#b8860b", "#00868b", "#7b4fb5",
  "#a0522d"];
const LONGEST_FRAGMENT = 1500, NEAR_POINT = 9; // letters; pixels of the screen
const POINT_DIGITS = 1;

const regions = [...data.regions.map(given => ({...given, given: true})), ...readDrawn(state.regions)];
regions.forEach((region, k) => region.colour ??= REGION_COLOURS[k % REGION_COLOURS.length]);

// --- In the fragment: NAME:COLOUR:x,y,x,y,...;... ---

function readDrawn(text) {
  const found = text.split(";").map(part => {
    const [name, colour, points] = part.split(":"), numbers = (points ?? "").split(",").map(Number);
    if (numbers.length < 6 || numbers.length % 2 || !numbers.every(Number.isFinite)) return null;
    const ring = numbers.flatMap((x, k) => k % 2 ? [] : [[x, numbers[k + 1]]]);
    const isColour = /^[\da-f]{6}$/.test(colour);
    return {name: readName(name), colour: isColour ? `#${colour}` : undefined, polygons: [[ring]]};
  });
  return found.filter(region => region);
}

function readName(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function writeDrawn() {
  return regions.filter(region => !region.given).map(({name, colour, polygons}) =>
    [encodeURIComponent(name), colour.slice(1), polygons[0][0].flat()].join(":")).join(";");
}

function rememberRegions() {
  const text = writeDrawn(), isShort = text.length <= LONGEST_FRAGMENT;
  setState({regions: isShort ? text : ""});
  sayRegion(isShort ? "" : "These regions are too long for the address: keep them as GeoJSON.");
  showRegions();
}

const sayRegion = text => find("region-said").textContent = text;

// --- Pixels in a region ---

function isInside(polygon, x, y) {
  let isIn = false;
  for (const ring of polygon) {
    for (let k = 0; k < ring.length; k++) {
      const ends = [ring[k], ring[(k + 1) % ring.length]], isDown = ends[0][1] < ends[1][1];
      const [[x0, y0], [x1, y1]] = isDown ? ends : ends.reverse();
      if (y0 <= y && y < y1 && (x - x0) * (y1 - y0) < (y - y0) * (x1 - x0)) isIn = !isIn;
    }
  }
  return isIn;
}

// Return the pixels of the page's image with a spectrum whose centre is in a region.
function findCells({polygons}, there) {
  const {width, block} = data.box, cells = [];
  for (let p = 0; p < there.length; p++) {
    const x = (p % width + 0.5) * block, y = (Math.floor(p / width) + 0.5) * block;
    if (there[p] && polygons.some(polygon => isInside(polygon, x, y))) cells.push(p);
  }
  return cells;
}

const cellsOf = new WeakMap();

function getCells(region, there) {
  if (!cellsOf.has(region)) cellsOf.set(region, findCells(region, there));
  return cellsOf.get(region);
}

// Return what an image has in some pixels; `at` gives the value below which a share of them is.
function measureCells(cells, image) {
  const scale = image ? image.top / 65535 : 0;
  const values = Float64Array.from(cells, p => image ? image.values[p] * scale : 0).sort();
  const at = share => {
    const place = share * (values.length - 1), low = Math.floor(place), high = Math.ceil(place);
    return values[low] + (place - low) * (values[high] - values[low]);
  };
  const mean = values.length ? values.reduce((sum, v) => sum + v, 0) / values.length : NaN;
  return {n: values.length, signal: values.filter(v => v > 0).length, mean, at,
    median: values.length ? at(0.5) : NaN};
}

// --- Table, fold and plot of the annotation that is chosen ---

let regionsAsked = 0;

async function showRegions() {
  const asked = ++regionsAsked, there = await mask;
  const images = await readImages(columns.image[Number(state.ion)]);
  if (asked !== regionsAsked) return;
  const found = regions.map(region => measureCells(getCells(region, there), images?.[0]));
  find("region-table").tBodies[0].replaceChildren(...regions.map((region, k) =>
    makeRegionRow(region, found[k])));
  find("region-table").parentElement.hidden = !regions.length;
  for (const name of ["save-geojson", "save-regions"]) find(name).disabled = !regions.length;
  showFold(found);
  drawRegions(images ? found : []);
  paintRegions();
}

const plain = value => Number.isNaN(value) ? "–" : amount(value);

function makeRegionRow(region, {n, signal, mean, median}) {
  const said = `${signal.toLocaleString("en")} (${n ? Math.round(100 * signal / n) : 0} %)`;
  const cells = [n.toLocaleString("en"), said, plain(mean), plain(median)];
  const remove = make("button", {type: "button", ariaLabel: `Delete ${region.name}`}, "✕");
  remove.addEventListener("click", () => {
    regions.splice(regions.indexOf(region), 1);
    rememberRegions();
  });
  return make("tr", {}, make("th", {scope: "row"}, ...makeRegionInputs(region)),
    ...cells.map(text => make("td", {}, text)), make("td", {}, remove));
}

function makeRegionInputs(region) {
  const colour = make("input", {type: "color", value: region.colour, ariaLabel: "Colour"});
  const name = make("input", {type: "text", value: region.name, ariaLabel: "Name of the region"});
  for (const [key, input] of Object.entries({colour, name})) {
    input.addEventListener("change", () => {
      region[key] = input.value;
      rememberRegions();
    });
  }
  return [colour, name];
}

const foldOf = [0, 1];

function showFold(found) {
  const place = find("region-fold");
  place.hidden = regions.length < 2;
  if (place.hidden) return;
  const selects = foldOf.map((chosen, side) => {
    const options = regions.map(({name}, k) =>
      make("option", {value: k, selected: k === Math.min(chosen, regions.length - 1)}, name));
    const select = make("select", {ariaLabel: side ? "Divided by" : "Mean of"}, ...options);
    select.addEventListener("change", () => { foldOf[side] = Number(select.value); showFold(found); });
    return select;
  });
  const [over, under] = selects.map(select => found[Number(select.value)].mean);
  place.replaceChildren("Mean of ", selects[0], " over ", selects[1], ": ", sayFold(over / under));
}

function sayFold(fold) {
  if (!Number.isFinite(fold)) return "–";
  const log = fold > 0 ? `, log₂ ${signed(2)(Math.log2(fold))}` : "";
  return make("b", {}, `${Number(fold.toPrecision(3))} ×${log}`);
}

// Boxes from the lower to the upper quartile, lines from 5 to 95 %, a dot for the mean.
function drawRegions(found) {
  const known = found.map((one, k) => ({...one, ...regions[k]})).filter(({n}) => n);
  const top = Math.max(...known.map(({at, mean}) => Math.max(at(0.95), mean)), 0);
  const plot = find("region-plot");
  if (!known.length || !top) return plot.replaceChildren();
  const wide = 560, row = 30, left = 130, x = value => left + (wide - left - 20) * value / top;
  const rows = known.map((one, k) => drawBox(one, x, row * (k + 0.5) + 4));
  const end = row * known.length + 8;
  const ticks = [0, top / 2, top].flatMap(tick => [
    draw("line", {class: "axis", x1: x(tick), x2: x(tick), y1: end, y2: end + 5}),
    drawWords(amount(tick), {x: x(tick), y: end + 18, class: "middle soft"})]);
  plot.replaceChildren(draw("svg", {viewBox: `0 0 ${wide} ${end + 42}`, role: "img",
    "aria-label": "Intensities by region: the same figures as in the table"}, ...rows, ...ticks,
    draw("line", {class: "axis", x1: left, x2: x(top), y1: end, y2: end}),
    drawWords("intensity: quartiles, 5 to 95 %, and the mean", {x: x(top / 2), y: end + 36,
      class: "middle"})));
}

function drawWords(text, attributes) {
  return draw("text", attributes, text);
}

function drawBox({name, colour, at, mean}, x, y) {
  const [low, first, median, third, high] = [0.05, 0.25, 0.5, 0.75, 0.95].map(share => x(at(share)));
  const box = draw("g", {style: `--hue: ${colour}`},
    draw("line", {x1: low, x2: high, y1: y, y2: y}),
    draw("rect", {x: first, width: Math.max(third - first, 1), y: y - 8, height: 16}),
    draw("line", {x1: median, x2: median, y1: y - 8, y2: y + 8, "stroke-width": 3}),
    draw("circle", {cx: x(mean), cy: y, r: 3.5}));
  const short = name.length > 18 ? `${name.slice(0, 17)}…` : name;
  return draw("g", {}, drawWords(short, {x: x(0) - 8, y: y + 4, class: "end"}), box);
}

// --- Drawing on the image of the viewer ---

let drawing = null; // {kind, points, at, stop} while one is drawn; points are of the page's image
let toRegionScreen = (x, y) => [x, y];
let paintRegions = () => {};

function paintRegionLayer(context, toScreen) {
  toRegionScreen = toScreen;
  for (const {polygons, colour} of regions) {
    for (const ring of polygons.flat()) {
      paintRing(context, ring.map(([x, y]) => [x / data.box.block, y / data.box.block]), colour, true);
    }
  }
  if (drawing) paintRing(context, getOutline(), "#ffffff", drawing.kind === "rectangle");
}

function paintRing(context, points, colour, isClosed) {
  const path = new Path2D();
  points.forEach((point, k) => path[k ? "lineTo" : "moveTo"](...toRegionScreen(...point)));
  if (isClosed) path.closePath();
  context.save();
  for (const [style, wide] of [["rgb(0 0 0 / .7)", 4], [colour, 2]]) {
    Object.assign(context, {strokeStyle: style, lineWidth: wide, lineJoin: "round"});
    context.stroke(path);
  }
  context.restore();
}

// Return the points of what is being drawn, that under the pointer with them.
function getOutline() {
  const {kind, points, at} = drawing;
  if (kind === "polygon" || !points.length) return at ? [...points, at] : points;
  return makeRectangle(points[0], at ?? points[0]);
}

const makeRectangle = ([x0, y0], [x1, y1]) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];

function beginDrawing(kind) {
  const isSame = drawing?.kind === kind;
  endDrawing();
  if (isSame) return;
  drawing = {kind, points: [], at: null,
    stop: watchPointer({down: putPoint, move: movePoint, up: liftPoint})};
  find(`draw-${kind}`).setAttribute("aria-pressed", "true");
  find("ion-image").scrollIntoView({block: "center"});
  sayDrawing(kind === "polygon" ? "Click the corners of the region; the first one again, or Enter, "
    + "ends it; Escape leaves it." : "Drag from corner to corner of the region; Escape leaves it.");
}

function endDrawing() {
  drawing?.stop();
  drawing = null;
  for (const kind of ["polygon", "rectangle"]) {
    find(`draw-${kind}`).setAttribute("aria-pressed", "false");
  }
  sayDrawing("");
  paintRegions();
}

// Say over the image what to do with it: the buttons are out of sight then.
function sayDrawing(text) {
  Object.assign(find("drawing-said"), {textContent: text, hidden: !text});
  sayRegion(text);
}

function isNearFirst([x, y]) {
  const [here, first] = [[x, y], drawing.points[0]].map(point => toRegionScreen(...point));
  return Math.hypot(here[0] - first[0], here[1] - first[1]) < NEAR_POINT;
}

function putPoint({x, y}) {
  const {kind, points} = drawing;
  if (kind === "polygon" && points.length > 2 && isNearFirst([x, y])) return finishDrawing();
  if (kind === "polygon" || !points.length) points.push([x, y]);
  drawing.at = [x, y];
  paintRegions();
}

function movePoint({x, y}) {
  if (!drawing.points.length) return;
  drawing.at = [x, y];
  paintRegions();
}

function liftPoint({x, y}) {
  if (drawing?.kind !== "rectangle" || !drawing.points.length) return;
  drawing.at = [x, y];
  finishDrawing();
}

function finishDrawing() {
  const {kind, points, at} = drawing, {block} = data.box;
  const ring = kind === "polygon" ? points : makeRectangle(points[0], at ?? points[0]);
  endDrawing();
  find("regions").scrollIntoView(); // where the table is
  addRegion(ring.map(point => point.map(value => value * block)));
}

// Add a region of a ring in measured pixels; of one without area nothing is made.
function addRegion(ring) {
  const [wide, high] = data.box.full;
  const keep = (value, most) => Number(Math.min(Math.max(value, 0), most).toFixed(POINT_DIGITS));
  const kept = ring.map(([x, y]) => [keep(x, wide), keep(y, high)]);
  const area = kept.reduce((sum, [x, y], k) => {
    const [nextX, nextY] = kept[(k + 1) % kept.length];
    return sum + x * nextY - nextX * y;
  }, 0);
  if (kept.length < 3 || !area) return;
  const number = 1 + Math.max(0, ...regions.map(({name}) => Number(/^Region (\d+)$/.exec(name)?.[1] ?? 0)));
  const colour = REGION_COLOURS[regions.length % REGION_COLOURS.length];
  regions.push({name: `Region ${number}`, colour, polygons: [[kept]]});
  rememberRegions();
}

// --- Downloads ---

function saveGeojson() {
  const features = regions.map(({name, polygons}) => ({type: "Feature", properties: {name},
    geometry: {type: "MultiPolygon", coordinates: polygons.map(rings => rings.map(closeRing))}}));
  const text = JSON.stringify({type: "FeatureCollection", features});
  saveBlob(new Blob([text], {type: "application/geo+json"}), "regions.geojson");
}

const closeRing = ring => ring.at(-1).every((v, k) => v === ring[0][k]) ? ring : [...ring, ring[0]];

const quote = value => /[",\n]/.test(value) || /^[=+\-@]/.test(value)
  ? `"${String(value).replaceAll('"', '""')}"` : value;

async function saveRegionTable() {
  const there = await mask, rows = [["formula", "adduct", "database", "mz", "region", "pixels",
    "n_pixels", "mean", "median"]];
  for (let n = 0; n < total; n++) {
    const images = await readImages(columns.image[n]);
    if (n % 20 === 0) sayRegion(`Reading images: ${n} of ${total}`);
    if (!images) continue;
    const named = [columns.formula[n], columns.adduct[n], columns.database[n], columns.mz[n]];
    for (const region of regions) {
      const {n: pixels, signal, mean, median} = measureCells(getCells(region, there), images[0]);
      rows.push([...named, region.name, pixels, signal, mean.toPrecision(6), median.toPrecision(6)]);
    }
  }
  sayRegion("");
  const text = rows.map(row => row.map(quote).join(",")).join("\n") + "\n";
  saveBlob(new Blob([text], {type: "text/csv"}), "regions.csv");
}

// --- Begin ---

function listenToRegions() {
  for (const kind of ["polygon", "rectangle"]) {
    find(`draw-${kind}`).addEventListener("click", () => beginDrawing(kind));
  }
  find("save-geojson").addEventListener("click", saveGeojson);
  find("save-regions").addEventListener("click", saveRegionTable);
  find("region-numbers").addEventListener("submit", event => {
    event.preventDefault();
    const [x0, y0, x1, y1] = ["x0", "y0", "x1", "y1"].map(name => Number(event.target.elements[name].value));
    addRegion(makeRectangle([x0, y0], [x1, y1]));
  });
  addEventListener("keydown", event => {
    if (!drawing || !["Escape", "Enter"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Enter" && drawing.points.length > 2) finishDrawing();
    else if (event.key === "Escape") endDrawing();
  });
}

function beginRegions() {
  paintRegions = addLayer(paintRegionLayer);
  listenToRegions();
  watch(["ion"], showRegions);
  addEventListener("DOMContentLoaded", showRegions);
}

if (total && find("regions")) beginRegions();
