"""Sizes of spectra, by which intensities are compared between pixels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare

NORMS = ("tic", "rms", "median")


def get_norms(
    intensity: NDArray[np.float32], n_kept: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return total ion current, root mean square and median of spectra.

    Parameters
    ----------
    intensity
        Peaks of one spectrum after the other, float32, all above 0.
    n_kept
        Peaks of each spectrum.

    Returns
    -------
    Shape (spectra, 3), float64, columns ``NORMS``; 0 for an empty spectrum.
    """
    norms = np.zeros((len(n_kept), len(NORMS)))
    fill_norms(intensity, n_kept, np.empty(n_kept.max(initial=0), np.float32), norms)
    return norms


@bare
def fill_norms(
    intensity: NDArray[np.float32],
    n_kept: NDArray[np.int64],
    room: NDArray[np.float32],
    norms: NDArray[np.float64],
) -> None:
    """Fill the norms of spectra; see :func:`get_norms`.

    Parameters
    ----------
    room
        As many values as the largest spectrum has.
    """
    first = 0
    for spectrum in range(len(n_kept)):
        n, total, squares = n_kept[spectrum], 0.0, 0.0
        for i in range(n):
            room[i] = intensity[first + i]
            value = np.float64(room[i])
            total += value
            squares += value * value
        if n:
            norms[spectrum, 0] = total
            norms[spectrum, 1] = math.sqrt(squares / n)
            norms[spectrum, 2] = get_median(room, n)
        first += n


@bare
def get_median(values: NDArray[np.float32], n: int) -> float:
    """Return the median of the first n values, which it puts in another order."""
    half = n // 2
    upper = np.float64(select(values, n, half))
    if n % 2:
        return upper
    lower = values[0]
    for i in range(1, half):
        lower = max(lower, values[i])
    return (np.float64(lower) + upper) / 2


@bare
def select(values: NDArray[np.float32], n: int, k: int) -> Any:
    """Return the value of rank k of the first n, which is then in its place.

    Those before it are not greater, and those after it not less: Hoare's quickselect.
    """
    low, high = 0, n - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


def normalise(
    intensity: NDArray[np.float32],
    pixel: NDArray[np.integer[Any]],
    norm: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return intensities divided by the norm of their pixel, times its median.

    So they stay on the scale of the instrument.

    Parameters
    ----------
    norm
        Of each pixel, above 0 where there is an intensity.
    """
    typical = np.median(norm[norm > 0])
    scaled: NDArray[np.float64] = intensity / norm[pixel] * typical
    return scaled.astype(np.float32)
