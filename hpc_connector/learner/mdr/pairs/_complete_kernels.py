"""Exhaustive search over a tile of pairs of which everybody is genotyped."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import get_margins, score_pairs
from hpc_connector.learner.mdr._count_kernels import (
    count_carriers,
    count_four_rows,
    sum_folds,
)
from hpc_connector.learner.mdr._search_kernels import (
    CACHE_BYTES,
    get_least,
    is_candidate,
    keep_pairs,
    save_errors,
)


@kernel
def copy_four_rows(
    planes: NDArray[np.int32],
    block: int,
    n_words: int,
    stored: int,
    first: int,
    rows: NDArray[np.int32],
) -> None:
    """Copy two planes of four variants of a block: rows[word][plane][row].

    Parameters
    ----------
    planes, block
        All planes, flat, and where those of the block begin.
    stored
        Planes stored of each word.
    rows
        The result, int32 (words * 2 * 4,).
    """
    for word in range(n_words):
        for plane in range(2):
            at = block + (word * stored + plane) * 16 + first
            to = word * 8 + plane * 4
            for row in range(4):
                rows[to + row] = planes[at + row]


@kernel
def search_complete_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every pair i < j of a tile in which no genotype is missing.

    Parameters
    ----------
    genotypes
        Two or three planes may be stored; the first two are used, of the tile alone.

    The others as in ``search_missing_pairs``.
    """
    first_row, last_row, first_column, last_column = tile
    _search_rows(
        genotypes,
        rules,
        best,
        tile,
        errors,
        genotypes.planes.reshape(-1),
        (
            get_margins(genotypes, count_carriers(genotypes, first_row, last_row, 2)),
            get_margins(
                genotypes, count_carriers(genotypes, first_column, last_column, 2)
            ),
        ),
        np.empty(genotypes.planes.shape[1] * 8, np.int32),
        np.empty(genotypes.size.shape[0] * 256, np.int32),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
    planes: NDArray[np.int32],
    margins: tuple[Floats, Floats],
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Search a tile with what :func:`search_complete_pairs` has allocated."""
    first_row, last_row, first_column, last_column = tile
    folds, start = genotypes.folds, genotypes.group_start
    n_words, stored = genotypes.planes.shape[1], genotypes.planes.shape[2]
    block_size = n_words * stored * 16
    width = 48 * genotypes.weight.shape[0]
    first_statistic = rules.statistic[0] * 16
    fold_score, least = best.fold_score, get_least(best)
    chunk = max(1, CACHE_BYTES // (block_size * 4))
    for chunk_first in range(first_column, last_column, chunk):
        chunk_last = min(chunk_first + chunk, last_column)
        for i in range(first_row * 16, min(last_row, chunk_last) * 16, 4):
            block_i, lane = i // 16, i % 16
            here, at = block_i - first_row, block_i * block_size
            copy_four_rows(planes, at, n_words, stored, lane, rows)
            for block_j in range(max(chunk_first, block_i), chunk_last):
                there, at = block_j - first_column, block_j * block_size
                for group in range(2 * folds):
                    first, last = start[group], start[group + 1]
                    count_four_rows(
                        rows, 0, planes, at, first, last, counts, group * 256, stored
                    )
                if folds > 1:
                    sum_folds(counts, folds, 256)
                for row in range(4):
                    score_pairs(
                        genotypes,
                        rules.tie_low,
                        counts,
                        row * 64,
                        256,
                        margins[0],
                        here * width + lane + row,
                        margins[1],
                        there * width,
                        fold_train,
                        statistics,
                    )
                    if is_candidate(
                        least,
                        first_statistic,
                        fold_score,
                        statistics,
                        fold_train,
                        folds,
                    ):
                        keep_pairs(
                            genotypes,
                            rules,
                            best,
                            statistics,
                            fold_train,
                            i + row,
                            block_j,
                        )
                        least = get_least(best)
                    if errors.shape[0] > 0:
                        save_errors(
                            genotypes,
                            rules,
                            statistics,
                            i + row,
                            block_j,
                            errors[i + row - first_row * 16],
                            there * 16,
                        )
