"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns, total = columns.formula.length;
const IMAGES_AT_ONCE = 24, ROWS_AT_ONCE = 25;

// ---- Elements and numbers

const find = name => document.getElementById(name);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const fixed = digits => value => value === null ? "–" : value.toFixed(digits);
const signed = digits => value => {
  if (value === null) return "–";
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value < 0 ? "−" : "+") + size;
};
const milli = value => value === null ? "–" : `${signed(2)(1000 * value)} mDa`;
const percent = value => value === null ? "–" : `${+(100 * value).toPrecision(2)} %`;
const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
const amount = value => value === null ? "–" : short.format(value);

const SIGNS = {"+": "⁺", "-": "⁻", "": ""};
const adduct = n => `[M${columns.adduct[n].replaceAll("-", "−")}]${SIGNS[data.sign]}`;
const level = n => `level${Math.round(100 * columns.fdr_level[n])}`;

// ---- Pictures: 8 bits of grey each, 0 where there is no spectrum, coloured here

const colours = new Uint8ClampedArray(4 * 256);
data.ramp.forEach((_, k) => {
  const [a, b] = [k, Math.min(k + 1, data.ramp.length - 1)].map(stop =>
    [1, 3, 5].map(at => parseInt(data.ramp[stop].slice(at, at + 2), 16)));
  const first = 1 + k * 254 / (data.ramp.length - 1);
  for (let grey = Math.ceil(first); grey <= 255 && grey <= first + 16; grey++) {
    const share = Math.min((grey - first) * (data.ramp.length - 1) / 254, 1);
    a.forEach((from, c) => colours[4 * grey + c] = from + share * (b[c] - from));
    colours[4 * grey + 3] = 255;
  }
});

const read = new Map();

function readGrey(picture) {
  if (!read.has(picture.uri)) read.set(picture.uri, decode(picture.uri));
  return read.get(picture.uri);
}

async function decode(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const {width, height} = image;
  const context = Object.assign(document.createElement("canvas"), {width, height})
    .getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  return {width, height, grey: Uint8Array.from({length: width * height}, (_, p) => pixels[4 * p])};
}

function show(canvas, {width, height}, fill) {
  const image = new ImageData(width, height);
  fill(image.data);
  Object.assign(canvas, {width, height}).getContext("2d").putImageData(image, 0, 0);
}

async function paint(canvas, picture) {
  const read = await readGrey(picture);
  show(canvas, read, pixels => read.grey.forEach((grey, p) =>
    pixels.set(colours.subarray(4 * grey, 4 * grey + 4), 4 * p)));
}

function paintRamp(canvas) {
  show(canvas, {width: 255, height: 1}, pixels => pixels.set(colours.subarray(4)));
}

const getPictures = n => data.pictures[columns.image[n]];

// ---- Which annotations are shown, in which order; the address remembers it

const state = {filter: "", fdr: "1", database: "", sort: "", down: "", ion: "",
  ...Object.fromEntries(new URLSearchParams(location.hash.slice(1)))};
const words = columns.formula.map((formula, n) => [formula, columns.adduct[n], adduct(n),
  columns.ion[n], columns.database[n], ...columns.names[n], ...columns.ids[n]]
  .join("\n").toLowerCase());
let shown = [], images = IMAGES_AT_ONCE, rows = ROWS_AT_ONCE;

