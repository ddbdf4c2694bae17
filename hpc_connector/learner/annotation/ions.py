"""Ions of a search: every molecule with every adduct, and with adducts of decoys.

Ions are numbers here, a formula and a modifier each, for there may be millions; names
are made for those that are reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.decoys import draw_decoys, list_candidates
from hpc_connector.learner.annotation.formulas import (
    check_elements,
    format_formula,
    parse_formula,
)
from hpc_connector.learner.annotation.modifiers import make_modifiers, parse_modifier

ODD = 0x9E3779B97F4A7C15  # its powers tell compositions apart, in 64 bits


@dataclass(frozen=True)
class Chemistry:
    """What may happen to a molecule, and how decoys are drawn.

    ``version`` is METASPACE's analysis version, 3 or 1.
    """

    adducts: tuple[str, ...]
    neutral_losses: tuple[str, ...] = ()
    chem_mods: tuple[str, ...] = ()
    n_decoys: int = 20
    version: int = 3
    seed: int = 42


@dataclass(frozen=True)
class Ions:
    """Unique ions: sum formulas of a molecule with a modifier.

    ``formula_counts``, shape (formulas, elements), holds atoms of a molecule, and
    ``modifier_counts``, shape (modifiers, elements), what a modifier adds. ``formula``
    and ``modifier``, shape (ions,), are rows of these: one way to make each ion.
    """

    elements: tuple[str, ...]
    formulas: tuple[str, ...]
    modifiers: tuple[str, ...]
    formula_counts: NDArray[np.integer[Any]]
    modifier_counts: NDArray[np.integer[Any]]
    formula: NDArray[np.integer[Any]]
    modifier: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        """Return the number of ions."""
        return len(self.formula)

    def get_name(self, ion: int) -> str:
        """Return the sum formula of an ion."""
        counts = self.formula_counts[self.formula[ion]]
        counts = counts + self.modifier_counts[self.modifier[ion]]
        return format_formula(dict(zip(self.elements, counts.tolist(), strict=True)))


@dataclass(frozen=True)
class Candidates:
    """Target and decoy ions of one database.

    ``formula``, shape (formulas,), and ``modifier``, shape (targets,), are rows of
    the formulas and modifiers of the ions. ``target``, shape (formulas, targets), and
    ``decoy``, shape (formulas, targets, decoys), are ions, -1 for one that cannot be;
    ``decoy_modifier`` has the modifiers of the latter.
    """

    formula: NDArray[np.integer[Any]]
    modifier: NDArray[np.integer[Any]]
    target: NDArray[np.int64]
    decoy: NDArray[np.int64]
    decoy_modifier: NDArray[np.int64]


def make_ions(
    databases: Sequence[Sequence[str]], chemistry: Chemistry
) -> tuple[Ions, list[Candidates]]:
    """Return all ions of some databases, and which of them belong to each.

    Parameters
    ----------
    databases
        Unique sum formulas of each, in order of first appearance: decoys depend on it.

    Raises
    ------
    ValueError
        A formula or a modifier that cannot be parsed.
    """
    formulas = tuple(dict.fromkeys(f for database in databases for f in database))
    targets, modifiers, drawn = _draw(databases, chemistry)
    molecules = [parse_formula(f.replace(".", "").replace("=", "")) for f in formulas]
    parts = [parse_modifier(modifier) for modifier in modifiers]
    elements = list_elements([*molecules, *(part for steps in parts for part in steps)])
    steps = [_count_atoms(part, elements).cumsum(axis=0) for part in parts]
    change = np.array([step[-1] for step in steps])
    needed = np.array([-step.min(axis=0) for step in steps])

    row = {formula: number for number, formula in enumerate(formulas)}
    of_database = [np.array([row[f] for f in names], np.int64) for names in databases]
    codes = []
    for formula, decoys in zip(of_database, drawn, strict=True):
        first = formula[:, None] * len(modifiers)
        codes += [first + np.arange(len(targets)), first[..., None] + decoys]
    pairs = np.unique(np.concatenate([code.ravel() for code in codes]))
    counts = _count_atoms(molecules, elements)[1:]
    ion, representative = _merge(pairs, counts, change, needed)

    found = [ion[np.searchsorted(pairs, code)] for code in codes]
    candidates = [
        Candidates(formula, np.arange(len(targets)), target, decoy, modifier)
        for formula, target, decoy, modifier in zip(
            of_database, found[::2], found[1::2], drawn, strict=True
        )
    ]
    made_of = divmod(representative, len(modifiers))
    return Ions(elements, formulas, modifiers, counts, change, *made_of), candidates


def _draw(
    databases: Sequence[Sequence[str]], chemistry: Chemistry
) -> tuple[list[str], tuple[str, ...], list[NDArray[np.int64]]]:
    """Return target modifiers, all modifiers, and the decoys' ones in each database.

    The last have the shape (formulas, targets, decoys).
    """
    pairs = make_modifiers(
        chemistry.chem_mods, chemistry.neutral_losses, chemistry.adducts
    )
    targets = [prefix + adduct for prefix, adduct in pairs]
    excluded = {*chemistry.adducts, *chemistry.neutral_losses, *chemistry.chem_mods}
    adducts = list_candidates(excluded)
    prefixes = list(dict.fromkeys(prefix for prefix, _ in pairs))
    decoys = [prefix + adduct for prefix in prefixes for adduct in adducts]
    first = [prefixes.index(prefix) * len(adducts) for prefix, _ in pairs]
    n_draws = 1 if chemistry.version == 3 else len(targets)
    drawn = [
        draw_decoys(
            len(formulas),
            n_draws,
            len(adducts),
            number=chemistry.n_decoys,
            seed=chemistry.seed,
        )
        + (len(targets) + np.array(first))[:, None]
        for formulas in databases
    ]
    return targets, (*targets, *decoys), drawn


def list_elements(compositions: Iterable[Mapping[str, int]]) -> tuple[str, ...]:
    """Return all elements of some compositions, in alphabetical order.

    Raises
    ------
    ValueError
        There is no element of that name.
    """
    elements = {element: 1 for counts in compositions for element in counts}
    check_elements(elements)
    return tuple(sorted(elements))


def _count_atoms(
    compositions: Sequence[Mapping[str, int]], elements: Sequence[str]
) -> NDArray[np.integer[Any]]:
    """Return a row of atoms for each composition, after a first row of none."""
    column = {element: number for number, element in enumerate(elements)}
    counts = np.zeros((1 + len(compositions), len(elements)), np.int64)
    for row, composition in zip(counts[1:], compositions, strict=True):
        for element, n in composition.items():
            row[column[element]] = n
    return counts


def _merge(
    pairs: NDArray[np.integer[Any]],
    counts: NDArray[np.integer[Any]],
    change: NDArray[np.integer[Any]],
    needed: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give pairs of formula and modifier that make the same ion one number.

    Returns
    -------
    The ion of each pair, -1 where atoms run short or none is left, and the first pair
    of each ion.
    """
    formula, modifier = np.divmod(pairs, len(change))
    is_short = np.array([(counts < need).any(axis=1) for need in needed]).T
    is_empty = np.array([(counts == -step).all(axis=1) for step in change]).T
    (there,) = np.nonzero(~(is_short | is_empty)[formula, modifier])
    powers = np.array(
        [pow(ODD, 1 + k, 1 << 64) for k in range(counts.shape[1])], np.uint64
    )
    key = (counts.astype(np.uint64) @ powers)[formula[there]]
    key += (change.astype(np.uint64) @ powers)[modifier[there]]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    _check_groups(counts, change, formula[there], modifier[there], first[group])
    order = np.argsort(first)
    ion = np.full(len(pairs), -1, np.int64)
    ion[there] = np.argsort(order)[group]
    return ion, pairs[there][first[order]]


def _check_groups(
    counts: NDArray[np.integer[Any]],
    change: NDArray[np.integer[Any]],
    formula: NDArray[np.integer[Any]],
    modifier: NDArray[np.integer[Any]],
    first: NDArray[np.integer[Any]],
) -> None:
    """Make sure that pairs of one key are one composition, as that of the first."""
    (others,) = np.nonzero(first != np.arange(len(first)))
    here = counts[formula[others]] + change[modifier[others]]
    there = counts[formula[first[others]]] + change[modifier[first[others]]]
    if (here != there).any():
        raise RuntimeError("two ions have one key: change ions.ODD")
