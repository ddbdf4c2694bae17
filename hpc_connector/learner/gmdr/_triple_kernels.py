"""Exhaustive search over a tile of triples by the scores of individuals.

A triple (i, j, k) is counted as pairs: the rows are what i and j share, those of each
genotype of i a set.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.gmdr._sum_kernels import (
    SUPERS,
    Scored,
    copy_row,
    gather_words,
    sum_carriers,
    sum_rows,
)
from hpc_connector.learner.mdr._arguments import Best, Floats, Rules
from hpc_connector.learner.mdr._contrast_kernels import count_views
from hpc_connector.learner.mdr._score_kernels import copy_cells
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    score_cells,
)
from hpc_connector.learner.mdr._triple_kernels import (
    complete_pair_table,
    fill_triple_cells,
    keep_triples,
    save_triple_errors,
    score_triples,
    weigh_tables,
)

SWEEP = 2 * SUPERS  # blocks that a row is counted with at once
CHUNK = 2 * SWEEP  # blocks of k for which the tables of i and j are filled once


@kernel
def search_triples(
    scored: Scored,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every triple i < j < k of a tile and keep the best.

    Parameters as of ``search_triples`` of MDR; `best` is changed in place.
    """
    first_i, last_i, first_j, last_j, first_k, last_k = tile
    for chunk in range(first_k, last_k, CHUNK):
        chunk_last = min(chunk + CHUNK, last_k)
        n_k = chunk_last - chunk
        n_supers = (n_k + 1) // 2
        words_k = gather_words(scored, chunk, chunk_last, n_supers + SUPERS - 1)
        of_k = sum_carriers(scored, words_k, n_supers)
        for block_j in range(first_j, min(last_j, chunk_last)):
            words_j = gather_words(scored, block_j, block_j + 1, SUPERS)
            of_j = sum_carriers(scored, words_j, 1)
            tables_jk = _get_pair_tables(
                scored, rules.level, words_j, of_j[0], words_k, of_k, n_k
            )
            contrasts_jk = weigh_tables(scored.genotypes, tables_jk)
            for block_i in range(first_i, min(last_i, block_j + 1)):
                words_i = gather_words(scored, block_i, block_i + 1, 1)
                of_i = sum_carriers(scored, words_i, 1)[0]
                tables_ik = _get_pair_tables(
                    scored, rules.level, words_i, of_i, words_k, of_k, n_k
                )
                tables_ij = _get_pair_tables(
                    scored, rules.level, words_i, of_i, words_j, of_j, 1
                )
                contrasts = (
                    weigh_tables(scored.genotypes, tables_ij),
                    weigh_tables(scored.genotypes, tables_ik),
                    contrasts_jk,
                )
                _search_blocks(
                    scored,
                    rules,
                    best,
                    (block_i, block_j, chunk),
                    (words_i, words_j, words_k),
                    (tables_ij, tables_ik, tables_jk),
                    contrasts,
                    (first_i * 16, first_j * 16, first_k * 16),
                    errors,
                )


