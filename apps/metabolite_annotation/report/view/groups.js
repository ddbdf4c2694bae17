// Annotations whose images are the same: one group, named by its first annotation.
// Public: groupOf, sameImage, rowOfIon, hasPicture.

const groupOf = n => columns.group[n];

const membersOf = new Map();
columns.image.forEach((_, n) => {
  if (!membersOf.has(groupOf(n))) membersOf.set(groupOf(n), []);
  membersOf.get(groupOf(n)).push(n);
});

// Return the annotations with the image of one, itself among them.
const sameImage = n => membersOf.get(groupOf(n));

const firstRows = new Map();
columns.image.forEach((ion, n) => {
  if (!firstRows.has(ion)) firstRows.set(ion, n);
});

// Return the best annotation of an ion.
const rowOfIon = ion => firstRows.get(ion);

const hasPicture = n => columns.image[n] in data.tops;
