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
    float32.
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
    n_images = mz.shape[1]
    room = kernels.make_images(n_images, len(grid.x))
    start = np.zeros(mz.size + 1, np.int64)
    moments = np.zeros((*mz.shape, 3))
    nothing = np.zeros(0, np.uint32), np.zeros(0, np.float32)
    kernels.fill_images(peaks.to_tuple(), mz, ppm, room, start, *nothing, moments)
    pixel, value = np.zeros(start[-1], np.uint32), np.zeros(start[-1], np.float32)
    kernels.fill_images(peaks.to_tuple(), mz, ppm, room, start, pixel, value, moments)
    return ImageSet(start, pixel, value, *np.moveaxis(moments, 2, 0))