const COLUMNS = [
  ["formula", "Formula", "Of the molecule", n => columns.formula[n], "text"],
  ["adduct", "Adduct", "What makes it an ion", adduct, "text"],
  ["database", "Database", "Where the molecule is from", n => columns.database[n], "text"],
  ["mz", "m/z", "Expected, of the first isotope", n => fixed(4)(columns.mz[n])],
  ["score", "Score", "Of METASPACE-ML", n => fixed(3)(columns.score[n])],
  ["msm", "MSM", "Metabolite-signal match", n => fixed(3)(columns.msm[n])],
  ["chaos", "Chaos", "Areas rather than scattered pixels", n => fixed(3)(columns.chaos[n])],
  ["spatial", "Spatial", "Isotope images alike", n => fixed(3)(columns.spatial[n])],
  ["spectral", "Spectral", "Isotope intensities as expected", n => fixed(3)(columns.spectral[n])],
  ["ppm_error", "Error, ppm", "Of m/z, first isotope", n => signed(2)(columns.ppm_error[n])],
  ["fdr", "FDR", "Level, and the colour it has here", n =>
    columns.fdr_level[n] < 1 ? `≤ ${percent(columns.fdr_level[n])}` : "> 50 %"],
  ["names", "Molecules", "Names in the database", n => columns.names[n].join("; "), "text names"],
].filter(([name]) => (name !== "database" || new Set(columns.database).size > 1)
  && (name !== "score" || columns.score.some((score, n) => score !== columns.msm[n])));

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === null || b === null) return (a === null) - (b === null);
  return String(a).localeCompare(String(b), "en", {numeric: true});
}

function choose() {
  const sought = state.filter.trim().toLowerCase(), most = Number(state.fdr) + 1e-9;
  shown = [...Array(total).keys()].filter(n => words[n].includes(sought)
    && columns.fdr_level[n] <= most
    && (!state.database || columns.database[n] === state.database));
  const column = columns[state.sort], way = state.down ? -1 : 1;
  if (column) shown.sort((a, b) => way * compare(column[a], column[b]) || a - b);
}

function remember() {
  const kept = Object.entries(state).filter(([name, value]) =>
    value && !(name === "fdr" && value === "1"));
  history.replaceState(null, "", "#" + new URLSearchParams(kept));
}

function update() {
  choose();
  remember();
  find("count").textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  fillGallery();
  fillTable();
}

function fillGallery() {
  const seen = new Set(), best = shown.filter(n =>
    getPictures(n) && !seen.has(columns.image[n]) && seen.add(columns.image[n]));
  find("gallery").replaceChildren(...best.slice(0, images).map(makeTile));
  find("more-images").hidden = best.length <= images;
}

function makeTile(n) {
  const canvas = make("canvas", {width: 1, height: 1});
  paint(canvas, getPictures(n)[0]);
  const names = columns.names[n].join("; ");
  const tile = make("button", {type: "button", title: names}, canvas,
    make("b", {}, columns.formula[n]),
    make("span", {}, `${adduct(n)} ${fixed(4)(columns.mz[n])}`), make("span", {}, names));
  tile.addEventListener("click", () => open(n));
  return tile;
}

function fillTable() {
  find("table").tBodies[0].replaceChildren(...shown.slice(0, rows).map(makeRow));
  find("more-rows").hidden = shown.length <= rows;
  for (const head of find("table").tHead.rows[0].cells) {
    if (head.dataset.name !== state.sort) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  }
}

function makeRow(n) {
  const cells = COLUMNS.map(([name, , , format, kind]) => {
    const text = format(n);
    if (name === "formula") {
      return make("th", {scope: "row"}, make("button", {type: "button"}, text));
    }
    const mark = name === "fdr" ? [make("i", {className: level(n)})] : [];
    const title = {names: text, fdr: `FDR ${percent(columns.fdr[n])}`}[name] ?? "";
    return make("td", {className: kind ?? "", title}, ...mark, text);
  });
  const row = make("tr", {}, ...cells);
  row.dataset.row = n;
  row.addEventListener("click", () => open(n));
  return row;
}

function makeHeads() {
  const heads = COLUMNS.map(([name, title, said, , kind]) => {
    const button = make("button", {type: "button", title: said}, title);
    button.addEventListener("click", () => {
      state.down = state.sort === name && !state.down ? "1" : "";
      state.sort = name;
      update();
    });
    const head = make("th", {scope: "col", className: kind ?? ""}, button);
    head.dataset.name = name;
    return head;
  });
  find("table").tHead.replaceChildren(make("tr", {}, ...heads));
}

// ---- One annotation

