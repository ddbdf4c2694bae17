"""Isotope patterns: where an ion's peaks lie in a mass spectrum, and how high they are.

Fine structure, envelope and centroids as METASPACE's engine computes them (cpyMSpec
0.4.2, and 0.3.5 for analysis version 1):

- Isotopologues of at least 1e-4 of the most probable one, less the electrons.
- Each a Gaussian as wide as the instrument resolves; their sum on a grid of 25 points
  within the full width at half maximum, which starts 6 standard deviations (12 in
  version 1) below the lightest and whose step follows the width of the peak at hand.
- A centroid for each maximum: the mean m/z of up to 7 points on either side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation import _pattern_kernels as kernels
from hpc_connector.learner.annotation.elements import ELECTRON_MASS, ISOTOPES, LABELS
from hpc_connector.learner.annotation.instruments import KINDS
from hpc_connector.learner.annotation.ions import Ions

MODELS = dict(zip(KINDS, (kernels.FTICR, kernels.ORBITRAP, kernels.TOF), strict=True))
REACH = {3: 6.0, 1: 12.0}  # standard deviations, by version
SIGMAS = (  # resolving power at m/z 200 below which a standard deviation (Da) is taken
    (85_000, 0.002476),
    (120_000, 0.001733),
    (195_000, 0.001238),
    (265_000, 0.000693),
    (390_000, 0.000619),
    (625_000, 0.000347),
    (875_000, 0.000231),
    (float("inf"), 0.000173),
)
ROOMS = (1 << 13, 1 << 16, 1 << 19)  # isotopologues; more where that is too few


@dataclass(frozen=True)
class Resolution:
    """What decides an isotope pattern besides the ion.

    ``sigma`` is the standard deviation of a peak at m/z 200, in Da.
    """

    instrument: str
    sigma: float
    charge: int
    version: int = 3
    n_peaks: int = 4


def get_sigma(instrument: str, resolving_power: float, mz: float) -> float:
    """Return the standard deviation of a peak at m/z 200 (Da).

    Parameters
    ----------
    resolving_power
        At the m/z given; METASPACE takes one of eight widths by it.
    """
    exponent = {"FTICR": 1.0, "Orbitrap": 0.5, "TOF": 0.0}[instrument]
    at_200 = resolving_power * (mz / 200) ** exponent
    return next(sigma for limit, sigma in SIGMAS if at_200 < limit)


def calculate_centroids(
    ions: Ions,
    resolution: Resolution,
    first: int = 0,
    last: int | None = None,
    *,
    lists: kernels.Lists | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the isotope patterns of ions first .. last - 1.

    Parameters
    ----------
    lists
        From ``list_isotopologues``, if there are several calls.

    Returns
    -------
    m/z and intensity (100 is the highest), shape (ions, n_peaks), float64, in order of
    m/z; 0 where there is no peak. Nothing but 0 for an ion of labels alone.

    Raises
    ------
    BadInput
        An ion with too many isotopologues.
    """
    chosen = slice(first, last)
    formula, modifier = ions.formula[chosen], ions.modifier[chosen]
    mz = np.zeros((len(formula), resolution.n_peaks))
    intensity = np.zeros_like(mz)
    labels = [LABELS.get(element, 0.0) for element in ions.elements]
    lists = lists or list_isotopologues(ions)
    done = 0
    for n_most in ROOMS:
        done = kernels.fill_patterns(
            done,
            n_most,
            ions.formula_counts,
            ions.modifier_counts,
            formula,
            modifier,
            resolution.charge * ELECTRON_MASS,
            np.array(labels) / abs(resolution.charge),
            lists,
            *_get_model(resolution),
            mz,
            intensity,
        )
        if done == len(formula):
            return mz, intensity
    name = ions.get_name(first + done)
    raise BadInput(
        f"{name} has too many isotopologues for a pattern: expected a smaller molecule"
    )


def _get_model(resolution: Resolution) -> tuple[int, float, float]:
    """Return the kind of the instrument, its resolving power, and the reach of a peak.

    The power is at m/z 200; for version 1 it is minus the sigma of the highest peak.
    """
    model = MODELS[resolution.instrument] if resolution.version == 3 else kernels.TOF
    power = 200 / (resolution.sigma * kernels.FWHM_OF_SIGMA)
    if resolution.version == 1:
        power = -resolution.sigma
    return model, power, REACH[resolution.version]


def list_isotopologues(ions: Ions) -> kernels.Lists:
    """Return the isotopologues of each number of atoms that ions have of an element.

    Returns
    -------
    first
        Of each element; the list for n atoms is number ``first[element] + n``.
    start
        Where a list begins, and the last ends.
    masses, probabilities
        Da, and relative to the most probable one.
    """
    lists: list[tuple[np.ndarray, np.ndarray]] = []
    first = []
    nothing = (np.zeros(0), np.zeros(0))
    for k, element in enumerate(ions.elements):
        first.append(len(lists))
        counts = np.unique(ions.formula_counts[:, k])
        sums = np.add.outer(counts, np.unique(ions.modifier_counts[:, k]))
        occurs = set(sums.ravel().tolist())
        isotopes = np.array(ISOTOPES.get(element, ((LABELS.get(element), 1.0),))).T
        for n in range(int(sums.max(initial=0)) + 1):
            here = n in occurs
            lists.append(kernels.list_isotopologues(n, *isotopes) if here else nothing)
    start = np.cumsum([0] + [len(mass) for mass, _ in lists])
    masses, probabilities = zip(*lists, strict=True)
    return np.array(first), start, np.concatenate(masses), np.concatenate(probabilities)
