"""Centroids of profile spectra, which a search needs: one peak for each local maximum.

A point is a maximum if the one before it is lower and the one after it is not higher.
A parabola through the logarithms of the three, which is exact for a Gaussian however it
is sampled, gives m/z and height of the peak, the latter at most twice that of the
point. Where points of intensity 0 were left out on one side, m/z is the mean of the
other two by intensity. There is no threshold and no smoothing: noise has maxima too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation import _profile_kernels as kernels

FEWEST = 50  # points that are judged
STEADY = 0.1  # how far a step may differ from the one before to be as long
LEAST_STEADY = 0.3  # of the steps of profiles; of centroids, a tenth are by chance


def pick_peaks(
    mz: NDArray[np.floating[Any]],
    intensity: NDArray[np.float32],
    n_kept: NDArray[np.int64],
    is_profile: NDArray[np.bool_],
) -> tuple[NDArray[np.floating[Any]], NDArray[np.float32], NDArray[np.int64]]:
    """Return m/z, intensity and number of the peaks of spectra, profiles centroided.

    Parameters
    ----------
    mz, intensity, n_kept
        Points of one spectrum after the other, and how many each has; intensities are
        above 0.
    is_profile
        Of each spectrum; the points of others are their peaks.
    """
    return kernels.pick_peaks(mz, intensity, n_kept, is_profile)


def is_like_profile(mz: NDArray[np.floating[Any]]) -> bool:
    """Return whether the points of a spectrum follow one another in even steps."""
    if len(mz) < FEWEST:
        return False
    step = np.diff(mz.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        is_steady = np.abs(step[1:] / step[:-1] - 1) < STEADY
    return bool(is_steady.mean() > LEAST_STEADY)
