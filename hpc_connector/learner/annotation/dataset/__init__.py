"""What is told of a dataset as a whole: colocalised ions, and the mean spectrum."""
