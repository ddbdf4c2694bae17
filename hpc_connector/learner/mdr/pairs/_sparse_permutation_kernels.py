"""The greatest statistic of pairs with missing genotypes under shuffled labels.

As for complete pairs: whoever has a genotype of both variants keeps it when labels are
shuffled, so all are counted once and then cases alone. A pair is cross-validated if its
balanced accuracy on all data comes near the maximum; how near follows from the bound of
``_sparse_kernels`` with the P of every fold at least what the best cells of all data
have in training, which makes k E - sum of P at most E:

mean test <= E + sum of |alpha - beta| + |1/k - alpha| / 2 + |1/k - beta| / 2.

These differ from pair to pair. What one variant adds and what the other adds are never
less, and sort out most pairs; the sum is worked out for those that are left.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import add_positive
from hpc_connector.learner.mdr._count_kernels import (
    copy_rows,
    count_rows,
    count_two_rows,
)
from hpc_connector.learner.mdr._permutation_kernels import get_maximum, replace_planes
from hpc_connector.learner.mdr._score_kernels import copy_cells
from hpc_connector.learner.mdr._search_kernels import score_cells
from hpc_connector.learner.mdr._simd import (
    Vector,
    absolute,
    add_product,
    any_lane,
    load,
    spread,
    store,
    to_float,
)
from hpc_connector.learner.mdr.pairs._sparse_kernels import (
    ONE,
    PATIENCE,
    PAUSE,
    ROUNDING,
    Singles,
    count_missing,
    get_known,
    sum_nine,
)

ROWS, CHUNK = 2, 16  # blocks of rows and columns whose tables stay in the cache
TABLE = 160  # nine cells and their sum

# Rows, cases of two rows, all counts of them, cells, folds and statistics.
Scratch = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int32],
    Floats,
    NDArray[np.float64],
    NDArray[np.float64],
]


@kernel
def maximise_sparse_pairs(
    genotypes: Genotypes,
    permuted: NDArray[np.int32],
    rules: Rules,
    tile: tuple[int, ...],
    maximum: NDArray[np.float64],
) -> None:
    """Raise the maximum of each permutation to that of the pairs i < j of a tile.

    Parameters
    ----------
    genotypes
        With labels as they are; three planes, and missing is no level.
    permuted
        Planes with shuffled labels, int32 (permutations, blocks, words, 3, 16).
    rules
        Models rank by test or whole balanced accuracy first.
    maximum
        float64 (permutations,), changed in place.
    """
    first_row, last_row, first_column, last_column = tile
    n_blocks, n_words = permuted.shape[1], permuted.shape[2]
    is_tested = genotypes.folds > 1 and rules.statistic[0] == 0
    shuffled = [replace_planes(genotypes, permuted[p]) for p in range(len(permuted))]
    missing = [count_missing(of_one, 0, n_blocks) for of_one in shuffled]
    uneven = [get_uneven(genotypes, of_one[0], is_tested) for of_one in missing]
    tables = np.empty(ROWS * 16 * CHUNK * TABLE, np.float32)
    n_groups = genotypes.size.shape[0]
    scratch = (
        np.empty(n_words * 6, np.int32),
        np.empty(288, np.int32),
        np.empty(n_groups * 288, np.int32),
        np.empty(n_groups * 144, genotypes.float_size.dtype),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )
    for block_i in range(first_row, last_row, ROWS):
        last_i = min(block_i + ROWS, last_row)
        for chunk in range(max(first_column, block_i), last_column, CHUNK):
            blocks = block_i, last_i, chunk, min(chunk + CHUNK, last_column)
            _fill_tables(
                genotypes, genotypes.planes.reshape(-1), blocks, scratch, tables
            )
            for p in range(len(permuted)):
                maximum[p] = _maximise_blocks(
                    shuffled[p],
                    permuted[p].reshape(-1),
                    missing[p],
                    uneven[p],
                    is_tested,
                    rules,
                    tables,
                    blocks,
                    maximum[p],
                    scratch,
                )


@kernel
def get_uneven(genotypes: Genotypes, missing: Singles, is_tested: bool) -> Singles:
    """Return what a variant adds to how far test may exceed whole accuracy.

    Parameters
    ----------
    missing
        From ``count_missing``.

    Returns
    -------
    float32 (blocks * 16,): for a pair, that of one variant plus that of the other, but
    for individuals who lack both; all 0 where models do not rank by test.
    """
    folds, size = genotypes.folds, genotypes.size
    width = (2 * folds + 2) * 16
    n_variants = missing.shape[0] // width * 16
    uneven = np.zeros(n_variants, np.float32)
    if not is_tested:
        return uneven
    for of_class in range(2):
        n = np.float64(size[2 * folds + of_class])
        most = 0.0
        for v in range(n_variants):
            most = max(
                most, missing[v // 16 * width + (2 * folds + of_class) * 16 + v % 16]
            )
        least = max(n - 2.0 * most, 1e-3 * n)
        for v in range(n_variants):
            at = v // 16 * width + v % 16
            mean = missing[at + (2 * folds + of_class) * 16] / folds
            sum_apart = 0.0
            for fold in range(folds):
                group = of_class * folds + fold
                sum_apart += abs(missing[at + group * 16] - mean)
                sum_apart += abs(size[group] - n / folds) / 2.0
            uneven[v] += 1.5 * sum_apart / least
    return uneven


@bare
def _fill_tables(
    genotypes: Genotypes,
    planes: NDArray[np.int32],
    blocks: tuple[int, int, int, int],
    scratch: Scratch,
    tables: Singles,
) -> None:
    """Write who has each of the nine cells of every pair, and all of them.

    tables: float32 (rows * blocks * 10 * 16,).
    """
    first_i, last_i, first, last = blocks
    rows, counts = scratch[0], scratch[1]
    n_words = genotypes.planes.shape[1]
    block_size = n_words * 48
    for i in range(first_i * 16, last_i * 16, 2):
        copy_rows(planes, i // 16 * block_size, n_words, 3, i % 16, 2, rows)
        for block in range(max(first, i // 16), last):
            at = block * block_size
            count_two_rows(rows, 0, planes, at, 0, n_words, counts, 0)
            for row in range(2):
                to = ((i - first_i * 16 + row) * CHUNK + block - first) * TABLE
                for cell in range(0, 144, 16):
                    count = load(counts, row * 144 + cell)
                    store(tables, to + cell, to_float(count, ONE))
                store(tables, to + 144, sum_nine(counts, row * 144))


@bare
def _maximise_blocks(
    genotypes: Genotypes,
    planes: NDArray[np.int32],
    missing: tuple[Singles, NDArray[np.float64]],
    uneven: Singles,
    is_tested: bool,
    rules: Rules,
    tables: Singles,
    blocks: tuple[int, int, int, int],
    maximum: float,
    scratch: Scratch,
) -> float:
    """Return the maximum of one permutation, for some blocks of rows and of columns."""
    rows, cases, counts, cells, fold_train, statistics = scratch
    lacking, share = missing
    first_i, last_i, first, last = blocks
    n_words, first_statistic = genotypes.planes.shape[1], rules.statistic[0] * 16
    block_size, n_cases_words = n_words * 48, genotypes.group_start[genotypes.folds]
    width, credit = (2 * genotypes.folds + 2) * 16, PATIENCE // 4
    for i in range(first_i * 16, last_i * 16, 2):
        block_i, lane = i // 16, i % 16
        copy_rows(planes, block_i * block_size, n_words, 3, lane, 2, rows)
        for block in range(max(first, block_i), last):
            at, in_row = block * block_size, block_i * width + lane
            table = ((i - first_i * 16) * CHUNK + block - first) * TABLE
            is_open = True, True
            is_bounded = not is_tested or share[block_i] + share[block] < 0.999
            credit += 1
            if credit > 0 and is_bounded:
                count_two_rows(rows, 0, planes, at, 0, n_cases_words, cases, 0)
                is_open = (
                    may_exceed(
                        genotypes,
                        is_tested,
                        maximum,
                        cases,
                        0,
                        tables,
                        table,
                        lacking,
                        in_row,
                        block * width,
                        uneven,
                        i,
                        block * 16,
                    ),
                    may_exceed(
                        genotypes,
                        is_tested,
                        maximum,
                        cases,
                        144,
                        tables,
                        table + CHUNK * TABLE,
                        lacking,
                        in_row + 1,
                        block * width,
                        uneven,
                        i + 1,
                        block * 16,
                    ),
                )
                if not (is_open[0] or is_open[1]):
                    credit = min(credit + 1, PATIENCE)
                    continue
                credit = credit - 4 if credit > 4 else -PAUSE
            count_rows(genotypes, planes, rows, 1, at, counts, 288)
            for row in range(2):
                if not is_open[row]:
                    continue
                at_row, n_groups = row * 144, genotypes.size.shape[0]
                copy_cells(counts, at_row, 288, n_groups, 9, cells)
                score_cells(genotypes, rules, 9, cells, fold_train, statistics)
                if not any_lane(load(statistics, first_statistic) > spread(maximum)):
                    continue
                maximum = get_maximum(
                    genotypes, rules, statistics, i + row, block, maximum
                )
    return maximum


@bare
def may_exceed(
    genotypes: Genotypes,
    is_tested: bool,
    maximum: float,
    cases: NDArray[np.int32],
    at: int,
    tables: Singles,
    table: int,
    lacking: Singles,
    row: int,
    column: int,
    uneven: Singles,
    of_row: int,
    of_column: int,
) -> bool:
    """Return whether the statistic of any of sixteen pairs could exceed the maximum.

    Parameters
    ----------
    is_tested
        Models rank by test balanced accuracy.
    cases, at, tables, table
        Cases in nine cells, int32, everybody in them and their sum, float32; and where
        those of the pairs begin.
    lacking, row, column, uneven, of_row, of_column
        From ``count_missing`` and :func:`get_uneven`, and where those of the row and of
        the lanes begin.
    """
    n, n1 = load(tables, table + 144), sum_nine(cases, at)
    n0, minus = n - n1, spread(np.float32(0)) - n1
    product, zero = n1 * n0, spread(np.float32(0))
    excess = spread(np.float32(ROUNDING)) * n * n1
    for cell in range(0, 144, 16):
        a = to_float(load(cases, at + cell), ONE)
        x = add_product(a * n, minus, load(tables, table + cell))
        excess = add_positive(excess, x, zero)
    wanted = product * spread(np.float32(2.0 * maximum - 1.0))
    if not is_tested:
        return any_lane(excess >= wanted)
    size, totals = genotypes.size, 2 * genotypes.folds
    known1 = get_known(size[-2], lacking, row, lacking, column, totals * 16)
    known0 = get_known(size[-1], lacking, row, lacking, column, totals * 16 + 16)
    overlap = (n1 - known1) * n0 + (n0 - known0) * n1
    overlap = overlap * spread(np.float32(1.5))
    excess = excess + overlap
    apart = spread(uneven[of_row]) + load(uneven, of_column)
    if not any_lane(add_product(excess, apart, product) + overlap >= wanted):
        return False
    excess = excess + sum_uneven(genotypes, lacking, row, column, n1, n0)
    return any_lane(excess >= wanted)


@inlined
def sum_uneven(
    genotypes: Genotypes,
    lacking: Singles,
    row: int,
    column: int,
    n1: Vector,
    n0: Vector,
) -> Vector:
    """Return sum of |alpha - beta| + |1/k - alpha| / 2 + |1/k - beta| / 2, times n1 n0.

    But for individuals who lack both variants.
    """
    folds, size = genotypes.folds, genotypes.size
    mean = n1 * n0 * spread(np.float32(1.0 / folds))
    twice = spread(np.float32(0))
    for fold in range(folds):
        group = folds + fold
        alpha = n0 * get_known(size[fold], lacking, row, lacking, column, fold * 16)
        beta = n1 * get_known(size[group], lacking, row, lacking, column, group * 16)
        apart = absolute(alpha - beta)
        twice = twice + apart + apart + absolute(mean - alpha) + absolute(mean - beta)
    return twice * spread(np.float32(0.5))
