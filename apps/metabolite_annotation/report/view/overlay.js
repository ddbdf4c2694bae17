// Three annotations as red, green and blue. The overlay belongs to the annotation at which it
// was made: `state.overlay` is that row, so walking on shows one annotation again.

const CHANNELS = {red: makeColours("00000000ffff0000"), green: makeColours("00000000ff00ff00"),
  blue: makeColours("00000000ff0000ff")};

const isOverlay = () => state.overlay !== "" && state.overlay === state.ion;

const isRow = text => /^\d+$/.test(text) && Number(text) < total;

// Return [{n, channel}] of the channels that have an annotation.
const listChannels = () => Object.keys(CHANNELS)
  .filter(channel => isRow(state[channel]))
  .map(channel => ({channel, n: Number(state[channel])}));

// Return the picture of several images, each the share of one primary colour.
function colourOverlay(parts, there) {
  const {width, height} = parts[0].image, picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer), settings = viewSettings();
  for (const {channel, image} of parts) {
    const high = readNumber(`${channel}max`, 0.001, 1);
    const range = findRange(image, settings.hot);
    const table = colourValues(range, {...settings, high}, CHANNELS[channel]);
    for (let p = 0; p < pixels.length; p++) if (there[p]) pixels[p] |= table[image.values[p]];
  }
  return picture;
}

const nameAnnotation = n => `${columns.formula[n]} ${adduct(n)}`;

// Names to search among, each of one annotation.
const annotationNames = new Map();

function fillNames() {
  if (annotationNames.size) return;
  const many = new Set(columns.database).size > 1;
  for (let n = 0; n < total; n++) {
    const name = `${nameAnnotation(n)} m/z ${columns.mz[n].toFixed(4)}`
      + (many ? ` ${columns.database[n]}` : "");
    annotationNames.set(annotationNames.has(name) ? `${name} (${n + 1})` : name, n);
  }
  find("annotation-names").append(...[...annotationNames].map(([value, n]) =>
    make("option", {value, label: columns.names[n][0] ?? ""})));
}

// Take what was typed: an annotation, or none.
function takeName(channel, text) {
  fillNames();
  const n = annotationNames.get(text.trim());
  if (n !== undefined) setState({[channel]: String(n), overlay: state.ion});
  else if (!text.trim()) setState({[channel]: ""});
}

// Fill names, maxima and what they mean.
function fillChannels() {
  const form = find("painting"), on = isOverlay();
  find("overlay").setAttribute("aria-pressed", String(on));
  find("range").hidden = find("map-choice").hidden = on;
  find("channels").hidden = !on;
  for (const channel of Object.keys(CHANNELS)) {
    const n = state[channel];
    const input = form.elements[channel];
    if (document.activeElement !== input) input.value = isRow(n) ? nameAnnotation(Number(n)) : "";
    form.elements[`${channel}max`].value = readNumber(`${channel}max`, 0.001, 1);
    find(`${channel}-said`).textContent = sayMost(channel);
    find(`use-${channel}`).setAttribute("aria-pressed", String(on && n === state.ion));
  }
}

// Return the intensity that is the full colour of a channel.
function sayMost(channel) {
  const part = ionShown.parts.find(one => one.channel === channel);
  if (!part) return isRow(state[channel]) && isOverlay() ? "no image here" : "";
  const {image} = part, {level} = findRange(image, viewSettings().hot);
  return `0 to ${sayIntensity(readNumber(`${channel}max`, 0.001, 1) * level / 65535 * image.top)}`;
}

function listenToOverlay() {
  const form = find("painting");
  for (const channel of Object.keys(CHANNELS)) {
    find(`use-${channel}`).addEventListener("click", () =>
      setState({[channel]: state.ion, overlay: state.ion}));
    form.elements[channel].addEventListener("focus", fillNames);
    form.elements[channel].addEventListener("change", event =>
      takeName(channel, event.target.value));
    form.elements[`${channel}max`].addEventListener("input", event =>
      setState({[`${channel}max`]: event.target.value}));
  }
  find("overlay").addEventListener("click", () => {
    const first = listChannels().length ? {} : {red: state.ion};
    setState(isOverlay() ? {overlay: ""} : {...first, overlay: state.ion});
  });
}

if (total) listenToOverlay();
