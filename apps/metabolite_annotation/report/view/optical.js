// The optical image under the ion image: given with the run, or a file of this computer, placed
// by points that are in both. Its transform takes pixels of the file to measured ones; what is
// drawn may be smaller than the file, whose size is `width` and `height`.

const opticalGiven = data.optical; // {uri, width, height, transform, file_size, placed} or null
const optical = {image: null, width: 0, height: 0, own: false, stage: null, half: null};
const LONGEST_DRAWN = 4096; // pixels of an edge

// The points of the state, [optical x, y, measured x, y].
const listPlaced = () => state.place.split(";").map(point => point.split(",").map(Number))
  .filter(point => point.length === 4 && point.every(Number.isFinite));

// Return the affine [a, b, c, d, e, f] that takes points nearest to where they belong (least
// squares), x' = a x + c y + e, y' = b x + d y + f; null where they are fewer than three or lie
// on a line.
function fitAffine(points) {
  const mean = [0, 1, 2, 3].map(k =>
    points.reduce((all, point) => all + point[k], 0) / points.length);
  const sum = (i, j) => points.reduce((all, p) => all + (p[i] - mean[i]) * (p[j] - mean[j]), 0);
  const [xx, xy, yy] = [sum(0, 0), sum(0, 1), sum(1, 1)], size = xx * yy - xy * xy;
  if (points.length < 3 || size < 1e-6 * (xx + yy) ** 2) return null;
  const [[a, c], [b, d]] = [2, 3].map(k => [(sum(0, k) * yy - sum(1, k) * xy) / size,
    (sum(1, k) * xx - sum(0, k) * xy) / size]);
  return [a, b, c, d, mean[2] - a * mean[0] - c * mean[1], mean[3] - b * mean[0] - d * mean[1]];
}

const applyAffine = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];

// Return the root of the mean square of what the points are off, in measured pixels.
function getResidual(transform, points) {
  const squares = points.map(([x, y, toX, toY]) => {
    const [atX, atY] = applyAffine(transform, x, y);
    return (atX - toX) ** 2 + (atY - toY) ** 2;
  });
  return Math.sqrt(squares.reduce((a, b) => a + b, 0) / points.length);
}

// Return the transform: by points where there are three, else that which was given.
function getTransform() {
  const placed = fitAffine(listPlaced());
  if (placed || optical.own || listPlaced().length || !opticalGiven) return placed;
  const {width, height, transform: [a, b, c, d, e, f], file_size: [wide, high]} = opticalGiven;
  const [across, down] = [width / wide, height / high];
  return [a * across, b * across, c * down, d * down, e, f].map(value => value * data.box.block);
}

const isOpticalShown = () => Boolean(optical.image && state.optical && getTransform());

// Paint the optical image under the box.
function paintOptical(context, {left, top, across, down}) {
  const {block} = data.box;
  context.save();
  context.translate(left, top);
  context.scale(across / block, down / block);
  context.transform(...getTransform());
  context.drawImage(optical.image, 0, 0, optical.width, optical.height);
  context.restore();
}

function paintMark(context, x, y, text) {
  Object.assign(context, {font: "600 12px system-ui, sans-serif", textAlign: "center"});
  const above = y < 22 ? y + 19 : y - 10; // or below, where the edge is near
  for (const [stroke, width] of [["#000", 4], ["#fff", 2]]) {
    Object.assign(context, {strokeStyle: stroke, lineWidth: width});
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.stroke();
    if (width === 4) context.strokeText(text, x, above);
  }
  context.fillStyle = "#fff";
  context.fillText(text, x, above);
}

// Mark the points in the ion image; in the optical one the next may wait for its place.
function paintPlaced(context, toScreen) {
  if (!optical.stage) return;
  listPlaced().forEach(([, , x, y], k) =>
    paintMark(context, ...toScreen(x / data.box.block, y / data.box.block), String(k + 1)));
}

function paintOpticalPane(context, place) {
  const {left, top, across, down} = place, {image, width, height, half} = optical;
  const placed = listPlaced();
  context.drawImage(image, left, top, width * across, height * down);
  const marks = half ? [...placed, half] : placed;
  marks.forEach(([x, y], k) => paintMark(context, ...turnTo(place)(x, y), String(k + 1)));
}

const round2 = value => Number(value.toFixed(2));

// A place in the optical image waits for its place in the ion image.
function tapOptical({x, y}) {
  optical.half = [round2(x), round2(y)];
  fillOptical();
}

function tapIon({x, y}) {
  if (!optical.half) return;
  const {block} = data.box, point = [...optical.half, round2(x * block), round2(y * block)];
  optical.half = null;
  setState({place: [...listPlaced(), point].map(String).join(";"), optical: "1"});
}

// Take a place that is typed: pixels of both images from their corners.
function addPlace() {
  const inputs = ["fromX", "fromY", "toX", "toY"].map(name => find("optical-form").elements[name]);
  const wrong = inputs.find(input => !input.value);
  if (!optical.stage || wrong) return void wrong?.focus();
  optical.half = null;
  const point = inputs.map(input => input.value).join();
  setState({place: [...listPlaced(), point].map(String).join(";"), optical: "1"});
  for (const input of inputs) input.value = "";
  inputs[0].focus();
}

