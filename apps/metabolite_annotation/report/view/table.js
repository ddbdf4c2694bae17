// The table of annotations.

function fillTable() {
  chooseRows();
  find("count").textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  find("table").tBodies[0].replaceChildren(...shown.slice(0, 100).map(n => {
    const row = make("tr", {}, make("th", {scope: "row"}, columns.formula[n]),
      make("td", {}, adduct(n)), make("td", {}, fixed(4)(columns.mz[n])),
      make("td", {}, fixed(3)(columns.msm[n])), make("td", {}, percent(columns.fdr[n])));
    row.addEventListener("click", () => setState({ion: String(n)}));
    return row;
  }));
}
