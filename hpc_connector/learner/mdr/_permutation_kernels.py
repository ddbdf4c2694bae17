"""The greatest statistic of pairs under permutations, without scoring most pairs.

A pair is cross-validated only if its balanced accuracy on all data, which bounds the
test balanced accuracy (see ``get_slack``) and needs no folds, could beat the greatest
one found so far. Shuffling labels leaves the table of all individuals as it is, so
cases alone are counted: half the bits. Where genotypes are shuffled, controls are too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import (
    complete,
    get_margins,
    load_four,
    score_pairs,
    sum_positive,
)
from hpc_connector.learner.mdr._count_kernels import (
    copy_rows,
    count_four_rows,
    count_one_row,
    get_carriers,
    sum_folds,
)
from hpc_connector.learner.mdr._search_kernels import is_pair
from hpc_connector.learner.mdr._simd import (
    Vector,
    any_lane,
    load,
    spread,
    store,
    to_float,
)

CHUNK = 32  # blocks of columns whose tables with one block of rows stay in the cache
ROUNDING = 1e-5  # of sums in single precision, relative; they only sort out pairs

# Rows, counts of four rows, and counts, folds and statistics of one.
Scratch = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.float64],
]


@kernel
def maximise_pairs(
    genotypes: Genotypes,
    permuted: NDArray[np.int32],
    rules: Rules,
    tile: tuple[int, ...],
    slack: float,
    interaction: bool,
    maximum: NDArray[np.float64],
) -> None:
    """Raise the maximum of each permutation to that of the pairs i < j of a tile.

    Parameters
    ----------
    genotypes
        As they are; two planes.
    permuted
        Planes of the permutations, int32 (permutations, blocks, words, 2, 16); the
        groups are those of `genotypes`, for classes and folds keep their sizes.
    slack
        From ``get_slack``.
    interaction
        Genotypes are shuffled, not labels.
    maximum
        float64 (permutations,), changed in place.
    """
    first_row, last_row, first_column, last_column = tile
    shuffled = [
        replace_planes(genotypes, permuted[p]) for p in range(permuted.shape[0])
    ]
    margins = [
        get_margins(of_one, get_carriers(of_one, 0, permuted.shape[1]))
        for of_one in shuffled
    ]
    n_words, n_case_words = permuted.shape[2], genotypes.group_start[genotypes.folds]
    tables = np.empty(16 * CHUNK * 64, genotypes.weight.dtype)
    scratch = _make_scratch(genotypes)
    for block_i in range(first_row, last_row):
        for chunk in range(max(first_column, block_i), last_column, CHUNK):
            blocks = block_i, chunk, min(chunk + CHUNK, last_column)
            if not interaction:
                _fill_tables(genotypes, 0, n_words, blocks, tables)
            for p in range(permuted.shape[0]):
                if interaction:
                    _fill_tables(shuffled[p], n_case_words, n_words, blocks, tables)
                maximum[p] = _maximise_blocks(
                    shuffled[p],
                    permuted[p].reshape(-1),
                    margins[p],
                    rules,
                    tables,
                    blocks,
                    slack,
                    interaction,
                    maximum[p],
                    scratch,
                )


@inlined
def replace_planes(genotypes: Genotypes, planes: NDArray[np.int32]) -> Genotypes:
    """Return genotypes with other planes."""
    return type(genotypes)(
        planes,
        genotypes.n_variants,
        genotypes.group_start,
        genotypes.folds,
        genotypes.size,
        genotypes.float_size,
        genotypes.weight,
        genotypes.inverse,
        genotypes.number,
        genotypes.is_complete,
    )


@kernel
def _fill_tables(
    genotypes: Genotypes,
    first_word: int,
    last_word: int,
    blocks: tuple[int, int, int],
    tables: Floats,
) -> None:
    """Write N1 times the four counted cells of every pair over some words.

    tables: floating (16 rows * blocks * 4 * 16,).
    """
    block_i, first, last = blocks
    n_words = genotypes.planes.shape[1]
    planes, block_size = genotypes.planes.reshape(-1), n_words * 32
    n_cases = spread(genotypes.weight[0, 1])
    rows = np.empty(n_words * 8, np.int32)
    counts = np.empty(256, np.int32)
    for lane in range(0, 16, 4):
        copy_rows(planes, block_i * block_size, n_words, 2, lane, 4, rows)
        for block in range(first, last):
            at = block * block_size
            count_four_rows(rows, 0, planes, at, first_word, last_word, counts, 0)
            for row in range(4):
                to = ((lane + row) * CHUNK + block - first) * 64
                for cell in range(0, 64, 16):
                    total = to_float(load(counts, row * 64 + cell), tables[0])
                    store(tables, to + cell, total * n_cases)


@inlined
def contrast_four(
    cases: tuple[Vector, ...], scale: Vector, tables: Floats, at: int
) -> tuple[Vector, ...]:
    """Return the contrasts N0 a - N1 u of four counted cells, a cases and u controls.

    They are N0 a less tables of N1 u, or (N1 + N0) a less tables of N1 (a + u).
    """
    return (
        cases[0] * scale - load(tables, at),
        cases[1] * scale - load(tables, at + 16),
        cases[2] * scale - load(tables, at + 32),
        cases[3] * scale - load(tables, at + 48),
    )


@bare
def _maximise_blocks(
    genotypes: Genotypes,
    planes: NDArray[np.int32],
    margins: Floats,
    rules: Rules,
    tables: Floats,
    blocks: tuple[int, int, int],
    slack: float,
    interaction: bool,
    maximum: float,
    scratch: Scratch,
) -> float:
    """Return the maximum of one permutation, for one block of rows and some columns."""
    rows, four, _, _, statistics = scratch
    block_i, first, last = blocks
    n_words = genotypes.planes.shape[1]
    block_size, n_cases_words = n_words * 32, genotypes.group_start[genotypes.folds]
    n0, n1 = genotypes.weight[0, 0], genotypes.weight[0, 1]
    zero, scale = spread(n1 - n1), spread(n0 if interaction else n1 + n0)
    width = genotypes.weight.shape[0] * 48
    least = get_least(maximum, slack, n1, n0)
    for lane in range(0, 16, 4):
        copy_rows(planes, block_i * block_size, n_words, 2, lane, 4, rows)
        for block in range(first, last):
            at = block * block_size
            count_four_rows(rows, 0, planes, at, 0, n_cases_words, four, 0)
            for row in range(4):
                table = ((lane + row) * CHUNK + block - first) * 64
                x = contrast_four(load_four(four, row * 64, n1), scale, tables, table)
                in_row = block_i * width + lane + row
                x = complete(x, margins, in_row, margins, block * width)
                if any_lane(sum_positive(x, zero) >= spread(least)):
                    _score_row(
                        genotypes, rules, planes, row, margins, in_row, block, scratch
                    )
                    i = block_i * 16 + lane + row
                    maximum = get_maximum(
                        genotypes, rules, statistics, i, block, maximum
                    )
                    least = get_least(maximum, slack, n1, n0)
    return maximum


@inlined
def get_least(
    maximum: float, slack: float, n1: np.floating[Any], n0: np.floating[Any]
) -> np.floating[Any]:
    """Return the excess that a pair needs to reach the maximum."""
    product = np.float64(n1) * n0
    least = (2.0 * (maximum - slack) - 1.0) * product - ROUNDING * product
    return type(n1)(least)


@inlined
def _make_scratch(genotypes: Genotypes) -> Scratch:
    """Return rows, counts of four rows, and counts, folds and statistics of one."""
    return (
        np.empty(genotypes.planes.shape[1] * 8, np.int32),
        np.empty(256, np.int32),
        np.empty(genotypes.size.shape[0] * 64, np.int32),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _score_row(
    genotypes: Genotypes,
    rules: Rules,
    planes: NDArray[np.int32],
    row: int,
    margins: Floats,
    in_row: int,
    block: int,
    scratch: Scratch,
) -> None:
    """Cross-validate the pairs of one row with the sixteen variants of a block."""
    rows, _, counts, fold_train, statistics = scratch
    start, folds = genotypes.group_start, genotypes.folds
    at = block * genotypes.planes.shape[1] * 32
    for group in range(2 * folds):
        first, last = start[group], start[group + 1]
        count_one_row(rows, row, planes, at, first, last, counts, group * 64)
    if folds > 1:
        sum_folds(counts, folds, 64)
    score_pairs(
        genotypes,
        rules.tie_low,
        counts,
        0,
        64,
        margins,
        in_row,
        margins,
        block * genotypes.weight.shape[0] * 48,
        fold_train,
        statistics,
    )


@kernel
def get_maximum(
    genotypes: Genotypes,
    rules: Rules,
    statistics: NDArray[np.float64],
    i: int,
    block: int,
    maximum: float,
) -> float:
    """Return the maximum and the statistic of the pairs of i with a block."""
    for lane in range(16):
        value = statistics[rules.statistic[0] * 16 + lane]
        if value > maximum and is_pair(genotypes, rules, i, block * 16 + lane):
            maximum = value
    return maximum
