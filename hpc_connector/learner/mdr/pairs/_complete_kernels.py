"""Exhaustive search over a tile of pairs of which everybody is genotyped."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import get_margins, score_pairs
from hpc_connector.learner.mdr._count_kernels import count_carriers
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    keep_pairs,
    save_errors,
)
from hpc_connector.learner.mdr.pairs._panel_kernels import (
    copy_rows,
    count_panel,
    cut_tile,
    split_groups,
)


@kernel
def search_every_pair(
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
    n_words, n_groups = genotypes.planes.shape[1], genotypes.size.shape[0]
    _, fours, blocks, _ = cut_tile(n_words, genotypes.planes.shape[2], n_groups)
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
        np.empty(max(4, fours) * n_words * 8, np.int32),
        np.empty(fours * blocks * genotypes.folds * 512, np.int32),
        np.empty(n_groups * 256, np.int32),
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
    tables: NDArray[np.int32],
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Search a tile with what :func:`search_every_pair` has allocated."""
    first_row, last_row, first_column, last_column = tile
    folds, n_groups = genotypes.folds, genotypes.size.shape[0]
    n_words, stored = genotypes.planes.shape[1], genotypes.planes.shape[2]
    block_size, width = n_words * stored * 16, 48 * genotypes.weight.shape[0]
    first_statistic = rules.statistic[0] * 16
    least = get_least(best)
    chunk, fours, blocks, stretch = cut_tile(n_words, stored, n_groups)
    band = max(1, fours // 4)
    for left in range(first_column, last_column, chunk):
        right = min(left + chunk, last_column)
        bottom = min(last_row, right)
        for top in range(first_row, bottom, band):
            n_band = min(band, bottom - top)
            for block in range(n_band):
                at, to = (top + block) * block_size, block * n_words * 32
                copy_rows(planes, at, n_words, stored, rows, to)
            for upper in range(top * 4, (top + n_band) * 4, fours):
                n_fours = min(fours, (top + n_band) * 4 - upper)
                for at_j in range(max(left, upper // 4), right, blocks):
                    n_blocks = min(blocks, right - at_j)
                    count_panel(
                        genotypes.group_start,
                        rows,
                        (upper - top * 4) * n_words * 8,
                        n_fours,
                        planes,
                        at_j,
                        n_blocks,
                        stored,
                        stretch,
                        counts,
                    )
                    for pair in range(n_fours * n_blocks):
                        four, block_j = upper + pair // n_blocks, at_j + pair % n_blocks
                        if block_j < four // 4:
                            continue
                        split_groups(counts, pair * folds * 512, folds, 256, tables)
                        here, there = four // 4 - first_row, block_j - first_column
                        for row in range(4):
                            i = four * 4 + row
                            score_pairs(
                                genotypes,
                                rules.tie_low,
                                tables,
                                row * 64,
                                256,
                                margins[0],
                                here * width + i % 16,
                                margins[1],
                                there * width,
                                fold_train,
                                statistics,
                            )
                            if is_candidate(
                                least,
                                first_statistic,
                                best.fold_score,
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
                                    i,
                                    block_j,
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
                                    there * 16,
                                )