function undoPlace() {
  if (optical.half) optical.half = null;
  else setState({place: listPlaced().slice(0, -1).map(String).join(";")});
  fillOptical();
}

function beginPlacing() {
  find("placing").hidden = false;
  find("viewer").classList.add("placing");
  const {width, height} = optical, canvas = find("optical-image");
  canvas.parentElement.style.aspectRatio = `${width} / ${height}`;
  optical.stage ??= makeStage(canvas, {paint: paintOpticalPane, tap: tapOptical, aims: true});
  setSize(optical.stage, width, height, 1);
  ionStage.aims = true;
  find("viewer").scrollIntoView();
  fillOptical();
}

function endPlacing() {
  find("placing").hidden = true;
  find("viewer").classList.remove("placing");
  Object.assign(optical, {stage: null, half: null});
  ionStage.aims = false;
  fillOptical();
}

// Say what is next, and what the points make.
function sayPlacing() {
  const points = listPlaced(), n = points.length, transform = fitAffine(points);
  if (optical.half) return `Now click the same place ${n + 1} in the ion image.`;
  const next = `Click place ${n + 1} in the optical image below.`;
  if (n < 3) return next;
  if (!transform) return `The places lie on a line: one must be beside it. ${next}`;
  if (n === 3) return `Placed. ${next} More than three show how well they agree.`;
  const off = getResidual(transform, points);
  const length = PIXEL ? ` (${(off * (PIXEL[0] + PIXEL[1]) / 2).toPrecision(2)} µm)` : "";
  return `Placed by ${n} places; they are off by ${off.toPrecision(2)} pixels${length} on average.`;
}

function sayPlaced() {
  if (!getTransform()) return "Not placed yet, so not shown.";
  const isAssumed = opticalGiven && !opticalGiven.placed && !optical.own && !listPlaced().length;
  return isAssumed ? "Laid over the whole image, since nobody said where it belongs." : "";
}

function sayOptical() {
  if (optical.image) return sayPlaced();
  return listPlaced().length
    ? "The address knows three places: choose the optical image that they are of." : "";
}

// Return the option that places the file.
const sayTransform = transform =>
  `--optical-transform=${transform.map(value => Number(value.toFixed(9))).join(",")}`;

function fillOptical() {
  const form = find("optical-form"), transform = getTransform();
  const isShown = Boolean(optical.image && transform);
  form.elements.optical.checked = Boolean(state.optical);
  form.elements.opacity.value = readNumber("opacity", 0, 1);
  find("optical-seen").hidden = !isShown;
  find("optical-said").textContent = sayOptical();
  find("placing-said").textContent = optical.stage ? sayPlacing() : "";
  find("place-begin").hidden = !optical.image || Boolean(optical.stage);
  find("transform-said").hidden = !transform;
  find("transform").textContent = transform ? sayTransform(transform) : "";
  askPaint(ionStage);
  if (optical.stage) askPaint(optical.stage);
}

// Take a file of this computer; nothing is sent anywhere.
async function takeOptical(blob) {
  try {
    const full = await createImageBitmap(blob), {width, height} = full;
    Object.assign(optical, {width, height, own: true, image: await shrinkImage(full)});
  } catch {
    find("optical-said").textContent = "This file is no image that the browser can read.";
    return;
  }
  if (listPlaced().length) fillOptical();
  else beginPlacing();
}

function shrinkImage(full) {
  const {width, height} = full, share = LONGEST_DRAWN / Math.max(width, height);
  return share >= 1 ? full : createImageBitmap(full, {resizeWidth: Math.ceil(width * share),
    resizeHeight: Math.ceil(height * share), resizeQuality: "high"});
}

async function readGiven() {
  const image = new Image(), [width, height] = opticalGiven.file_size;
  image.src = opticalGiven.uri;
  await image.decode();
  if (!optical.own) Object.assign(optical, {image, width, height});
  fillOptical();
}

function listenToOptical() {
  const form = find("optical-form"), listen = (name, what, act) =>
    form.elements[name].addEventListener(what, event => act(event.target));
  form.addEventListener("submit", event => {
    event.preventDefault();
    addPlace();
  });
  listen("optical", "change", box => setState({optical: box.checked ? "1" : ""}));
  listen("opacity", "input", slider => setState({opacity: slider.value}));
  listen("file", "change", input => input.files[0] && takeOptical(input.files[0]));
  find("place-begin").addEventListener("click", beginPlacing);
  find("place-undo").addEventListener("click", undoPlace);
  find("place-clear").addEventListener("click", () => {
    optical.half = null;
    setState({place: ""});
    fillOptical();
  });
  find("place-done").addEventListener("click", endPlacing);
  watch(["place", "optical", "opacity"], fillOptical);
  fillOptical();
  if (opticalGiven) readGiven();
}

if (total) listenToOptical();
