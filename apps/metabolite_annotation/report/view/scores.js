// The scores of an annotation and what they mean.
// Public: makeScores.

const SCORE_WORDS = [
  ["chaos", "Chaos", "How much the first image is of areas rather than of scattered pixels."],
  ["spatial", "Spatial", "How alike the images of the isotopes are."],
  ["spectral", "Spectral", "How well the isotopes' intensities agree with the expected."],
  ["msm", "MSM", "Chaos × spatial × spectral."],
  ["score", "Score", "Of METASPACE-ML; the FDR is computed from it."],
];

function makeScore(n, [name, title, said]) {
  const value = columns[name][n], bar = make("span", {className: "score-bar"});
  bar.style.setProperty("--share", `${100 * Math.min(Math.max(value ?? 0, 0), 1)}%`);
  return [make("dt", {}, title), make("dd", {}, make("b", {}, fixed(3)(value)), bar,
    make("small", {}, said))];
}

function makeSignal(n) {
  const pairs = [["Total intensity", amount(columns.total_intensity[n])],
    ["Highest", amount(columns.max_intensity[n])],
    ["Pixels with signal", columns.n_pixels[n].toLocaleString("en")]];
  return make("dl", {className: "numbers"}, ...pairs.flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
}

function makeScores(n) {
  const words = SCORE_WORDS.filter(([name]) => name !== "score" || hasScore);
  return makePart("scores-part", "Scores", "From 0 to 1, the best.",
    make("dl", {className: "score-list"}, ...words.flatMap(word => makeScore(n, word))),
    makeSignal(n));
}
