"""Sizes of spectra, by which intensities are compared between pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel

NORMS = ("tic", "rms", "median")


@kernel
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
    norms = np.zeros((len(n_kept), 3))
    first = 0
    for spectrum in range(len(n_kept)):
        last = first + n_kept[spectrum]
        here = intensity[first:last].astype(np.float64)
        if last > first:
            norms[spectrum, 0] = here.sum()
            norms[spectrum, 1] = np.sqrt((here * here).mean())
            norms[spectrum, 2] = np.median(here)
        first = last
    return norms


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