function open(n) {
  state.ion = String(n);
  remember();
  const dialog = find("detail");
  dialog.replaceChildren(...makeDetail(n));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function step(by) {
  const next = shown[shown.indexOf(Number(state.ion)) + by];
  if (next === undefined) return;
  open(next);
  find("detail").querySelector(by < 0 ? ".back" : ".on").focus();
}

function makeNavigation(n) {
  const at = shown.indexOf(n);
  const back = make("button", {type: "button", className: "back", disabled: at < 1}, "← Previous");
  const on = make("button", {type: "button", className: "on",
    disabled: at + 1 >= shown.length}, "Next →");
  const close = make("button", {type: "button"}, "Close");
  back.addEventListener("click", () => step(-1));
  on.addEventListener("click", () => step(1));
  close.addEventListener("click", () => find("detail").close());
  return make("nav", {}, back, on, close);
}

function makeDetail(n) {
  const peaks = data.peaks[columns.image[n]];
  const charge = SIGNS[data.sign];
  return [
    makeNavigation(n),
    make("h2", {id: "detail-title"}, `${columns.formula[n]} ${adduct(n)}`),
    make("p", {className: "intro"}, `Ion ${columns.ion[n]}${charge}, `
      + `m/z ${fixed(4)(columns.mz[n])}, from ${columns.database[n]}`),
    makeIsotopes(n, peaks),
    make("div", {className: "about"}, makeIntensities(peaks), makeScores(n), makeMolecules(n)),
  ];
}

function makeIsotopes(n, peaks) {
  const pictures = getPictures(n);
  if (!pictures) {
    return make("p", {}, "This annotation is beyond those with images here; results.h5 has them.");
  }
  const figures = [0, 1, 2, 3].filter(k => peaks.mz[k]).map(k => {
    const lines = [`m/z ${fixed(4)(peaks.mz[k])}`, "no signal"];
    let image = make("div", {className: "absent"}, "no signal");
    if (pictures[k]) {
      image = make("canvas", {width: 1, height: 1});
      paint(image, pictures[k]);
      const error = 1e6 * (peaks.mz_mean[k] - peaks.mz[k]) / peaks.mz[k];
      lines[1] = `${signed(2)(error)} ppm, 0 to ${amount(pictures[k].top)}`;
    }
    return make("figure", {}, image, make("figcaption", {}, make("b", {}, `Isotope ${k + 1}`),
      make("br"), lines[0], make("br"), lines[1]));
  });
  return make("div", {className: "isotopes"}, ...figures);
}

function makeIntensities(peaks) {
  const share = values => {
    const sum = values.reduce((a, b) => a + b, 0) || 1;
    return values.map(value => 100 * value / sum);
  };
  const expected = share(peaks.theoretical_intensity), found = share(peaks.total_intensity);
  const top = Math.max(...expected, ...found), height = value => 110 * value / top;
  const parts = [0, 1, 2, 3].filter(k => peaks.mz[k]).flatMap(k => [
    ...[[expected[k], 0, "theory"], [found[k], 26, "control"]].flatMap(([value, right, kind]) => [
      draw("rect", {class: kind, x: 14 + 70 * k + right, y: 130 - height(value), width: 24,
        height: height(value)}),
      draw("text", {class: "middle soft", x: 26 + 70 * k + right, y: 125 - height(value)},
        value < 9.95 ? value.toFixed(1) : value.toFixed(0)),
    ]),
    draw("text", {class: "middle", x: 39 + 70 * k, y: 146}, `Isotope ${k + 1}`),
  ]);
  const picture = draw("svg", {width: 290, height: 152, viewBox: "0 0 290 152", role: "img",
    "aria-label": "Intensities of the isotopes"},
    draw("line", {class: "axis", x1: 4, x2: 286, y1: 130, y2: 130}), ...parts);
  const key = kind => make("i", {style: `background:${kind}`});
  return make("div", {}, make("h3", {}, "Intensities, %"),
    make("ul", {className: "legend"}, make("li", {}, key("#c3ccd4"), "expected"),
      make("li", {}, key("var(--control)"), "measured")), picture);
}

function makeList(pairs) {
  return make("dl", {}, ...pairs.flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
}

function makeScores(n) {
  const score = COLUMNS.some(([name]) => name === "score");
  return make("div", {}, make("h3", {}, "Scores"), makeList([
    ["FDR", percent(columns.fdr[n])],
    ...(score ? [["Score", fixed(4)(columns.score[n])]] : []),
    ["MSM", fixed(4)(columns.msm[n])],
    ["Chaos", fixed(4)(columns.chaos[n])],
    ["Spatial", fixed(4)(columns.spatial[n])],
    ["Spectral", fixed(4)(columns.spectral[n])],
  ]), make("h3", {}, "Signal"), makeList([
    ["m/z error", `${signed(2)(columns.ppm_error[n])} ppm`],
    ["", milli(columns.mz_err_abs[n])],
    ["Isotopes 2–4 less 1", milli(columns.mz_err_rel[n])],
    ["Total intensity", amount(columns.total_intensity[n])],
    ["Highest", amount(columns.max_intensity[n])],
    ["Pixels", columns.n_pixels[n].toLocaleString("en")],
  ]));
}

function makeMolecules(n) {
  const ids = columns.ids[n], names = columns.names[n];
  const items = (names.length ? names : ids).map((name, k) => make("li", {}, name,
    ...(names.length === ids.length && ids[k] !== name ? [" ", make("small", {}, ids[k])] : [])));
  const lists = [make("h3", {}, "Molecules"), make("ul", {}, ...items)];
  for (const [name, title] of [["isomers", "Isomers"], ["isobars", "Isobars"]]) {
    const others = columns[name][n].split(";").filter(Boolean);
    if (others.length) {
      lists.push(make("h3", {}, title), make("ul", {}, ...others.map(x => make("li", {}, x.trim()))));
    }
  }
  return make("div", {}, ...lists);
}

// ---- Three ions in one image, and the total ion count

async function paintComposite() {
  const selects = [...find("rgb-choices").querySelectorAll("select")];
  const layers = await Promise.all(selects.map(select =>
    select.value === "" ? null : readGrey(data.pictures[select.value][0])));
  const first = layers.find(Boolean) ?? await readGrey(data.pictures[data.composite[0]][0]);
  show(find("rgb"), first, pixels => first.grey.forEach((grey, p) => {
    layers.forEach((layer, c) => pixels[4 * p + c] = layer ? Math.max(layer.grey[p] - 1, 0) : 0);
    pixels[4 * p + 3] = grey ? 255 : 0;
  }));
}

function makeComposite() {
  const best = new Map();
  columns.image.forEach((ion, n) => {
    if (data.pictures[ion] && !best.has(ion)) best.set(ion, n);
  });
  find("rgb-choices").querySelectorAll("select").forEach((select, c) => {
    select.append(make("option", {value: ""}, "none"), ...[...best].map(([ion, n]) =>
      make("option", {value: ion}, `${columns.formula[n]} ${adduct(n)} `
        + (columns.names[n][0] ?? "").slice(0, 40))));
    select.value = data.composite[c] ?? "";
    select.addEventListener("change", paintComposite);
  });
  paintComposite();
}

// ---- Begin

function listen() {
  const form = find("filters");
  for (const name of ["filter", "fdr", "database"]) form.elements[name].value = state[name];
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", () => {
    for (const name of ["filter", "fdr", "database"]) state[name] = form.elements[name].value;
    [images, rows] = [IMAGES_AT_ONCE, ROWS_AT_ONCE];
    update();
  });
  find("more-images").addEventListener("click", () => { images *= 2; fillGallery(); });
  find("more-rows").addEventListener("click", () => { rows *= 4; fillTable(); });
  find("detail").addEventListener("close", () => { state.ion = ""; remember(); });
  find("detail").addEventListener("click", event => {
    if (event.target === find("detail")) find("detail").close();
  });
  find("detail").addEventListener("keydown", event => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
}

if (total) {
  const {width, height} = data.box;
  const shape = Math.min(Math.max(width / height, 0.6), 1.8);
  document.documentElement.style.setProperty("--shape", shape);
  paintRamp(find("ramp"));
  makeHeads();
  listen();
  update();
  if (find("rgb")) makeComposite();
  if (state.ion in columns.formula && state.ion !== "") open(Number(state.ion));
}
if (find("tic")) {
  paint(find("tic"), data.tic);
  find("tic-top").textContent = `0 to ${amount(data.tic.top)}`;
}
