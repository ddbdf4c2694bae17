"""The mean spectrum of a dataset: intensities over narrow bins of m/z."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.dataset import _mean_spectrum_kernels as kernels
from hpc_connector.learner.annotation.ion_images import PeakList

LEAST_PPM = 1.0


class Bins(NamedTuple):
    """Bins of m/z that have peaks, in ascending order, shape (bins,).

    ``mz`` is the mean of the peaks by intensity, ``total`` the sum of their
    intensities.
    """

    mz: NDArray[np.float64]
    total: NDArray[np.float64]


def get_bins(
    peaks: PeakList, part: int, n_parts: int, n: int, *, ppm: float = 3.0
) -> Bins:
    """Return the most intense bins of a part of the peaks.

    Parameters
    ----------
    part, n_parts
        Which part of how many about equal ones; a bin is in one of them.
    n
        How many bins at most; of equals the first.
    ppm
        Half the width of a bin, parts per million: that of an ion image. Bins are
        evenly spaced in the logarithm of m/z, and no narrower than 1 ppm.
    """
    width = max(2 * ppm, LEAST_PPM) * 1e-6
    first, last = (len(peaks.mz) * k // n_parts for k in (part, part + 1))
    given = (peaks.to_tuple(), (first, last), width)
    nothing = np.zeros(0)
    n_bins = kernels.fill_bins(*given, nothing, nothing)
    bins = Bins(np.zeros(n_bins), np.zeros(n_bins))
    kernels.fill_bins(*given, *bins)
    return choose_bins(bins, n)


def choose_bins(bins: Bins, n: int) -> Bins:
    """Return the most intense of bins, in ascending order; of equals the first."""
    if len(bins.mz) <= n:
        return bins
    least = np.partition(bins.total, -n)[-n]
    is_kept = bins.total > least
    equals = np.flatnonzero(bins.total == least)
    is_kept[equals[: n - is_kept.sum()]] = True
    return Bins(bins.mz[is_kept], bins.total[is_kept])
