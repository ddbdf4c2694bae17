"""Ions of a search: every molecule with every adduct, and with adducts of decoys.

Ions are numbers here, a formula and a modifier each, for there may be millions; names
are made for those that are reported.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.chemistry import _ion_kernels as kernels
from hpc_connector.learner.annotation.chemistry.formula_table import (
    Atoms,
    count_atoms,
    read_atoms,
)
from hpc_connector.learner.annotation.decoys import draw_decoys, list_candidates
from hpc_connector.learner.annotation.elements import ISOTOPES, LABELS
from hpc_connector.learner.annotation.formulas import (
    check_elements,
    format_formula,
    parse_formula,
)
from hpc_connector.learner.annotation.modifiers import make_modifiers, parse_modifier


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
    atoms = read_atoms(formulas)
    parts = [parse_modifier(modifier) for modifier in modifiers]
    elements = list_elements(formulas, atoms, parts)
    steps = [_count_parts(part, elements).cumsum(axis=0) for part in parts]
    change = np.array([step[-1] for step in steps])
    needed = np.array([-step.min(axis=0) for step in steps])
    counts = count_atoms(atoms, len(formulas), elements)

    place = {formula: number for number, formula in enumerate(formulas)}
    of_database = [np.array([place[f] for f in names], np.int64) for names in databases]
    made_of, found = _number_ions(of_database, drawn, counts, change, needed)
    candidates = [
        Candidates(formula, np.arange(len(targets)), target, decoy, modifier)
        for formula, (target, decoy), modifier in zip(
            of_database, found, drawn, strict=True
        )
    ]
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


def list_elements(
    formulas: Sequence[str], atoms: Atoms, parts: Iterable[Sequence[Mapping[str, int]]]
) -> tuple[str, ...]:
    """Return all elements of formulas and modifiers, in alphabetical order.

    Raises
    ------
    ValueError
        There is no element of that name.
    """
    names = set(atoms.names)
    if names - ISOTOPES.keys() - LABELS.keys():
        for formula in formulas:
            check_elements(parse_formula(formula.replace(".", "").replace("=", "")))
    for step in itertools.chain(*parts):
        check_elements(step)
        names |= step.keys()
    return tuple(sorted(names))


def _count_parts(
    compositions: Sequence[Mapping[str, int]], elements: Sequence[str]
) -> NDArray[np.integer[Any]]:
    """Return a row of atoms for each composition, after a first row of none."""
    column = {element: number for number, element in enumerate(elements)}
    counts = np.zeros((1 + len(compositions), len(elements)), np.int64)
    for row, composition in zip(counts[1:], compositions, strict=True):
        for element, n in composition.items():
            row[column[element]] = n
    return counts


def _number_ions(
    of_database: Sequence[NDArray[np.int64]],
    drawn: Sequence[NDArray[np.int64]],
    counts: NDArray[np.int64],
    change: NDArray[np.int64],
    needed: NDArray[np.int64],
) -> tuple[
    tuple[NDArray[np.int64], NDArray[np.int64]],
    list[tuple[NDArray[np.int64], NDArray[np.int64]]],
]:
    """Give what makes the same ion one number, in order of formula and modifier.

    Parameters
    ----------
    of_database, drawn
        Formulas of each database, and the modifiers of their decoys.

    Returns
    -------
    The first formula and modifier of each ion, and of each database the ions of its
    targets and decoys.
    """
    first = np.cumsum([0] + [len(formula) for formula in of_database])
    row = np.full((len(of_database), len(counts)), -1, np.int64)
    for own, formula, begin in zip(row, of_database, first, strict=False):
        own[formula] = begin + np.arange(len(formula))
    all_drawn = np.concatenate(drawn)
    is_used = np.zeros(len(change), np.bool_)
    used, ions = np.empty((2, len(change)), np.int64)
    n_pairs = kernels.count_pairs(row, all_drawn, is_used, used)
    formula, modifier = np.empty((2, n_pairs), np.int64)
    keys = np.empty(n_pairs, np.uint64)
    added = np.empty(len(change), np.uint64)
    slots = np.full(1 << (2 * n_pairs).bit_length(), -1, np.int32)
    target, decoy = np.empty(all_drawn.shape[:2], np.int64), np.empty_like(all_drawn)
    n_ions = kernels.number_ions(
        row,
        all_drawn,
        counts,
        change,
        needed,
        is_used,
        used,
        ions,
        added,
        formula,
        modifier,
        keys,
        slots,
        target,
        decoy,
    )
    inner = first[1:-1]
    found = zip(np.split(target, inner), np.split(decoy, inner), strict=True)
    return (formula[:n_ions], modifier[:n_ions]), list(found)
