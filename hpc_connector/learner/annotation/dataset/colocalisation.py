"""Colocalised ions: the median-thresholded cosine of their images, as METASPACE's.

Ovchinnikova et al., ColocML, Bioinformatics 36 (2020), found it to agree best with
experts. The form is that of METASPACE's engine (``colocalization.py``): of a box of
pixels, 0 where there is no spectrum, values above the 99th percentile are cut to it, or
to the greatest where it is 0; those below the median become 0; a median filter of 3 x 3
follows, mirrored at the edges; and then the cosine of all values.

What is cut becomes whole numbers, 0 to 65,535 for the greatest, before it is filtered:
products of two images are then exact, whoever adds them up and in whichever order. A
cosine differs by some 1e-5 for it; the engine itself takes images of 8 bits.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.dataset import _colocalisation_kernels as kernels
from hpc_connector.learner.annotation.ion_images import Grid, PeakList

EXACT = 1 << 53  # whole numbers up to here are those of float64
FULL = (1 << 16) - 1


def get_limits(
    peaks: PeakList, grid: Grid, mz: NDArray[np.float64], *, ppm: float = 3.0
) -> NDArray[np.float64]:
    """Return where images are cut: at their hot spots, and below the median.

    Parameters
    ----------
    mz
        Of the first isotope peak of each ion, shape (ions,), ascending (any order gives
        the same, more slowly).
    ppm
        Half the width of a window.

    Returns
    -------
    Shape (ions, 2), float64, unit of intensity; 0 where the image is empty.
    """
    limits = np.zeros((len(mz), 2))
    n_places = grid.height * grid.width
    kernels.fill_limits(peaks.to_tuple(), mz, ppm, len(grid.x), n_places, limits)
    return limits


def get_products(
    peaks: PeakList,
    grid: Grid,
    mz: NDArray[np.float64],
    limits: NDArray[np.float64],
    rows: tuple[int, int],
    *,
    ppm: float = 3.0,
) -> NDArray[np.float64]:
    """Return the products of all pairs of prepared images over some rows of the box.

    Parameters
    ----------
    mz
        As :func:`get_limits` takes them.
    limits
        From there.
    rows
        The first, and the last + 1.

    Returns
    -------
    Shape (ions, ions), float64, whole numbers; those of all rows may be added up in any
    order.
    """
    strip = np.zeros((len(mz), rows[1] - rows[0], grid.width))
    places = (grid.x, grid.y, grid.height, grid.width)
    full = get_full(grid.height * grid.width)
    kernels.fill_strip(peaks.to_tuple(), places, rows, mz, ppm, limits, full, strip)
    flat = strip.reshape(len(mz), -1)
    return np.asarray(flat @ flat.T)


def get_full(n_places: int) -> int:
    """Return the greatest number of an image whose sum of squares is exact.

    Examples
    --------
    >>> get_full(200_000), get_full(100_000_000)
    (65535, 9490)
    """
    return min(FULL, math.isqrt(EXACT // n_places))


def get_nearest(
    products: NDArray[np.float64], n: int, *, least: float = 0.0
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the ions whose images are nearest to that of each, the nearest first.

    Parameters
    ----------
    products
        Sums of :func:`get_products`.
    n
        How many of each at most.
    least
        Their cosine is at least this, and above 0.

    Returns
    -------
    Ions, -1 where there are fewer, and their cosines, 0 there; shape (ions, n).
    """
    ion = np.full((len(products), n), -1, np.int32)
    cosine = np.zeros((len(products), n))
    kernels.fill_nearest(products, least, ion, cosine)
    return ion, cosine
