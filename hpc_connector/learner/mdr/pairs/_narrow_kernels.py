"""Words of 16 bits: those of 32 variants fill a vector, and groups need less padding.

A word of 32 bits is two of 16, of which the last of a group may be left out.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Genotypes
from hpc_connector.learner.mdr._simd import (
    Vector,
    load,
    spread,
    store_fours,
    store_lower,
)


@kernel
def cut_narrow_groups(genotypes: Genotypes) -> NDArray[np.int64]:
    """Return the first word of 16 bits of each group, int64 (groups + 1,)."""
    n_groups = 2 * genotypes.folds
    start = np.zeros(n_groups + 1, np.int64)
    for group in range(n_groups):
        start[group + 1] = start[group] + (genotypes.size[group] + 15) // 16
    return start


@kernel
def copy_narrow_columns(
    genotypes: Genotypes,
    start: NDArray[np.int64],
    first: int,
    last: int,
    columns: NDArray[np.int16],
) -> None:
    """Copy some blocks of sixteen variants as blocks of 32.

    Parameters
    ----------
    start
        From :func:`cut_narrow_groups`.
    columns
        The result, int16 (blocks of 32 * words * 2 planes * 32,).
    """
    planes, size = genotypes.planes.reshape(-1), start[-1] * 64
    block_size, stored = planes.shape[0] // genotypes.planes.shape[0], 16
    stored = genotypes.planes.shape[2] * 16
    if (last - first) % 2 == 1:
        columns[(last - first) // 2 * size :] = 0
    for block in range(first, last):
        to = (block - first) // 2 * size + (block - first) % 2 * 16
        for group in range(2 * genotypes.folds):
            at = block * block_size + genotypes.group_start[group] * stored
            for narrow in range(start[group], start[group + 1], 2):
                for plane in range(2):
                    word = load(planes, at + plane * 16)
                    into = to + (narrow * 2 + plane) * 32
                    store_lower(columns, into, word)
                    if narrow + 1 < start[group + 1]:
                        store_lower(columns, into + 64, word >> spread(16))
                at += stored


@kernel
def copy_narrow_rows(
    genotypes: Genotypes,
    start: NDArray[np.int64],
    block: int,
    rows: NDArray[np.int32],
    to: int,
) -> None:
    """Copy sixteen variants as four fours, every word of 16 bits there twice.

    Parameters
    ----------
    start
        From :func:`cut_narrow_groups`.
    rows, to
        The result, at rows[to:], int32 [four][word][plane][row].
    """
    planes, step = genotypes.planes.reshape(-1), start[-1] * 8
    block_size, stored = genotypes.planes[0].size, genotypes.planes.shape[2] * 16
    for group in range(2 * genotypes.folds):
        at = block * block_size + genotypes.group_start[group] * stored
        for narrow in range(start[group], start[group + 1], 2):
            for plane in range(2):
                word = load(planes, at + plane * 16)
                into = to + narrow * 8 + plane * 4
                lower, upper = _double_halves(word)
                store_fours(rows, into, step, lower)
                if narrow + 1 < start[group + 1]:
                    store_fours(rows, into + 8, step, upper)
            at += stored


@inlined
def _double_halves(word: Vector) -> tuple[Vector, Vector]:
    """Return the lower 16 bits of words twice, and the upper."""
    half = spread(16)
    lower, upper = word << half, word >> half
    return lower | (lower >> half), upper | (upper << half)