@kernel
def _get_pair_tables(
    scored: Scored,
    level: bool,
    row_words: NDArray[np.uint16],
    carriers: NDArray[np.int32],
    words: NDArray[np.uint16],
    other_carriers: NDArray[np.int32],
    n_blocks: int,
) -> NDArray[np.int32]:
    """Return the tables of pairs of the first sixteen variants with some blocks.

    As ``get_pair_tables`` of MDR: int32 (16, blocks, groups * levels * levels * 16).
    """
    size, n_planes = scored.genotypes.size, scored.genotypes.planes.shape[2]
    if n_planes == 3 and not level:
        return np.empty((16, n_blocks, 0), np.int32)
    square = n_planes * n_planes * 16
    n_words = scored.start[scored.start.shape[0] - 1]
    tables = np.empty(
        (16, n_blocks, size.shape[0] * (n_planes + 1) ** 2 * 16), np.int32
    )
    rows = np.empty(n_words * n_planes, np.uint16)
    counts = np.empty(size.shape[0] * SWEEP * square, np.int32)
    for lane in range(16):
        copy_row(row_words, n_words * n_planes * 32, lane, rows)
        for first in range(0, n_blocks, SWEEP):
            sum_rows(scored, rows, 1, words, first // 2, counts)
            for block in range(first, min(first + SWEEP, n_blocks)):
                complete_pair_table(
                    counts,
                    (block - first) * square,
                    SWEEP * square,
                    carriers,
                    lane,
                    other_carriers[block],
                    size,
                    tables[lane, block],
                )
    return tables


@inlined
def _copy_common_rows(
    words_i: NDArray[np.uint16],
    lane_i: int,
    words_j: NDArray[np.uint16],
    lane_j: int,
    n_planes: int,
    rows: NDArray[np.uint16],
) -> None:
    """Write what i shares with j: [genotype of i][word][genotype of j]."""
    n = rows.shape[0] // n_planes
    for at in range(n):
        of_j = words_j[at * 32 + lane_j]
        for g in range(n_planes):
            of_i = words_i[(at - at % n_planes + g) * 32 + lane_i]
            rows[g * n + at] = of_i & of_j


@kernel
def _search_blocks(
    scored: Scored,
    rules: Rules,
    best: Best,
    blocks: tuple[int, ...],
    words: tuple[NDArray[np.uint16], ...],
    tables: tuple[NDArray[np.int32], ...],
    contrasts: tuple[Floats, Floats, Floats],
    origin: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score the triples of one block of i, one of j and a few of k."""
    n_planes = scored.genotypes.planes.shape[2]
    n_words = scored.start[scored.start.shape[0] - 1]
    n_groups = scored.genotypes.size.shape[0]
    floating = scored.genotypes.float_size.dtype
    _search_rows(
        scored,
        rules,
        best,
        blocks,
        words,
        tables,
        contrasts,
        origin,
        errors,
        np.empty(n_planes * n_words * n_planes, np.uint16),
        np.empty(n_groups * SWEEP * n_planes**3 * 16, np.int32),
        np.empty(n_groups * 64 * 16, floating),
        np.empty(3 * 27 * 16, floating),
        np.full(scored.genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _search_rows(
    scored: Scored,
    rules: Rules,
    best: Best,
    blocks: tuple[int, ...],
    words: tuple[NDArray[np.uint16], ...],
    tables: tuple[NDArray[np.int32], ...],
    contrasts: tuple[Floats, Floats, Floats],
    origin: tuple[int, ...],
    errors: NDArray[np.float32],
    rows: NDArray[np.uint16],
    counts: NDArray[np.int32],
    cells: Floats,
    scratch: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Score the triples of a few blocks with what ``_search_blocks`` has allocated."""
    block_i, block_j, first_k = blocks
    tables_ij, tables_ik, tables_jk = tables
    genotypes = scored.genotypes
    n_planes, folds = genotypes.planes.shape[2], genotypes.folds
    n_groups, cube = genotypes.size.shape[0], n_planes**3 * 16
    width, n_k = count_views(genotypes) * 144, tables_ik.shape[1]
    first_statistic = rules.statistic[0] * 16
    fold_score, least = best.fold_score, get_least(best)
    for lane_i in range(16):
        i = block_i * 16 + lane_i
        for lane_j in range(16):
            j = block_j * 16 + lane_j
            if i >= j or j >= genotypes.n_variants:
                continue
            _copy_common_rows(words[0], lane_i, words[1], lane_j, n_planes, rows)
            nearest = max(0, block_j - first_k)
            for first in range(nearest - nearest % 2, n_k, SWEEP):
                sum_rows(scored, rows, n_planes, words[2], first // 2, counts)
                for k in range(max(first, nearest), min(first + SWEEP, n_k)):
                    at, step = (k - first) * cube, SWEEP * cube
                    if n_planes == 2:
                        score_triples(
                            genotypes,
                            rules.tie_low,
                            counts,
                            at,
                            step,
                            contrasts,
                            (
                                lane_i * width + lane_j,
                                (lane_i * n_k + k) * width,
                                (lane_j * n_k + k) * width,
                            ),
                            scratch,
                            fold_train,
                            statistics,
                        )
                    else:
                        n_cells = 27
                        if rules.level:
                            n_cells = 64
                            fill_triple_cells(
                                counts,
                                at,
                                step,
                                tables_ij[lane_i, 0],
                                lane_j,
                                tables_ik[lane_i, k],
                                tables_jk[lane_j, k],
                                n_planes + 1,
                                n_groups,
                                cells,
                            )
                        else:
                            copy_cells(counts, at, step, n_groups, n_cells, cells)
                        score_cells(
                            genotypes, rules, n_cells, cells, fold_train, statistics
                        )
                    if is_candidate(
                        least,
                        first_statistic,
                        fold_score,
                        statistics,
                        fold_train,
                        folds,
                    ):
                        keep_triples(
                            genotypes,
                            rules,
                            best,
                            statistics,
                            fold_train,
                            i,
                            j,
                            first_k + k,
                        )
                        least = get_least(best)
                    if errors.shape[0] > 0:
                        save_triple_errors(
                            genotypes,
                            rules,
                            statistics,
                            i,
                            j,
                            first_k + k,
                            errors[i - origin[0], j - origin[1]],
                            (first_k + k) * 16 - origin[2],
                        )
