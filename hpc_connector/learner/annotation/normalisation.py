"""Sizes of spectra, by which intensities are compared between pixels."""

import numpy as np

from hpc_connector._jit import kernel

NORMS = ("tic", "rms", "median")


@kernel
def get_norms(intensity, n_kept):
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


def normalise(intensity: np.ndarray, pixel: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Return intensities divided by the norm of their pixel, times its median.

    So they stay on the scale of the instrument.

    Parameters
    ----------
    norm
        Of each pixel, above 0 where there is an intensity.
    """
    typical = np.median(norm[norm > 0])
    return (intensity / norm[pixel] * typical).astype(np.float32)
