// A canvas whose picture is zoomed and moved: by wheel, pinch, drag, double click and keys.
// makeStage(canvas, {paint, hover, tap, moved}), askPaint, setView, zoomAt, getPlace, turnTo.
// A view is {k, x, y}: how much greater than fitted, and the picture's point in the middle.
// A place says where the picture is: {left, top} of its corner, {across, down} of its pixel, in
// pixels of the page.

const MOST_ZOOM = 40, STILL = 4; // pixels that a finger may move and yet only tap

function makeStage(canvas, handlers) {
  const size = {width: 1, height: 1, stretch: 1};
  const stage = {canvas, size, view: {k: 1, x: 0.5, y: 0.5}, asked: false, pointers: new Map(),
    watchers: [], hover() {}, tap() {}, moved() {}, ...handlers};
  listenToPointers(stage);
  listenToWheel(stage);
  canvas.addEventListener("keydown", event => moveByKey(stage, event));
  new ResizeObserver(() => askPaint(stage)).observe(canvas);
  return stage;
}

// Take another size of the picture: its pixels, and how high one is beside its width.
function setSize(stage, width, height, stretch) {
  Object.assign(stage.size, {width, height, stretch});
  setView(stage, {k: 1, x: width / 2, y: height / 2});
}

function getPlace({canvas, size: {width, height, stretch}, view: {k, x, y}}) {
  const wide = canvas.clientWidth, high = canvas.clientHeight;
  const across = k * Math.min(wide / width, high / (height * stretch)), down = across * stretch;
  return {across, down, left: wide / 2 - x * across, top: high / 2 - y * down, wide, high};
}

// Return where a point of the page, from the canvas' corner, is in the picture; and back.
const toPicture = ({left, top, across, down}, x, y) =>
  ({x: (x - left) / across, y: (y - top) / down});
const turnTo = ({left, top, across, down}) => (x, y) => [left + x * across, top + y * down];

// Paint before the next frame, once.
function askPaint(stage) {
  if (stage.asked) return;
  stage.asked = true;
  requestAnimationFrame(() => {
    stage.asked = false;
    paintStage(stage);
  });
}

function paintStage(stage) {
  const {canvas, view, watchers} = stage, ratio = devicePixelRatio;
  const context = canvas.getContext("2d");
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  context.scale(ratio, ratio);
  stage.paint(context, getPlace(stage));
  // A finger scrolls the page where there is nothing to move.
  canvas.style.touchAction = view.k > 1 || watchers.length ? "none" : "pan-y";
  canvas.style.cursor = watchers.length || stage.aims ? "crosshair" : view.k > 1 ? "grab" : "";
}

// Show another part, at most to the picture's edges.
function setView(stage, {k, x, y}) {
  const {size: {width, height}, view} = stage;
  view.k = Math.min(Math.max(k || 1, 1), MOST_ZOOM);
  const {across, down, wide, high} = getPlace(stage);
  const keep = (at, length, seen) =>
    seen < length ? Math.min(Math.max(at, seen / 2), length - seen / 2) : length / 2;
  view.x = across ? keep(x, width, wide / across) : x;
  view.y = down ? keep(y, height, high / down) : y;
  askPaint(stage);
}

// Zoom about a point of the canvas, its middle by default.
function zoomAt(stage, factor, at) {
  const {canvas: {clientWidth, clientHeight}, view} = stage;
  const {x, y} = at ?? {x: clientWidth / 2, y: clientHeight / 2};
  const fixed = toPicture(getPlace(stage), x, y);
  view.k = Math.min(Math.max(view.k * factor, 1), MOST_ZOOM);
  const now = toPicture(getPlace(stage), x, y);
  setView(stage, {k: view.k, x: view.x + fixed.x - now.x, y: view.y + fixed.y - now.y});
  stage.moved();
}

function moveBy(stage, x, y) {
  const {view} = stage, {across, down} = getPlace(stage);
  setView(stage, {k: view.k, x: view.x - x / across, y: view.y - y / down});
  stage.moved();
}

function moveByKey(stage, event) {
  const steps = {ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60]};
  if (!event.shiftKey || !(event.key in steps)) return;
  moveBy(stage, ...steps[event.key]);
  event.preventDefault();
  event.stopPropagation();
}

// The wheel zooms; out of the fitted picture it scrolls the page on.
function listenToWheel(stage) {
  const {canvas} = stage;
  canvas.addEventListener("wheel", event => {
    if (event.deltaY > 0 && stage.view.k === 1) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoomAt(stage, 2 ** (-event.deltaY * lines / 300), getPoint(event));
  }, {passive: false});
  canvas.addEventListener("dblclick", event => {
    if (stage.watchers.length || stage.aims) return;
    zoomAt(stage, event.shiftKey ? 0.5 : 2, getPoint(event));
  });
}

const getPoint = event => ({x: event.offsetX, y: event.offsetY});

function listenToPointers(stage) {
  const {canvas} = stage;
  canvas.addEventListener("pointerdown", event => putDown(stage, event));
  canvas.addEventListener("pointermove", event => moveOn(stage, event));
  canvas.addEventListener("pointerup", event => lift(stage, event));
  canvas.addEventListener("pointercancel", event => stage.pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => stage.hover(null));
}

function tellWatchers(stage, what, event) {
  const {x, y} = getPoint(event), point = toPicture(getPlace(stage), x, y);
  for (const watcher of stage.watchers) watcher[what]?.(point, event);
}

function putDown(stage, event) {
  if (event.button !== 0) return;
  stage.canvas.setPointerCapture(event.pointerId);
  const at = getPoint(event);
  stage.pointers.set(event.pointerId, {...at, from: at});
  if (stage.pointers.size === 1) tellWatchers(stage, "down", event);
}

function moveOn(stage, event) {
  const at = getPoint(event), before = stage.pointers.get(event.pointerId);
  stage.hover(toPicture(getPlace(stage), at.x, at.y));
  if (stage.watchers.length && stage.pointers.size < 2) return tellWatchers(stage, "move", event);
  if (!before) return;
  if (stage.pointers.size === 2) pinch(stage, event.pointerId, before, at);
  else moveBy(stage, at.x - before.x, at.y - before.y);
  stage.pointers.set(event.pointerId, {...at, from: before.from});
}

// Zoom by how the distance of two fingers changes, about the one that rests.
function pinch(stage, moving, before, at) {
  const [resting] = [...stage.pointers].filter(([id]) => id !== moving).map(([, point]) => point);
  const far = point => Math.hypot(point.x - resting.x, point.y - resting.y);
  zoomAt(stage, far(at) / Math.max(far(before), 1), resting);
}

function lift(stage, event) {
  const pointer = stage.pointers.get(event.pointerId), at = getPoint(event);
  if (!stage.pointers.delete(event.pointerId)) return;
  tellWatchers(stage, "up", event);
  if (Math.hypot(at.x - pointer.from.x, at.y - pointer.from.y) < STILL) {
    stage.tap(toPicture(getPlace(stage), at.x, at.y));
  }
}
