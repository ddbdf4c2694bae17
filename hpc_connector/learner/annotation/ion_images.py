"""Ion images and their scores: chaos, spatial, spectral, and errors of m/z.

Palmer et al., FDR-controlled metabolite annotation for high-resolution imaging mass
spectrometry, Nature Methods 14 (2017), in the form METASPACE's engine gives them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation import _image_kernels as kernels
from hpc_connector.learner.annotation._chaos_kernels import (
    Room,
    crop,
    get_chaos,
    make_room,
)

SCORES = kernels.SCORES


@dataclass(frozen=True)
class Grid:
    """Where the pixels are: column and row of each, in ascending order of place."""

    x: NDArray[np.integer[Any]]
    y: NDArray[np.integer[Any]]
    height: int
    width: int


@dataclass(frozen=True)
class PeakList:
    """All peaks of a dataset in ascending order of m/z.

    ``mz`` is float32 or float64 as in the file, ``pixel`` uint32, and ``intensity``
    float32, above 0.
    """

    mz: NDArray[np.floating[Any]]
    pixel: NDArray[np.uint32]
    intensity: NDArray[np.float32]

    def to_tuple(
        self,
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint32], NDArray[np.float32]]:
        """Return the arrays that the kernels take."""
        return self.mz, self.pixel, self.intensity


@dataclass(frozen=True)
class ImageSet:
    """Images of some ions, those of one after the other.

    The pixels of image k of an ion are ``pixel[start[n * ion + k] : start[... + 1]]``
    with their intensities; ``mz_mean``, ``mz_std`` and ``total``, the sum of the
    intensities, have the shape (ions, n).
    """

    start: NDArray[np.int64]
    pixel: NDArray[np.uint32]
    intensity: NDArray[np.float32]
    mz_mean: NDArray[np.float64]
    mz_std: NDArray[np.float64]
    total: NDArray[np.float64]


def annotate(
    peaks: PeakList,
    grid: Grid,
    mz: NDArray[np.float64],
    theoretical: NDArray[np.float64],
    *,
    ppm: float = 3.0,
    min_pixels: int = 1,
    n_levels: int = 30,
) -> NDArray[np.float64]:
    """Return the scores of ions.

    Parameters
    ----------
    mz, theoretical
        Isotope patterns from ``calculate_centroids``, shape (ions, images), in order of
        their first m/z (any order gives the same, more slowly).
    ppm
        Half the width of a window about a centroid.
    min_pixels
        Peaks that the first image must have.

    Returns
    -------
    Shape (ions, 8), float64, columns ``SCORES``. All are 0 where chaos, spatial or
    spectral is: such an ion has no score.
    """
    scores = np.zeros((len(mz), len(SCORES)))
    images = kernels.make_images(mz.shape[1], len(grid.x))
    places = (grid.x, grid.y, grid.height, grid.width)
    room = _make_room(grid, n_levels)
    kernels.fill_scores(
        peaks.to_tuple(), places, mz, theoretical, ppm, min_pixels, images, room, scores
    )
    return scores


def _make_room(grid: Grid, n_levels: int) -> Room:
    """Return room for any image of the grid: none is larger than that of all pixels."""
    place = np.empty(max(grid.height, grid.width), np.int64)
    n_kept = [
        crop(position, len(position), size, place)
        for position, size in ((grid.y, grid.height), (grid.x, grid.width))
    ]
    return make_room(grid.height, grid.width, n_kept[0] * n_kept[1], n_levels)


def get_measure_of_chaos(image: NDArray[np.float32], n_levels: int = 30) -> float:
    """Return the measure of chaos of an image, shape (height, width), float32."""
    height, width = image.shape
    y, x = np.nonzero(image > 0)
    room = make_room(height, width, image.size, n_levels)
    return get_chaos(x, y, image[y, x], len(x), height, width, room)


def count_pixels(
    peaks: PeakList, grid: Grid, mz: NDArray[np.float64], *, ppm: float = 3.0
) -> NDArray[np.int64]:
    """Return how many pixels each image of ions has, int64 (ions, images).

    It takes a fraction of what :func:`get_images` does, and the same arguments.
    """
    count = np.zeros(mz.shape, np.int64)
    seen = np.zeros(len(grid.x) // kernels.WORD + 1, np.uint64)
    kernels.count_pixels(peaks.to_tuple(), mz, ppm, seen, count)
    return count


def get_images(
    peaks: PeakList, grid: Grid, mz: NDArray[np.float64], *, ppm: float = 3.0
) -> ImageSet:
    """Return the images of ions, from their isotope patterns.

    Parameters
    ----------
    peaks
        Of all pixels, in order of m/z.
    mz
        Patterns, shape (ions, peaks); 0 for no peak.
    ppm
        Half the width of a window.
    """
    start = add_up(count_pixels(peaks, grid, mz, ppm=ppm))
    pixel, value = np.zeros(start[-1], np.uint32), np.zeros(start[-1], np.float32)
    moments = np.zeros((*mz.shape, 3))
    room = kernels.make_images(mz.shape[1], len(grid.x))
    kernels.fill_images(peaks.to_tuple(), mz, ppm, room, start, pixel, value, moments)
    return ImageSet(start, pixel, value, *np.moveaxis(moments, 2, 0))


def add_up(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of some stretches begins, and the end, from their lengths."""
    return np.concatenate([[0], np.cumsum(count)])


def get_mz_errors(
    peaks: PeakList,
    grid: Grid,
    mz: NDArray[np.float64],
    images: ImageSet,
    *,
    ppm: float = 3.0,
) -> NDArray[np.int16]:
    """Return how far the m/z of each pixel of the first images is off.

    Parameters
    ----------
    peaks, grid, mz, ppm
        Of which `images` are.

    Returns
    -------
    Of the pixels of the first image of each ion, those of one after the other: the mean
    by intensity of the m/z of the peaks, less the theoretical, int16 in thousandths of
    half the window, -1000 to 1000; times ``ppm / 1000`` it is in ppm.
    """
    n_images = mz.shape[1]
    first, last = images.start[:-1:n_images], images.start[1::n_images]
    pieces = [images.pixel[a:b] for a, b in zip(first, last, strict=True)]
    pixel = np.concatenate([images.pixel[:0], *pieces])
    room, error = np.zeros((len(grid.x), 2)), np.zeros(len(pixel), np.int16)
    kernels.fill_mz_errors(
        peaks.to_tuple(), mz[:, 0], ppm, add_up(last - first), pixel, room, error
    )
    return error
