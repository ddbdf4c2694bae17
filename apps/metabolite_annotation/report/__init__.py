"""The page of an annotated dataset: ions, images and rates."""
