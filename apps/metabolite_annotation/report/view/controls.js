// How the ion image is painted: colour map, scale, hotspots, and the two ends of the colours on
// the histogram of intensities, which is the colour bar too.

const BINS = 64;

// Between a share of the clipped intensity and a place on the axis, 0 to 1.
function toAxis(share, scale, floor) {
  const {warp} = SCALES[scale], from = warp(0, floor);
  return (warp(share, floor) - from) / (warp(1, floor) - from);
}

// Return round intensities for an axis, {value, at}, at least so far apart; 0 is one where the
// axis has it.
function makeTicks(top, scale, floor, apart = 0.14) {
  const ticks = scale === "log" ? [] : [{value: 0, at: 0}];
  for (const value of scale === "linear" ? listMultiples(top, apart) : listRound(top)) {
    const at = toAxis(value / top, scale, floor);
    if (scale === "log" && value < top * floor) continue;
    if (ticks.every(tick => Math.abs(tick.at - at) >= apart * 0.999)) ticks.push({value, at});
  }
  return ticks;
}

// Return the multiples up to `top` of the least of 1, 2, 5, 10, ... that is so far apart.
function listMultiples(top, apart) {
  const least = top * apart * 0.999, length = chooseLength(least);
  const step = [1, 2, 2.5, 5].map(times => times * length).find(size =>
    size >= least && Math.abs(chooseLength(size) / size - 1) < 1e-6) ?? 10 * length;
  return Array.from({length: Math.floor(top / step * 1.0001)}, (_, k) => (k + 1) * step);
}

// Return 1, 2, 5, 10, ... up to `top`, the greatest first.
function listRound(top) {
  const values = [];
  for (let power = 10 ** Math.floor(Math.log10(top)); power > top * 1e-5; power /= 10) {
    values.push(5 * power, 2 * power, power);
  }
  return values.filter(value => value <= top);
}

// Return how many pixels of an image are in each part of the axis; zeros are not counted.
function countBins({values}, {level, floor}, scale) {
  const bins = new Uint32Array(BINS);
  for (let p = 0; p < values.length; p++) {
    if (!values[p]) continue;
    const at = toAxis(Math.min(values[p] / level, 1), scale, floor);
    bins[Math.min(Math.floor(at * BINS), BINS - 1)]++;
  }
  return bins;
}

let drawnBins = "";

function drawHistogram(image, range, scale) {
  const drawn = [columns.image[ionShown.parts[0].n], range.level, scale].join();
  if (drawn === drawnBins) return;
  drawnBins = drawn;
  const bins = countBins(image, range, scale), most = Math.max(...bins, 1), wide = 256 / BINS;
  const steps = Array.from(bins, count =>
    `V${(100 - 96 * Math.sqrt(count / most)).toFixed(1)}h${wide}`);
  find("histogram").replaceChildren(draw("path", {d: `M0 100${steps.join("")}V100Z`}));
}

// Paint the colours along the axis.
function paintStrip(range, settings) {
  const picture = new ImageData(256, 1), pixels = new Uint32Array(picture.data.buffer);
  const place = makePlace(settings, range.floor), colours = COLOUR_MAPS[settings.map];
  for (let k = 0; k < 256; k++) {
    const share = SCALES[settings.scale].unwarp((k + 0.5) / 256, range.floor);
    pixels[k] = colours[Math.min(Math.floor(256 * place(share)), 255)];
  }
  find("strip").getContext("2d").putImageData(picture, 0, 0);
}

// Fill the controls from the state and from the image.
function fillControls() {
  const form = find("painting"), settings = ionSettings();
  for (const name of ["map", "scale", "hot"]) {
    chooseOption(form.elements[name], String(settings[name]));
  }
  for (const name of ["save-png", "save-tiff"]) find(name).disabled = !ionShown.parts.length;
  fillChannels();
  nameImage();
  const part = ionShown.parts[0];
  if (!part || part.channel) return;
  const range = findRange(part.image, settings.hot), top = part.image.top * range.level / 65535;
  drawHistogram(part.image, range, settings.scale);
  paintStrip(range, settings);
  fillTicks(top, settings.scale, range.floor);
  for (const name of ["low", "high"]) fillSlider(name, settings, range.floor, top);
}

function nameImage() {
  const names = ionShown.parts.map(({n}) => nameAnnotation(n)).join(", ");
  find("ion-image").ariaLabel = `Ion image of ${names || "nothing"}; plus and minus zoom, `
    + "0 shows all, Shift and arrows move";
}

function chooseOption(select, value) {
  if (![...select.options].some(option => option.value === value)) {
    select.append(make("option", {value}, value));
  }
  select.value = value;
}

function fillTicks(top, scale, floor) {
  find("ticks").replaceChildren(...makeTicks(top, scale, floor).map(({value, at}) => {
    const tick = make("span", {}, sayIntensity(value));
    tick.style.left = `${100 * at}%`;
    return tick;
  }));
}

function fillSlider(name, settings, floor, top) {
  const slider = find("painting").elements[name], said = sayIntensity(settings[name] * top);
  slider.value = toAxis(settings[name], settings.scale, floor);
  // Of two handles at one end, that is above which can move away.
  if (name === "low") slider.style.zIndex = Number(slider.value) > 0.5 ? 1 : 0;
  slider.setAttribute("aria-valuetext", said);
  find(`${name}-said`).textContent = `${name === "low" ? "Minimum" : "Maximum"} ${said}`;
}

// Take where a slider was moved to; the ends do not cross.
function moveSlider(name, place) {
  const {image} = ionShown.parts[0] ?? {};
  if (!image) return;
  const {hot, scale, ...ends} = ionSettings(), {floor} = findRange(image, hot);
  const share = Number(SCALES[scale].unwarp(place, floor).toPrecision(4));
  const kept = name === "low" ? Math.min(share, ends.high) : Math.max(share, ends.low);
  setState({[name]: String(kept)});
  if (kept !== share) fillControls();
}

function listenToControls() {
  const form = find("painting");
  form.elements.map.append(...Object.keys(COLOUR_MAPS).map(name => make("option", {}, name)));
  form.addEventListener("submit", event => event.preventDefault());
  for (const name of ["map", "scale", "hot"]) {
    form.elements[name].addEventListener("change", event => setState({[name]: event.target.value}));
  }
  for (const name of ["low", "high"]) {
    form.elements[name].addEventListener("input", event =>
      moveSlider(name, Number(event.target.value)));
  }
  find("reset-colours").addEventListener("click", () => setState(Object.fromEntries(
    ["map", "scale", "hot", "low", "high", "redmax", "greenmax", "bluemax"]
      .map(name => [name, DEFAULTS[name]]))));
}

if (total) listenToControls();
