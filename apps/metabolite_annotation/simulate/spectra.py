"""The spectra of a simulated dataset, pixel by pixel."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metabolite_annotation.simulate.design import Design, Planted, draw_level
from metabolite_annotation.simulate.instruments import Profile, centroid, get_fwhm

LIMIT = 100.0  # intensity of the weakest peak that is detected
PEAK_SPREAD = 0.1  # of the intensity of a peak, log
NOISE, NOISE_SPREAD = 1.0, 0.7  # median above the limit, by the limit; log
MARGIN = 5.0  # of m/z beyond the ions, in which there is noise


class Spectrum(NamedTuple):
    """The peaks of a pixel, and which ions have their first peak among them.

    Parameters
    ----------
    x, y
        From 1.
    ions
        Rows of those that were planted.
    """

    x: int
    y: int
    mz: NDArray[np.float64]
    intensity: NDArray[np.float64]
    ions: NDArray[np.int64]


def draw_spectra(
    design: Design, planted: Planted, instrument: str, profile: Profile
) -> Iterator[Spectrum]:
    """Yield the spectra row by row; the same design gives the same ones.

    A pixel without a peak has none.
    """
    shifting, rng = np.random.default_rng([design.seed, 1]).spawn(2)
    shift = shifting.normal(0, profile.shift_ppm, len(planted.names))
    ends = planted.mz[planted.mz > 0]
    low, high = ends.min() - MARGIN, ends.max() + MARGIN
    middle = np.arange(design.width, dtype=np.float64) + 0.5
    for y in range(design.height):
        row = np.array([y + 0.5])
        levels = [draw_level(discs, middle, row) for discs in planted.discs]
        for x, level in enumerate(np.transpose(levels)):
            height = planted.amplitude * level * LIMIT
            mz, intensity, ions = _draw_ions(planted, height, shift, profile, rng)
            noise_mz = rng.uniform(low, high, design.noise)
            noise = LIMIT * (
                1 + rng.lognormal(np.log(NOISE), NOISE_SPREAD, design.noise)
            )
            mz, intensity = np.append(mz, noise_mz), np.append(intensity, noise)
            if len(mz):
                fwhm = get_fwhm(instrument, profile.resolving_power, mz)
                yield Spectrum(x + 1, y + 1, *centroid(mz, intensity, fwhm), ions)


def _draw_ions(
    planted: Planted,
    height: NDArray[np.float64],
    shift: NDArray[np.float64],
    profile: Profile,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the peaks of ions that are detected in a pixel, and the ions seen.

    Parameters
    ----------
    height
        Of the highest peak of each ion.
    shift
        Of m/z of each ion, ppm.
    """
    here = np.flatnonzero(height > LIMIT / 2)
    shape = planted.mz[here].shape
    spread = rng.lognormal(0, PEAK_SPREAD, shape)
    intensity = height[here, None] * planted.heights[here] * spread
    error = shift[here, None] + rng.normal(0, profile.jitter_ppm, shape)
    mz = planted.mz[here] * (1 + 1e-6 * error)
    is_seen = (intensity > LIMIT) & (planted.mz[here] > 0)
    return mz[is_seen], intensity[is_seen], here[is_seen[:, 0]]
