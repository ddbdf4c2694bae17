"""The greatest statistic of pairs under shuffled labels, without scoring most pairs.

Shuffling labels leaves the table of all individuals as it is, so cases alone are
counted: half the bits, and no folds. A pair is cross-validated only if its balanced
accuracy on all data, which bounds the test balanced accuracy (see ``get_slack``),
could beat the greatest one found so far.
"""

import numpy as np

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner._count_kernels import (
    copy_rows,
    count_four_rows,
    count_one_row,
)
from hpc_connector.learner._score_kernels import fill_nine_cells, sum_folds
from hpc_connector.learner._search_kernels import get_carriers, is_pair, score_cells
from hpc_connector.learner._simd import (
    any_lane,
    load,
    select,
    spread,
    store,
)

CHUNK = 16  # blocks of columns whose tables with one block of rows stay in the cache
ROUNDING = 1e-5  # of sums in single precision, relative; they only sort out pairs


@kernel
def maximise_pairs(genotypes, permuted, rules, tile, slack, maximum):
    """Raise the maximum of each permutation to that of the pairs i < j of a tile.

    Parameters
    ----------
    genotypes
        With labels as they are; two planes.
    permuted
        Planes with shuffled labels, int32 (permutations, blocks, words, 2, 16); the
        groups are those of `genotypes`, for classes and folds keep their sizes.
    slack
        From ``get_slack``.
    maximum
        float64 (permutations,), changed in place.
    """
    first_row, last_row, first_column, last_column = tile
    carriers = get_carriers(genotypes, 0, genotypes.planes.shape[0])
    shuffled = [
        get_carriers(_replace_planes(genotypes, permuted[p]), 0, permuted.shape[1])
        for p in range(permuted.shape[0])
    ]
    tables = np.empty((16, CHUNK, 144), np.float32)
    for block_i in range(first_row, last_row):
        for chunk in range(max(first_column, block_i), last_column, CHUNK):
            chunk_last = min(chunk + CHUNK, last_column)
            _fill_tables(genotypes, carriers, block_i, chunk, chunk_last, tables)
            for p in range(permuted.shape[0]):
                maximum[p] = _maximise_blocks(
                    _replace_planes(genotypes, permuted[p]),
                    shuffled[p],
                    rules,
                    tables,
                    (block_i, chunk, chunk_last),
                    slack,
                    maximum[p],
                )


@inlined
def _replace_planes(genotypes, planes):
    """Return genotypes with other planes."""
    return type(genotypes)(
        planes,
        genotypes.n_variants,
        genotypes.group_start,
        genotypes.folds,
        genotypes.size,
        genotypes.float_size,
    )


@kernel
def _fill_tables(genotypes, carriers, block_i, first, last, tables):
    """Write N1 t for every cell of every pair, t all individuals of the cell.

    tables: float32 (16 rows, blocks, 9 * 16).
    """
    planes, size = genotypes.planes, genotypes.size
    total = size.shape[0] - 2
    n_words = planes.shape[1]
    both = np.array([size[total] + size[total + 1]], np.int32)
    cases = spread(np.float32(size[total]))
    rows = np.empty(n_words * 8, np.int32)
    counts = np.empty(256, np.int32)
    carriers_i = _add_classes(carriers[block_i], total)
    for lane in range(0, 16, 4):
        copy_rows(planes[block_i].reshape(-1), lane, 4, 2, rows)
        for block in range(first, last):
            flat = planes[block].reshape(-1)
            count_four_rows(rows, flat, 0, n_words, counts, 0)
            carriers_j = _add_classes(carriers[block], total)
            for row in range(4):
                table = tables[lane + row, block - first]
                at = row * 64
                fill_nine_cells(
                    counts, at, 256, carriers_i, lane + row, carriers_j, both, table
                )
                for cell in range(0, 144, 16):
                    store(table, cell, load(table, cell) * cases)


@kernel
def _add_classes(carriers, total):
    """Return the carriers of each genotype among all individuals, int32 (32,)."""
    return carriers[total * 32 : total * 32 + 32] + carriers[total * 32 + 32 :]


@kernel
def _maximise_blocks(genotypes, carriers, rules, tables, blocks, slack, maximum):
    """Return the maximum of one permutation, for one block of rows and some columns."""
    block_i, first, last = blocks
    planes, size, folds = genotypes.planes, genotypes.size, genotypes.folds
    start = genotypes.group_start
    n_cases_words = start[folds]
    total = size.shape[0] - 2
    n1, n0 = size[total], size[total + 1]
    both = spread(np.float32(n1 + n0))
    zero = spread(np.float32(0))
    rows = np.empty(planes.shape[1] * 8, np.int32)
    counts = np.empty(256, np.int32)
    cells = np.empty(144, np.float32)
    cases = size[total : total + 1]
    scratch = _make_scratch(genotypes)
    carriers_i = carriers[block_i][total * 32 : total * 32 + 32]
    least = _get_least(maximum, slack, n1, n0)
    for lane in range(0, 16, 4):
        copy_rows(planes[block_i].reshape(-1), lane, 4, 2, rows)
        for block in range(first, last):
            flat = planes[block].reshape(-1)
            carriers_j = carriers[block][total * 32 : total * 32 + 32]
            count_four_rows(rows, flat, 0, n_cases_words, counts, 0)
            for row in range(4):
                table = tables[lane + row, block - first]
                at = row * 64
                fill_nine_cells(
                    counts, at, 256, carriers_i, lane + row, carriers_j, cases, cells
                )
                excess = zero
                for cell in range(0, 144, 16):
                    d = load(cells, cell) * both - load(table, cell)
                    excess = excess + select(d > zero, d, zero)
                if any_lane(excess >= spread(np.float32(least))):
                    i = block_i * 16 + lane + row
                    _score_row(
                        genotypes, rules, rows, row, flat, carriers, i, block, scratch
                    )
                    statistics = scratch[3]
                    for k in range(16):
                        value = statistics[rules.statistic[0] * 16 + k]
                        if value > maximum and is_pair(
                            genotypes, rules, i, block * 16 + k
                        ):
                            maximum = value
                    least = _get_least(maximum, slack, n1, n0)
    return maximum


@inlined
def _get_least(maximum, slack, n1, n0):
    """Return the excess that a pair needs to reach the maximum."""
    least = (2.0 * (maximum - slack) - 1.0) * n1 * n0
    return least - ROUNDING * n1 * n0


@inlined
def _make_scratch(genotypes):
    """Return counts, cells, fold scores and statistics of sixteen pairs."""
    n_groups = genotypes.size.shape[0]
    return (
        np.empty(n_groups * 64, np.int32),
        np.empty(n_groups * 144, genotypes.float_size.dtype),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@kernel
def _score_row(genotypes, rules, rows, row, flat, carriers, i, block, scratch):
    """Cross-validate the pairs of one row with the sixteen variants of a block."""
    counts, cells, fold_train, statistics = scratch
    start, folds, size = genotypes.group_start, genotypes.folds, genotypes.size
    for group in range(2 * folds):
        count_one_row(
            rows, row, flat, start[group], start[group + 1], counts, group * 64
        )
    if folds > 1:
        sum_folds(counts, folds, 64)
    carriers_i, carriers_j = carriers[i // 16], carriers[block]
    fill_nine_cells(counts, 0, 64, carriers_i, i % 16, carriers_j, size, cells)
    score_cells(genotypes, rules, 9, cells, fold_train, statistics)
