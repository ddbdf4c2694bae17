"""Scores of ion images and rates, dense and level by level: slow and obvious."""

import numpy as np
from scipy import ndimage

CROSS = ndimage.generate_binary_structure(2, 1)
SQUARE = np.ones((3, 3), bool)


def crop(image):
    """Cut rows and columns far from any pixel, as METASPACE's engine does."""
    for axis in (0, 1):
        kept = (image > 0).any(axis=1 - axis)
        for _ in range(2):
            kept[1:] |= kept[:-1].copy()
        kept[:-2] |= kept[2:].copy()
        if kept.sum() < 0.9 * len(kept):
            image = image.compress(kept, axis=axis)
    return image


def get_chaos(image, n_levels=30):
    """Return the measure of chaos of an image."""
    n = int((image > 0).sum())
    if n == 0:
        return 0.0
    image = crop(image)
    highest, total = image.max(), 0
    for level in range(n_levels):
        limit = np.float32(highest * np.float32(level)) / np.float32(n_levels)
        above = ndimage.binary_dilation(image > limit, CROSS)
        above = ndimage.binary_erosion(above, SQUARE, border_value=1)
        total += ndimage.label(above, CROSS)[1]
    chaos = 1 - total / n_levels / n
    return 0.0 if np.isclose(chaos, 1) else chaos


def draw_image(peaks, n_pixels, mz, ppm):
    """Return the image of a centroid, and the peaks of its window."""
    image = np.zeros(n_pixels, np.float32)
    window = []
    if mz > 0:
        half = ppm * 1e-6 * mz
        for here, pixel, intensity in zip(*peaks, strict=True):
            if mz - half <= float(here) <= mz + half:
                image[pixel] += intensity
                window.append((float(np.float32(here)), float(intensity)))
    return image, window


def correlate(first, other):
    """Return Pearson's correlation, 0 if it is not defined."""
    first, other = first.astype(float), other.astype(float)
    if np.ptp(first) == 0 or np.ptp(other) == 0:
        return 0.0
    return np.corrcoef(first, other)[0, 1]


def score(peaks, grid, mz, theoretical, ppm=3.0):
    """Return chaos, spatial, spectral and the errors of m/z of one ion."""
    n_pixels = len(grid.x)
    images, windows = zip(
        *(draw_image(peaks, n_pixels, m, ppm) for m in mz), strict=True
    )
    with np.errstate(invalid="ignore"):
        sums = np.array([image[images[0] > 0].sum(dtype=float) for image in images])
        difference = theoretical / np.linalg.norm(theoretical)
        difference = difference - sums / np.linalg.norm(sums)
    spectral = 1 - np.abs(difference).mean()
    spectral = 0.0 if np.isnan(spectral) or spectral == 1 else spectral
    weights, spatial = theoretical[1:], 0.0
    if (images[0] > 0).sum() > 1 and weights.sum() > 0:
        r = [correlate(images[0], image) for image in images[1:]]
        spatial = np.clip(np.dot(weights, r) / weights.sum(), 0, 1)
    dense = np.zeros((grid.height, grid.width), np.float32)
    dense[grid.y, grid.x] = images[0]
    means = [
        np.average([z for z, _ in w], weights=[i for _, i in w]) if w else m
        for m, w in zip(mz, windows, strict=True)
    ]
    error = means[0] - mz[0]
    rest = np.array(means[1:]) - mz[1:] - error
    relative = np.dot(weights, rest) / weights.sum() if weights.sum() > 0 else 0.0
    return get_chaos(dense), spatial, spectral, error, relative


def get_continuous_fdr(targets, decoys):
    """Return the rate of each target score, version 3; decoys of 0 have no score."""
    everything = sorted({*targets, *decoys[decoys > 0]})
    rates, least = {}, np.inf
    for s in everything:
        fdr = (1 + (decoys[decoys > 0] >= s).sum()) / decoys.shape[1]
        least = min(least, fdr / (1 + (np.array(targets) >= s).sum()))
        rates[s] = least
    return np.array([rates[s] for s in targets])


def get_digitised_fdr(targets, decoys):
    """Return the level of each target score, version 1."""
    rates = []
    for s in targets:
        n = (np.array(targets) >= s).sum()
        rates.append(np.median([(d[d > 0] >= s).sum() / n for d in decoys.T]))
    found = []
    for s in targets:
        for level in (0.05, 0.1, 0.2, 0.5):
            within = [t for t, r in zip(targets, rates, strict=True) if r < level]
            if within and s >= min(within):
                found.append(level)
                break
        else:
            found.append(1.0)
    return np.array(found)


def run_fdr(score, candidates, version):
    """Return the rate of each target of a database; -1 is no ion, 0 no score."""
    found = np.full(candidates.target.shape, np.nan)
    n_formulas, n_targets, n_decoys = candidates.decoy.shape
    for k in range(n_targets):
        targets = {}
        decoys = np.zeros((n_formulas, n_decoys))
        for f in range(n_formulas):
            ion = candidates.target[f, k]
            if ion >= 0 and score[ion] > 0:
                targets[f] = score[ion]
            for d in range(n_decoys):
                ion = candidates.decoy[f, k, d]
                decoys[f, d] = score[ion] if ion >= 0 else 0
        get_fdr = get_continuous_fdr if version == 3 else get_digitised_fdr
        found[list(targets), k] = get_fdr(list(targets.values()), decoys)
    return found
