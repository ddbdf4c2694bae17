// The images of the annotations that are shown, each group of the same image once.
// Public: tiles, makeGallery, fillGallery, markTile, showTile, tilesAcross.

const TILES_AT_ONCE = 60;
let tiles = [], tilesMade = 0;
const keptTiles = new Map();

function listTiles() {
  const seen = new Set();
  return shown.filter(n => hasPicture(n) && !seen.has(groupOf(n)) && seen.add(groupOf(n)));
}

function makeTile(n) {
  const others = sameImage(n).filter(m => m !== n);
  const also = others.map(m => `${columns.formula[m]} ${adduct(m)}`).join(", ");
  const tile = make("div", {className: "tile", id: `tile-${n}`, title: columns.names[n].join("; ")},
    paintLater(columns.image[n]), make("b", {}, ...writeFormula(columns.formula[n])),
    make("span", {}, `${adduct(n)} · ${fixed(3)(columns.msm[n])}`),
    make("span", {}, columns.names[n][0] ?? ""),
    ...(also ? [make("span", {className: "also"}, `same image: ${also}`)] : []));
  tile.setAttribute("role", "option");
  tile.dataset.row = n;
  return tile;
}

function getTile(n) {
  if (!keptTiles.has(n)) keptTiles.set(n, makeTile(n));
  return keptTiles.get(n);
}

// Make tiles up to a number.
function growGallery(most) {
  const next = tiles.slice(tilesMade, most);
  find("gallery").append(...next.map(getTile));
  tilesMade += next.length;
  find("more-tiles").hidden = tilesMade >= tiles.length;
}

function fillGallery() {
  tiles = listTiles();
  tilesMade = 0;
  find("gallery").replaceChildren();
  growGallery(TILES_AT_ONCE);
  const without = shown.filter(n => !hasPicture(n)).length;
  find("without-image").textContent = without
    ? `${sayCount(without)} of the annotations shown have no image here; results.h5 has them.` : "";
  markTile();
}

// The tile of an annotation stands for all with the same image.
const findTile = () => tiles.findIndex(n => groupOf(n) === groupOf(Number(state.ion)));

function markTile() {
  const gallery = find("gallery"), chosen = tiles[findTile()];
  for (const tile of gallery.children) {
    tile.setAttribute("aria-selected", tile.dataset.row === String(chosen));
  }
  if (find(`tile-${chosen}`)) gallery.setAttribute("aria-activedescendant", `tile-${chosen}`);
  else gallery.removeAttribute("aria-activedescendant");
}

function showTile(at) {
  growGallery(at + TILES_AT_ONCE);
  const list = find("list").getBoundingClientRect();
  const tile = getTile(tiles[at]).getBoundingClientRect();
  if (tile.top < list.top) find("list").scrollTop += tile.top - list.top - 8;
  else if (tile.bottom > list.bottom) find("list").scrollTop += tile.bottom - list.bottom + 8;
}

const tilesAcross = () =>
  getComputedStyle(find("gallery")).gridTemplateColumns.split(" ").length;

function makeGallery() {
  find("gallery").addEventListener("click", event => {
    const tile = event.target.closest(".tile");
    if (tile) setState({ion: tile.dataset.row});
  });
  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting && state.view === "images") growGallery(tilesMade + TILES_AT_ONCE);
  }, {rootMargin: "400px"}).observe(find("more-tiles"));
}
