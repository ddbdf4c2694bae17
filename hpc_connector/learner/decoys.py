"""Decoy ions: adducts that no molecule forms, drawn for each target ion.

Palmer et al., FDR-controlled metabolite annotation for high-resolution imaging mass
spectrometry, Nature Methods 14 (2017). The draws are METASPACE's, number by number.
"""

from collections.abc import Iterator, Sequence

import numpy as np

CANDIDATES = (
    "He Li Be B C N O F Ne Mg Al Si P S Cl Ar Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
    "Se Br Kr Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu "
    "Gd Tb Dy Ho Ir Th Pt Os Yb Lu Bi Pb Re Tl Tm U W Au Er Hf Hg Ta"
)


def draw_decoys(
    formulas: Sequence[str],
    modifiers: Sequence[tuple[str, str]],
    excluded: Sequence[str] = (),
    *,
    number: int = 20,
    version: int = 3,
    seed: int = 42,
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield formula, target modifier and decoy modifiers of every target ion.

    Parameters
    ----------
    formulas
        Of one database, unique, in order of first appearance: the draws depend on it.
    modifiers
        Prefix and adduct, from ``make_modifiers``.
    excluded
        Chemical modifications and neutral losses, which are no decoy adducts either.
    number
        Decoys of a target ion.
    version
        3: one draw a formula, for all its modifiers. 1: one for each of them.

    Raises
    ------
    ValueError
        Fewer candidates than decoys.
    """
    known = {adduct for _, adduct in modifiers} | set(excluded)
    candidates = [f"+{c}" for c in CANDIDATES.split() if f"+{c}" not in known]
    if not 1 <= number <= len(candidates):
        raise ValueError(f"{number} decoys of {len(candidates)} candidate adducts")
    rng = np.random.RandomState(seed)
    for formula in formulas:
        drawn = _draw(rng, candidates, number)
        for k, (prefix, adduct) in enumerate(modifiers):
            if version == 1 and k > 0:
                drawn = _draw(rng, candidates, number)
            yield formula, prefix + adduct, [prefix + decoy for decoy in drawn]


def _draw(
    rng: np.random.RandomState, candidates: Sequence[str], number: int
) -> list[str]:
    """Return the first of a shuffled copy of the candidates."""
    shuffled = list(candidates)
    rng.shuffle(shuffled)
    return shuffled[:number]
