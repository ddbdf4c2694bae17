// Regions of the dataset, and intensities in them.
