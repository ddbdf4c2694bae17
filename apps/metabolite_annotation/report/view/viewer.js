// The image of the annotation that is chosen.

// Return a number of the state, its default where it is none or out of bounds.
function readNumber(name, least, most) {
  const value = Number(state[name] || NaN);
  return value >= least && value <= most ? value : Number(DEFAULTS[name]);
}

// Return how images are painted now, for paintImage: what holds for every image of the page.
const viewSettings = () => ({
  map: Object.hasOwn(COLOUR_MAPS, state.map) ? state.map : DEFAULTS.map,
  scale: Object.hasOwn(SCALES, state.scale) ? state.scale : DEFAULTS.scale,
  hot: readNumber("hot", 0.5, 1),
});

async function showIon() {
  const images = await readImages(columns.image[Number(state.ion)]);
  if (images) paintImage(find("ion-image"), images[0], viewSettings());
}
