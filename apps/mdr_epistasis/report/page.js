document.querySelectorAll(".models thead button").forEach(button => {
  button.addEventListener("click", () => {
    const head = button.parentElement, column = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (x, y) => isNaN(x - y) ? x.localeCompare(y, "en", {numeric: true}) : x - y;
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (down ? -1 : 1));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
});
