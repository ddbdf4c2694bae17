"""Colocalisation as METASPACE's engine has it, with SciPy: slow and obvious."""

import numpy as np
from scipy import ndimage


def prepare(image, full=None):
    """Return an image as it is compared, float64 (height, width).

    With `full`, its values are whole numbers up to that.
    """
    image = image.astype(np.float64)
    hot = np.percentile(image, 99) or image.max() or 1.0
    cut = np.minimum(image, hot)
    kept = cut >= np.quantile(cut, 0.5)
    if full is not None:
        cut = np.floor(cut * (full / hot) + 0.5)
    return ndimage.median_filter(np.where(kept, cut, 0), 3)


def get_cosines(images, full=None):
    """Return the cosine of all pairs of images, 0 where one has no value."""
    flat = np.array([prepare(image, full).ravel() for image in images])
    length = np.sqrt((flat**2).sum(axis=1))
    both = np.outer(length, length)
    return np.divide(flat @ flat.T, both, out=np.zeros_like(both), where=both > 0)


def list_nearest(cosines, n, least=0.0):
    """Return for each the others of greatest cosine, above 0, and of equals the first.

    Pairs of number and cosine, the nearest first.
    """
    nearest = []
    for k, row in enumerate(cosines.tolist()):
        others = [(-c, j) for j, c in enumerate(row) if j != k and c > 0 and c >= least]
        nearest.append([(j, -c) for c, j in sorted(others)[:n]])
    return nearest
