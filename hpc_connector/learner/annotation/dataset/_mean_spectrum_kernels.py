"""Kernels of the mean spectrum: sums of the sorted peaks over narrow bins of m/z."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.annotation._image_kernels import Peaks, find_first


@bare
def get_edge(mz: float, width: float, side: int) -> float:
    """Return an edge of the bin of an m/z: 0 for the lower, 1 for the upper one."""
    number = math.floor(math.log(mz) / width)
    while math.exp(number * width) > mz:
        number -= 1
    while math.exp((number + 1) * width) <= mz:
        number += 1
    return math.exp((number + side) * width)


@bare
def find_bin(peak_mz: NDArray[np.floating[Any]], at: int, width: float) -> int:
    """Return the first peak of the bin that a peak is in."""
    if at >= len(peak_mz):
        return len(peak_mz)
    return find_first(peak_mz, get_edge(peak_mz[at], width, 0), at, False)


@kernel
def fill_bins(
    peaks: Peaks,
    cuts: tuple[int, int],
    width: float,
    mz: NDArray[np.float64],
    total: NDArray[np.float64],
) -> int:
    """Fill the bins that begin among some peaks, and return how many these are.

    Parameters
    ----------
    cuts
        The first peak, and the last + 1; both go back to where their bin begins.
    width
        Of the logarithm of m/z.
    mz, total
        Mean m/z by intensity, and the sum of intensities; with no room, bins are only
        counted.
    """
    peak_mz, _, intensities = peaks
    n, first = 0, find_bin(peak_mz, cuts[0], width)
    end = find_bin(peak_mz, cuts[1], width)
    while first < end:
        edge = get_edge(peak_mz[first], width, 1)
        last = find_first(peak_mz, edge, first, False)
        if n < len(mz):
            weight, moment = 0.0, 0.0
            for j in range(first, last):
                weight += intensities[j]
                moment += intensities[j] * (np.float64(peak_mz[j]) - edge)
            total[n] = weight
            mz[n] = edge + moment / weight if weight > 0.0 else edge
        n += 1
        first = last
    return n
