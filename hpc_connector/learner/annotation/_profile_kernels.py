"""Kernels of profiles: one peak for each local maximum."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel

GAP = 1.5  # times the step on the other side: there points of intensity 0 are left out

MOST_RISE = math.log(2)  # of a top above its highest point, which may be cut off


@kernel
def pick_peaks(
    mz: NDArray[np.floating[Any]],
    intensity: NDArray[np.float32],
    n_kept: NDArray[np.int64],
    is_profile: NDArray[np.bool_],
) -> tuple[NDArray[np.floating[Any]], NDArray[np.float32], NDArray[np.int64]]:
    """Return the peaks of spectra, of those that are profiles the picked ones.

    Parameters
    ----------
    mz, intensity, n_kept
        Points of one spectrum after the other, and how many each has; intensities are
        above 0.
    is_profile
        Of each spectrum; others are copied.

    Returns
    -------
    The same three.
    """
    picked_mz, picked = np.empty_like(mz), np.empty_like(intensity)
    n_picked = np.zeros_like(n_kept)
    total, first = 0, 0
    for spectrum in range(len(n_kept)):
        last = first + n_kept[spectrum]
        x, y = mz[first:last].astype(np.float64), intensity[first:last]
        begin = total
        if not is_profile[spectrum]:
            total += last - first
            picked_mz[begin:total], picked[begin:total] = x, y
        else:
            order = np.argsort(x, kind="mergesort")
            x, y = x[order], y[order].astype(np.float64)
            for i in range(len(x)):
                left = y[i - 1] if i > 0 else 0.0
                right = y[i + 1] if i + 1 < len(x) else 0.0
                if 0 < i < len(x) - 1:
                    before, after = x[i] - x[i - 1], x[i + 1] - x[i]
                    left = 0.0 if before > GAP * after else left
                    right = 0.0 if after > GAP * before else right
                if not left < y[i] >= right:
                    continue
                place, height = x[i], y[i]
                if left > 0 and right > 0 and x[i - 1] < x[i] < x[i + 1]:
                    a, b = x[i] - x[i - 1], x[i + 1] - x[i]
                    rise = (math.log(y[i]) - math.log(left)) / a
                    fall = (math.log(right) - math.log(y[i])) / b
                    bend = (fall - rise) / (a + b)
                    slope = fall - bend * b
                    place = x[i] - slope / (2 * bend)
                    rise = -slope * slope / (4 * bend)
                    height = y[i] * math.exp(min(rise, MOST_RISE))
                elif left > 0:
                    place = (left * x[i - 1] + y[i] * x[i]) / (left + y[i])
                elif right > 0:
                    place = (y[i] * x[i] + right * x[i + 1]) / (y[i] + right)
                picked_mz[total], picked[total] = place, height
                total += 1
        n_picked[spectrum] = total - begin
        first = last
    return picked_mz[:total], picked[:total], n_picked
