// The dataset as a whole.

async function showDataset() {
  paintImage(find("tic"), await readTotal());
}
