"""Exhaustive search over a tile of pairs by the scores of individuals."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.gmdr._sum_kernels import (
    SUPERS,
    Scored,
    copy_row,
    gather_words,
    sum_carriers,
    sum_rows,
)
from hpc_connector.learner.mdr._arguments import Best, Floats, Rules
from hpc_connector.learner.mdr._contrast_kernels import get_margins, score_pairs
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    keep_pairs,
    save_errors,
    score_missing_pairs,
)

CACHE_BYTES = 1 << 19  # columns that stay in the second-level cache for all rows


@kernel
def search_pairs(
    scored: Scored,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every pair i < j of a tile and keep the best.

    Parameters as of ``search_pairs`` of MDR; `best` is changed in place.
    """
    first_row, last_row, first_column, last_column = tile
    n_planes = scored.genotypes.planes.shape[2]
    n_words = scored.start[scored.start.shape[0] - 1]
    n_groups = scored.genotypes.size.shape[0]
    bytes_of_four = SUPERS * n_words * n_planes * 64
    chunk = 2 * SUPERS * max(1, CACHE_BYTES // bytes_of_four)
    rows = np.empty(n_words * n_planes, np.uint16)
    counts = np.empty(n_groups * 2 * SUPERS * n_planes**2 * 16, np.int32)
    cells = np.empty(n_groups * 16 * 16, scored.genotypes.float_size.dtype)
    fold_train, statistics = np.full(scored.genotypes.folds * 16, -1.0), np.empty(48)
    for first in range(first_column, last_column, chunk):
        last = min(first + chunk, last_column)
        n_supers = (last - first + 1) // 2
        words = gather_words(scored, first, last, n_supers + SUPERS - 1)
        carriers = sum_carriers(scored, words, n_supers)
        margins = get_margins(scored.genotypes, carriers)
        for block in range(first_row, min(last_row, last), 2):
            last_block = min(block + 2, last_row)
            row_words = gather_words(scored, block, last_block, 1)
            row_carriers = sum_carriers(scored, row_words, 1)
            _search_rows(
                scored,
                rules,
                best,
                (first_row, first_column, block, last_block, first, last),
                errors,
                (row_words, words),
                (row_carriers, carriers),
                (get_margins(scored.genotypes, row_carriers), margins),
                rows,
                counts,
                cells,
                fold_train,
                statistics,
            )


@bare
def _search_rows(
    scored: Scored,
    rules: Rules,
    best: Best,
    places: tuple[int, ...],
    errors: NDArray[np.float32],
    words: tuple[NDArray[np.uint16], NDArray[np.uint16]],
    carriers: tuple[NDArray[np.int32], NDArray[np.int32]],
    margins: tuple[Floats, Floats],
    rows: NDArray[np.uint16],
    counts: NDArray[np.int32],
    cells: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Search the rows of two blocks with some columns; see :func:`search_pairs`.

    Parameters
    ----------
    places
        First row and column block of the tile, first and last of these rows, and
        first and last of these columns.
    words, carriers, margins
        Of the rows and of the columns.
    """
    first_row, first_column, first_block, last_block, first, last = places
    genotypes = scored.genotypes
    n_planes, folds = genotypes.planes.shape[2], genotypes.folds
    row_width, square = words[0].shape[0], n_planes * n_planes * 16
    step, width = 2 * SUPERS * square, 48 * genotypes.weight.shape[0]
    first_statistic = rules.statistic[0] * 16
    fold_score, least = best.fold_score, get_least(best)
    last_i = min(last_block * 16, genotypes.n_variants)
    for i in range(first_block * 16, last_i):
        row, block_i = i - first_block * 16, i // 16
        here, lane = row // 16, row % 16
        copy_row(words[0], row_width, row, rows)
        for at in range(max(first, block_i - (block_i - first) % 2), last, 2 * SUPERS):
            sum_rows(scored, rows, 1, words[1], (at - first) // 2, counts)
            for block_j in range(max(at, block_i), min(at + 2 * SUPERS, last)):
                there, of = block_j - first, (block_j - at) * square
                if n_planes == 2:
                    score_pairs(
                        genotypes,
                        rules.tie_low,
                        counts,
                        of,
                        step,
                        margins[0],
                        here * width + lane,
                        margins[1],
                        there * width,
                        fold_train,
                        statistics,
                    )
                else:
                    score_missing_pairs(
                        genotypes,
                        rules,
                        counts,
                        of,
                        step,
                        carriers[0][here],
                        lane,
                        carriers[1][there],
                        cells,
                        fold_train,
                        statistics,
                    )
                if is_candidate(
                    least, first_statistic, fold_score, statistics, fold_train, folds
                ):
                    keep_pairs(
                        genotypes, rules, best, statistics, fold_train, i, block_j
                    )
                    least = get_least(best)
                if errors.shape[0] > 0:
                    save_errors(
                        genotypes,
                        rules,
                        statistics,
                        i,
                        block_j,
                        errors[i - first_row * 16],
                        (block_j - first_column) * 16,
                    )
