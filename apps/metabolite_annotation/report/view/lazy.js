// Images that are painted when they come into sight, and given up when they leave it.
// Public: loaded, paintLater, repaint.

// Promise the whole page: packed images stand behind the script.
const loaded = new Promise(done => addEventListener("DOMContentLoaded", done));

const paintedIons = new WeakMap();

async function paintIon(canvas, ion) {
  await loaded;
  const images = await readImages(ion);
  if (images?.[0] && paintedIons.get(canvas) === ion) paintImage(canvas, images[0], viewSettings());
}

const inSight = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) {
      paintedIons.set(target, Number(target.dataset.ion));
      paintIon(target, Number(target.dataset.ion));
    } else if (paintedIons.delete(target)) Object.assign(target, {width: 1, height: 1});
  }
}, {rootMargin: "100px"});

// Return a canvas that shows the first image of an ion once it is in sight.
function paintLater(ion) {
  const canvas = make("canvas", {width: 1, height: 1});
  canvas.setAttribute("aria-hidden", "true");
  canvas.dataset.ion = ion;
  inSight.observe(canvas);
  return canvas;
}

// Paint again what is in sight.
function repaint() {
  for (const canvas of document.querySelectorAll("canvas[data-ion]")) {
    if (paintedIons.has(canvas)) paintIon(canvas, paintedIons.get(canvas));
  }
}
