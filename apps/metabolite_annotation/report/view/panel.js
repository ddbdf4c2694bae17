// Scores, isotopes and molecules of the annotation that is chosen.

function showPanel() {
  const n = Number(state.ion);
  find("panel").replaceChildren(make("h2", {}, `${columns.formula[n]} ${adduct(n)}`));
}
