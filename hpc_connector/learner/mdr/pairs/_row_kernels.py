"""Sixteen pairs of one row, scored in full, and the best of them kept."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import score_pairs
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    keep_pairs,
    save_errors,
)
from hpc_connector.learner.mdr._simd import load, spread, store

# Counts of each group, training scores of each fold, and statistics
Room = tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]


@inlined
def make_room(genotypes: Genotypes) -> Room:
    """Return the room that :func:`search_row` needs."""
    return (
        np.empty(genotypes.size.shape[0] * 64, np.int32),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def search_row(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
    margins: tuple[Floats, Floats],
    counts: NDArray[np.int32],
    at: int,
    step: int,
    i: int,
    block_j: int,
    room: Room,
) -> bool:
    """Score the pairs of row i with a block; keep the best and save the errors.

    Parameters
    ----------
    margins
        From ``get_margins``, of the rows and of the columns of the tile.
    counts, at, step
        Cells (0,0), (0,1), (1,0), (1,1) of group g and all before it at counts[at +
        g * step], int32.

    Returns
    -------
    Whether any was good enough to be offered to the list or to a fold.
    """
    tables, fold_train, statistics = room
    width = 48 * genotypes.weight.shape[0]
    _split_groups(counts, at, step, genotypes.folds, tables)
    score_pairs(
        genotypes,
        rules.tie_low,
        tables,
        0,
        64,
        margins[0],
        (i // 16 - tile[0]) * width + i % 16,
        margins[1],
        (block_j - tile[2]) * width,
        fold_train,
        statistics,
    )
    if errors.shape[0] > 0:
        into, to = errors[i - tile[0] * 16], (block_j - tile[2]) * 16
        save_errors(genotypes, rules, statistics, i, block_j, into, to)
    found = is_candidate(
        get_least(best),
        rules.statistic[0] * 16,
        best.fold_score,
        statistics,
        fold_train,
        genotypes.folds,
    )
    if found:
        keep_pairs(genotypes, rules, best, statistics, fold_train, i, block_j)
    return found


@inlined
def _split_groups(
    counts: NDArray[np.int32], at: int, step: int, folds: int, tables: NDArray[np.int32]
) -> None:
    """Write what each group counts alone, and the sums over folds if there are any.

    tables: int32 [group][cell][lane].
    """
    n_groups = 2 * folds
    for cell in range(0, 64, 16):
        before = spread(np.int32(0))
        for group in range(n_groups):
            upto = load(counts, at + group * step + cell)
            store(tables, group * 64 + cell, upto - before)
            before = upto
        if folds > 1:
            cases = load(counts, at + (folds - 1) * step + cell)
            store(tables, n_groups * 64 + cell, cases)
            store(tables, (n_groups + 1) * 64 + cell, before - cases)
