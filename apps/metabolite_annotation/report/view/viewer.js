// The image of the annotation that is chosen.

async function showIon() {
  const images = await readImages(columns.image[Number(state.ion)]);
  if (images) paintImage(find("ion-image"), images[0]);
}
