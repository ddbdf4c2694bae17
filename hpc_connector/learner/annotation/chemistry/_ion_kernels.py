"""Kernels that number the ions of formulas and modifiers."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare

ODD = np.uint64(0x9E3779B97F4A7C15)  # its powers tell most compositions apart
HALF = np.uint64(32)


@bare
def list_modifiers(
    formula: int,
    row: NDArray[np.int64],
    drawn: NDArray[np.int64],
    is_used: NDArray[np.bool_],
    used: NDArray[np.int64],
) -> int:
    """List what makes ions of a formula in any database, in order; return how many.

    `row`, shape (databases, formulas), is that of a formula in `drawn`, shape (rows,
    targets, decoys), which holds modifiers of decoys, or -1; those of targets are the
    first. `is_used` is False for all modifiers, and is left so.
    """
    n_targets = drawn.shape[1]
    for d in range(len(row)):
        if row[d, formula] < 0:
            continue
        for t in range(n_targets):
            is_used[t] = True
            for modifier in drawn[row[d, formula], t]:
                is_used[modifier] = True
    n = 0
    for modifier in range(len(is_used)):
        if is_used[modifier]:
            is_used[modifier] = False
            used[n] = modifier
            n += 1
    return n


@bare
def count_pairs(
    row: NDArray[np.int64],
    drawn: NDArray[np.int64],
    is_used: NDArray[np.bool_],
    used: NDArray[np.int64],
) -> int:
    """Return how many pairs of formula and modifier there are."""
    n = 0
    for formula in range(row.shape[1]):
        n += list_modifiers(formula, row, drawn, is_used, used)
    return n


@bare
def can_be(
    counts: NDArray[np.int64], change: NDArray[np.int64], needed: NDArray[np.int64]
) -> bool:
    """Return whether a formula has the atoms needed, and an atom is left."""
    n_short, n_left = 0, 0
    for e in range(len(counts)):
        n_short += counts[e] < needed[e]
        n_left += counts[e] + change[e] != 0
    return n_short == 0 and n_left > 0


@bare
def get_key(counts: NDArray[np.int64]) -> np.uint64:
    """Return a number that is linear in the atoms of a composition."""
    key, power = np.uint64(0), ODD
    for n in counts:
        key += np.uint64(n) * power
        power *= ODD
    return key


@bare
def find_ion(
    f: int,
    m: int,
    key: np.uint64,
    n_ions: int,
    counts: NDArray[np.int64],
    change: NDArray[np.int64],
    formula: NDArray[np.int64],
    modifier: NDArray[np.int64],
    keys: NDArray[np.uint64],
    slots: NDArray[np.int32],
) -> int:
    """Return the ion of the same composition; n_ions if there is none, which is added.

    `slots` is a table of ions by their keys, -1 where it is free; its length is a power
    of two.
    """
    last = np.uint64(len(slots) - 1)
    at = ((key ^ (key >> HALF)) * ODD >> HALF) & last
    while slots[at] >= 0:
        ion = int(slots[at])
        if keys[ion] == key:
            g, k = formula[ion], modifier[ion]
            n_equal = 0
            for e in range(counts.shape[1]):
                n_equal += counts[f, e] + change[m, e] == counts[g, e] + change[k, e]
            if n_equal == counts.shape[1]:
                return ion
        at = (at + np.uint64(1)) & last
    slots[at] = n_ions
    formula[n_ions], modifier[n_ions], keys[n_ions] = f, m, key
    return n_ions


@bare
def number_ions(
    row: NDArray[np.int64],
    drawn: NDArray[np.int64],
    counts: NDArray[np.int64],
    change: NDArray[np.int64],
    needed: NDArray[np.int64],
    is_used: NDArray[np.bool_],
    used: NDArray[np.int64],
    ions: NDArray[np.int64],
    added: NDArray[np.uint64],
    formula: NDArray[np.int64],
    modifier: NDArray[np.int64],
    keys: NDArray[np.uint64],
    slots: NDArray[np.int32],
    target: NDArray[np.int64],
    decoy: NDArray[np.int64],
) -> int:
    """Give ions numbers by the first formula and modifier of each; return how many.

    Parameters
    ----------
    row, drawn, is_used, used
        As in ``list_modifiers``.
    counts, change, needed
        Atoms of formulas, shape (formulas, elements); what modifiers add, and what they
        take away first, shape (modifiers, elements).
    ions, added
        Room for a number of each modifier.
    formula, modifier, keys
        Filled, of each ion; there is room for all pairs.
    slots
        Of ``find_ion``, all -1.
    target, decoy
        Filled with ions, -1 for one that cannot be; shape (rows, targets), and that of
        `drawn`.
    """
    n_ions = 0
    for m in range(len(change)):
        added[m] = get_key(change[m])
    for f in range(len(counts)):
        key = get_key(counts[f])
        for k in range(list_modifiers(f, row, drawn, is_used, used)):
            m = used[k]
            ions[m] = -1
            if can_be(counts[f], change[m], needed[m]):
                ions[m] = find_ion(
                    f,
                    m,
                    key + added[m],
                    n_ions,
                    counts,
                    change,
                    formula,
                    modifier,
                    keys,
                    slots,
                )
                n_ions += ions[m] == n_ions
        for d in range(len(row)):
            r = row[d, f]
            if r < 0:
                continue
            for t in range(drawn.shape[1]):
                target[r, t] = ions[t]
                for j in range(drawn.shape[2]):
                    decoy[r, t, j] = ions[drawn[r, t, j]]
    return n_ions
