// The isotope peaks of an annotation: their images, and the pattern expected and measured.
// Public: makeIsotopes.

function getShares(values) {
  const sum = values.reduce((a, b) => a + b, 0) || 1;
  return values.map(value => 100 * value / sum);
}

function drawBar(value, top, x, kind) {
  const height = Math.max(70 * value / top, 0.75);
  return [draw("rect", {class: kind, x, y: 84 - height, width: 30, height}),
    draw("text", {class: "middle soft", x: x + 15, y: 80 - height},
      value < 9.95 ? value.toFixed(1) : value.toFixed(0))];
}

function drawPeak(k, expected, measured, top) {
  return draw("svg", {viewBox: "0 0 120 88", role: "img", "aria-label": `Isotope ${k + 1}: `
    + `${fixed(1)(expected)} % expected, ${fixed(1)(measured)} % measured`},
    draw("line", {class: "axis", x1: 0, x2: 120, y1: 84, y2: 84}),
    ...drawBar(expected, top, 26, "theory"), ...drawBar(measured, top, 64, "control"));
}

function fillPicture(holder, image) {
  if (!image) {
    holder.append(make("span", {className: "absent"}, "no signal"));
    return;
  }
  const canvas = make("canvas", {width: 1, height: 1});
  canvas.setAttribute("aria-hidden", "true");
  holder.append(canvas);
  showImage(canvas, image);
}

// Return what an isotope image is of: m/z, how far off, and its highest intensity.
function sayPeak(peaks, k, image) {
  if (!image) return [`m/z ${fixed(4)(peaks.mz[k])}`];
  const mean = peaks.mz_mean[k];
  const error = mean === null ? null : 1e6 * (mean - peaks.mz[k]) / peaks.mz[k];
  return [`m/z ${fixed(4)(peaks.mz[k])}`, `${signed(2)(error)} ppm`, `0 to ${amount(image.top)}`];
}

function makeKey(kind, said) {
  return make("li", {}, make("i", {className: kind}), said);
}

async function fillPictures(figures, peaks, ion) {
  await loaded;
  const images = await readImages(ion);
  for (const [k, {holder, caption}] of figures) {
    if (!images) {
      holder.append(make("span", {className: "absent"}, "image in results.h5"));
      continue;
    }
    fillPicture(holder, images[k]);
    const said = sayPeak(peaks, k, images[k]).flatMap(line => [make("br"), line]);
    caption.append(...said);
  }
}

function makeIsotopes(n) {
  const ion = columns.image[n], peaks = data.peaks[ion];
  const expected = getShares(peaks.theoretical_intensity);
  const measured = getShares(peaks.total_intensity), top = Math.max(...expected, ...measured) || 1;
  const figures = [0, 1, 2, 3].filter(k => peaks.mz[k]).map(k => [k, {
    holder: make("div", {className: "holder"}),
    caption: make("figcaption", {}, make("b", {}, `Isotope ${k + 1}`)),
  }]);
  fillPictures(figures, peaks, ion);
  return makePart("isotopes-part", "Isotopes",
    "Images, each to its own highest intensity, and the share of each in the sum, in percent.",
    make("div", {className: "isotopes"}, ...figures.map(([k, {holder, caption}]) =>
      make("figure", {}, holder, caption, drawPeak(k, expected[k], measured[k], top)))),
    make("ul", {className: "legend"}, makeKey("theory", "expected"),
      makeKey("control", "measured")));
}
