"""Decoy ions: adducts that no molecule forms, drawn for each target ion.

Palmer et al., FDR-controlled metabolite annotation for high-resolution imaging mass
spectrometry, Nature Methods 14 (2017). The draws are METASPACE's, number by number.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

CANDIDATES = (
    "He Li Be B C N O F Ne Mg Al Si P S Cl Ar Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
    "Se Br Kr Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu "
    "Gd Tb Dy Ho Ir Th Pt Os Yb Lu Bi Pb Re Tl Tm U W Au Er Hf Hg Ta"
)


def list_candidates(excluded: Collection[str]) -> list[str]:
    """Return the adducts that decoys may have, none of those that targets have."""
    adducts = (f"+{element}" for element in CANDIDATES.split())
    return [adduct for adduct in adducts if adduct not in excluded]


def draw_decoys(
    n_formulas: int,
    n_draws: int,
    n_candidates: int,
    *,
    number: int = 20,
    seed: int = 42,
) -> NDArray[np.int64]:
    """Draw decoy adducts for the formulas of one database.

    Parameters
    ----------
    n_draws
        For each formula: one for all its modifiers (analysis version 3), or one for
        each of them (version 1).
    number
        Decoys of a draw.

    Returns
    -------
    Numbers of candidates, shape (n_formulas, n_draws, number), int64. They depend on
    the order of the formulas.

    Raises
    ------
    ValueError
        Fewer candidates than decoys.
    """
    if not 1 <= number <= n_candidates:
        raise ValueError(f"{number} decoys of {n_candidates} candidate adducts")
    rng = np.random.RandomState(seed)
    drawn = np.empty((n_formulas * n_draws, number), np.int64)
    for row in drawn:
        shuffled = np.arange(n_candidates)
        rng.shuffle(shuffled)
        row[:] = shuffled[:number]
    return drawn.reshape(n_formulas, n_draws, number)
