"""The atoms of many sum formulas, as a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.annotation.chemistry import _formula_kernels as kernels
from hpc_connector.learner.annotation.formulas import (
    MOST_ATOMS,
    SHORT,
    parse_formula,
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SYMBOLS = [a + b for a in LETTERS for b in ("", *LETTERS.lower())]


class Atoms(NamedTuple):
    """Elements of formulas, with the number of their atoms.

    ``formula``, ``element`` and ``number``, int64 (rows,), are the places of formulas
    and of names, and atoms; an element of a formula may have several rows.
    """

    names: tuple[str, ...]
    formula: NDArray[np.int64]
    element: NDArray[np.int64]
    number: NDArray[np.int64]


def read_atoms(formulas: Sequence[str]) -> Atoms:
    """Read sum formulas, without the dots and bonds that are written in them.

    Raises
    ------
    ValueError
        As ``parse_formula`` of the first that is wrong.
    """
    text = "".join(formulas)
    if "." in text or "=" in text:
        formulas = [f.replace(".", "").replace("=", "") for f in formulas]
    simple, is_simple = _list_simple(formulas)
    total = np.bincount(simple[0], simple[2], len(formulas))
    doubtful = np.flatnonzero(~is_simple | (total > MOST_ATOMS)).tolist()
    parsed = {f: parse_formula(formulas[f]) for f in doubtful}
    others = {f: counts for f, counts in parsed.items() if not is_simple[f]}
    symbols = [SHORT.get(symbol, symbol) for symbol in SYMBOLS]
    names = [*symbols, *sorted({name for counts in others.values() for name in counts})]
    place = {name: number for number, name in enumerate(names)}
    rest = [(f, place[e], n) for f, c in others.items() for e, n in c.items()]
    table = np.array(rest, np.int64).reshape(-1, 3).T
    rows = np.concatenate([simple, table], axis=1)
    occurring, element = np.unique(rows[1], return_inverse=True)
    return Atoms(tuple(names[k] for k in occurring), rows[0], element, rows[2])


def _list_simple(
    formulas: Sequence[str],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read the formulas that are elements and numbers alone, and say which these are.

    Returns
    -------
    Shape (3, rows): formula, place of the symbol in ``SYMBOLS``, number; and shape
    (formulas,).
    """
    text = np.frombuffer("".join(formulas).encode("ascii", "replace"), np.uint8)
    start = np.zeros(len(formulas) + 1, np.int64)
    np.cumsum([len(formula) for formula in formulas], out=start[1:])
    rows = np.empty((3, len(text)), np.int64)
    is_simple = np.empty(len(formulas), np.bool_)
    formula, symbol, number = rows
    n = kernels.list_atoms(
        text, start, len(str(MOST_ATOMS)), formula, symbol, number, is_simple
    )
    return rows[:, :n], is_simple


def count_atoms(
    atoms: Atoms, n_formulas: int, elements: Sequence[str]
) -> NDArray[np.int64]:
    """Return the atoms of formulas, shape (formulas, elements)."""
    place = {element: number for number, element in enumerate(elements)}
    column = np.array([place[name] for name in atoms.names], np.int64)
    counts = np.zeros((n_formulas, len(elements)), np.int64)
    np.add.at(counts, (atoms.formula, column[atoms.element]), atoms.number)
    return counts
