// What is known of the annotation that is chosen.
// Public: showTitle, showPanel, makeChoice, makePart.

// Return a button that chooses an annotation.
function makeChoice(n, className, ...children) {
  const button = make("button", {type: "button", className}, ...children);
  button.addEventListener("click", () => setState({ion: String(n)}));
  return button;
}

// Return a part of the panel with its title and, in small letters, what is in it.
const makePart = (className, title, intro, ...children) => make("section", {className},
  make("h3", {}, title), ...(intro ? [make("p", {className: "intro"}, intro)] : []), ...children);

const writeAnnotation = n => [...writeFormula(columns.formula[n]), " ",
  make("span", {className: "adduct"}, adduct(n))];

function makeStep(by, sign, title, at) {
  const isEnd = at + by < 0 || at + by >= listed().length;
  const button = make("button", {type: "button", title, disabled: isEnd}, sign);
  button.setAttribute("aria-label", title);
  button.addEventListener("click", () => {
    stepBy(by);
    find("chosen-title").querySelectorAll("nav button")[by < 0 ? 0 : 1].focus();
  });
  return button;
}

function makeSteps() {
  const at = findChosen();
  const absent = isGallery() ? "not among the images" : "not in the list";
  const said = at < 0 ? absent : `${sayCount(at + 1)} of ${sayCount(listed().length)}`;
  const nav = make("nav", {}, make("small", {}, said), makeStep(-1, "↑", "Previous annotation", at),
    makeStep(1, "↓", "Next annotation", at));
  nav.setAttribute("aria-label", "Annotations");
  return nav;
}

// What else the signal may be, where anything is.
function warnOfOthers(n) {
  const said = [["isomers", "isomer"], ["isobars", "isobar"]]
    .map(([name, word]) => [countOthers(name)(n), word]).filter(([others]) => others)
    .map(([others, word]) => `${others} ${word}${others > 1 ? "s" : ""}`);
  const title = "Other annotations that may be this signal: below";
  return said.length ? [make("span", {className: "others", title}, `⚠ ${said.join(", ")}`)] : [];
}

function showTitle() {
  const n = Number(state.ion), names = writeNames(n);
  find("chosen-title").replaceChildren(makeSteps(),
    make("h3", {}, ...writeAnnotation(n)),
    make("p", {className: "molecule"}, ...names),
    make("p", {className: "about"},
      make("span", {className: `badge ${level(n)}`, title: `FDR ${percent(columns.fdr[n])}`},
        `FDR ${sayRate(n)}`),
      make("span", {}, "m/z ", make("b", {}, fixed(4)(columns.mz[n]))),
      make("span", {}, "MSM ", make("b", {}, fixed(3)(columns.msm[n]))),
      make("span", {}, "ion ", ...writeFormula(columns.ion[n]), SIGNS[data.sign]),
      make("span", {}, columns.database[n]), ...warnOfOthers(n)));
}

function showPanel() {
  const n = Number(state.ion);
  showTitle();
  find("panel").replaceChildren(makeMolecules(n), makeIsotopes(n),
    make("div", {className: "side"}, makeScores(n), ...makeRelated(n)), makeErrors(n),
    ...makeColocalised(n));
}
