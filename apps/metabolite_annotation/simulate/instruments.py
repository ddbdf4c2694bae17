"""How well instruments of a kind measure, for simulations: typical values."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Profile(NamedTuple):
    """What an instrument does to peaks; errors are standard deviations.

    Parameters
    ----------
    resolving_power
        At m/z 200; how it goes with m/z is of the kind.
    shift_ppm
        Of all peaks of an ion, in all pixels.
    jitter_ppm
        Of each peak in each pixel.
    ppm
        The window to search such data with.
    """

    resolving_power: float
    shift_ppm: float
    jitter_ppm: float
    ppm: float


PROFILES = {
    "FTICR": Profile(280_000, 0.3, 0.5, 3),
    "Orbitrap": Profile(140_000, 0.5, 0.8, 3),
    "TOF": Profile(40_000, 2, 3, 10),
}
EXPONENTS = {"FTICR": 1.0, "Orbitrap": 0.5, "TOF": 0.0}  # of 200 / mz


def get_fwhm(
    instrument: str, resolving_power: float, mz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the full width at half maximum of peaks, Da.

    Parameters
    ----------
    resolving_power
        At m/z 200.
    """
    return mz / (resolving_power * (200 / mz) ** EXPONENTS[instrument])


def centroid(
    mz: NDArray[np.float64], intensity: NDArray[np.float64], fwhm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return peaks in order of m/z, those that an instrument does not part as one.

    A peak nearer to the one before it than its width joins it: intensities add up, m/z
    is their mean by intensity.

    Parameters
    ----------
    mz, intensity, fwhm
        Of the peaks in any order, shape (n,).
    """
    order = np.argsort(mz, kind="stable")
    mz, intensity, fwhm = mz[order], intensity[order], fwhm[order]
    begins = np.flatnonzero(np.diff(mz, prepend=-np.inf) >= fwhm)
    height = np.add.reduceat(intensity, begins)
    return np.add.reduceat(mz * intensity, begins) / height, height
