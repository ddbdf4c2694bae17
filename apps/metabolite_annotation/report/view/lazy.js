// Small images: painted when they come into sight, given up when they leave it, and painted
// again when colours or scale change.
// Public: loaded, showImage, paintLater, repaint.

// Promise the whole page: packed images stand behind the script.
const loaded = new Promise(done => addEventListener("DOMContentLoaded", done));

const imagesShown = new Map(); // of each canvas

function showImage(canvas, image) {
  imagesShown.set(canvas, image);
  paintImage(canvas, image, viewSettings());
}

function repaint() {
  for (const [canvas, image] of imagesShown) {
    if (canvas.isConnected) paintImage(canvas, image, viewSettings());
    else imagesShown.delete(canvas);
  }
}

const inSight = new Set();

async function showIonLater(canvas) {
  await loaded;
  const images = await readImages(Number(canvas.dataset.ion));
  if (images?.[0] && inSight.has(canvas)) showImage(canvas, images[0]);
}

const sightWatcher = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) {
      inSight.add(target);
      showIonLater(target);
    } else if (inSight.delete(target)) {
      imagesShown.delete(target);
      Object.assign(target, {width: 1, height: 1});
    }
  }
}, {rootMargin: "100px"});

// Return a canvas that shows the first image of an ion once it is in sight.
function paintLater(ion) {
  const canvas = make("canvas", {width: 1, height: 1});
  canvas.setAttribute("aria-hidden", "true");
  canvas.dataset.ion = ion;
  sightWatcher.observe(canvas);
  return canvas;
}
