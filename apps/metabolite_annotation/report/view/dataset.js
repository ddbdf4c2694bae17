// The dataset as a whole.

async function showDataset() {
  if (find("tic")) paintImage(find("tic"), await readTotal());
}
