"""Scores of pairs from tables that were counted elsewhere, and added up.

Tables come in batches of sixteen pairs, as :mod:`_table_kernels` counts them, of which
those of four cells are completed from marginals. They are scored by the same functions
as those that a search counts itself, so that all bits are the same.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.mdr._arguments import Best, Rules
from hpc_connector.learner.mdr._score_kernels import score_folds, score_whole
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    keep_lane,
)
from hpc_connector.learner.mdr._simd import (
    any_lane,
    load,
    load_counts,
    smallest,
    spread,
    store,
    to_float,
)

Ints = NDArray[np.int32]
Doubles = NDArray[np.float64]
Tables = NDArray[np.int16] | NDArray[np.int32]


@bare
def fill_cells(
    tables: Tables,
    at: int,
    n_counted: int,
    n_cells: int,
    n_groups: int,
    of_rows: Ints,
    row: int,
    of_columns: Ints,
    column: int,
    size: Ints,
    cells: Doubles,
) -> bool:
    """Complete the cells of a batch; return whether they can be true.

    Parameters
    ----------
    tables, at
        Counts [group][cell][pair] at tables[at:], int16 of the bits of unsigned
        ones, or int32.
    n_counted, n_cells
        Cells that were counted, 4 or 9, and that there are, 9 or 16.
    of_rows, row, of_columns, column
        Carriers of 0, 1, 2 [group][genotype][pair], and where those of the batch begin.
    size
        Individuals of each group, int32 (groups,).
    cells
        The result, float64 [group][cell][pair].
    """
    none = spread(np.int32(0))
    least = none
    for group in range(n_groups):
        t, to = at + group * n_counted * 16, group * n_cells * 16
        m, n = row + group * 48, column + group * 48
        n0, n1, n2 = load(of_rows, m), load(of_rows, m + 16), load(of_rows, m + 32)
        m0 = load(of_columns, n)
        m1, m2 = load(of_columns, n + 16), load(of_columns, n + 32)
        c00, c01 = load_counts(tables, t), load_counts(tables, t + 16)
        if n_counted == 4:
            c10, c11 = load_counts(tables, t + 32), load_counts(tables, t + 48)
            c02, c12 = n0 - c00 - c01, n1 - c10 - c11
            c20, c21 = m0 - c00 - c10, m1 - c01 - c11
            c22 = n2 - c20 - c21
        else:
            c02, c10 = load_counts(tables, t + 32), load_counts(tables, t + 48)
            c11, c12 = load_counts(tables, t + 64), load_counts(tables, t + 80)
            c20, c21 = load_counts(tables, t + 96), load_counts(tables, t + 112)
            c22 = load_counts(tables, t + 128)
        x0, x1 = n0 - c00 - c01 - c02, n1 - c10 - c11 - c12
        x2 = n2 - c20 - c21 - c22
        y0, y1 = m0 - c00 - c10 - c20, m1 - c01 - c11 - c21
        y2 = m2 - c02 - c12 - c22
        rest = spread(size[group]) - n0 - n1 - n2
        z = rest - y0 - y1 - y2
        step = 64 if n_cells == 16 else 48
        store(cells, to, to_float(c00, 1.0))
        store(cells, to + 16, to_float(c01, 1.0))
        store(cells, to + 32, to_float(c02, 1.0))
        store(cells, to + step, to_float(c10, 1.0))
        store(cells, to + step + 16, to_float(c11, 1.0))
        store(cells, to + step + 32, to_float(c12, 1.0))
        store(cells, to + 2 * step, to_float(c20, 1.0))
        store(cells, to + 2 * step + 16, to_float(c21, 1.0))
        store(cells, to + 2 * step + 32, to_float(c22, 1.0))
        if n_cells == 16:
            store(cells, to + 48, to_float(x0, 1.0))
            store(cells, to + 112, to_float(x1, 1.0))
            store(cells, to + 176, to_float(x2, 1.0))
            store(cells, to + 192, to_float(y0, 1.0))
            store(cells, to + 208, to_float(y1, 1.0))
            store(cells, to + 224, to_float(y2, 1.0))
            store(cells, to + 240, to_float(z, 1.0))
        least = smallest(least, smallest(smallest(c00, c01), smallest(c10, c11)))
        least = smallest(least, smallest(smallest(c02, c12), smallest(c20, c21)))
        least = smallest(least, smallest(smallest(c22, z), smallest(x0, x1)))
        least = smallest(least, smallest(smallest(x2, y2), smallest(y0, y1)))
    return not any_lane(none > least)


@kernel
def score_batches(
    tables: Tables,
    n_counted: int,
    n_cells: int,
    of_rows: Ints,
    of_columns: Ints,
    size: Ints,
    folds: int,
    numbers: NDArray[np.int64],
    rules: Rules,
    best: Best,
) -> int:
    """Score listed pairs by tables of folds, and keep the best.

    Parameters
    ----------
    tables
        [batch][group][cell][pair], see :func:`fill_cells`.
    of_rows, of_columns
        Carriers of both variants, int32 [batch][group][genotype][pair].
    size
        Individuals of each group, int32 (groups,).
    numbers
        Of the variants of each pair, int64 (batches * 16, 2), -1 of none.

    Returns
    -------
    0, or -1 - batch where a table cannot be true.
    """
    n_groups = size.shape[0]
    total = 2 * folds if folds > 1 else 0
    cells = np.zeros((n_groups + 2) * n_cells * 16, np.float64)
    fold_train, statistics = np.full(folds * 16, -1.0), np.empty(48)
    nobody = np.zeros(n_groups + 2)
    for batch in range(numbers.shape[0] // 16):
        margins = batch * n_groups * 48
        at = batch * n_groups * n_counted * 16
        is_possible = fill_cells(
            tables,
            at,
            n_counted,
            n_cells,
            n_groups,
            of_rows,
            margins,
            of_columns,
            margins,
            size,
            cells,
        )
        if not is_possible:
            return -1 - batch
        score_lanes(cells, n_cells, folds, total, nobody, rules, fold_train, statistics)
        keep_lanes(rules, best, fold_train, statistics, folds, numbers, batch * 16)
    return 0


@kernel
def score_tile(
    tables: Tables,
    n_counted: int,
    n_cells: int,
    tile: tuple[int, ...],
    carriers: Ints,
    size: Ints,
    folds: int,
    number: NDArray[np.int64],
    rules: Rules,
    best: Best,
) -> int:
    """Score the pairs of a tile by tables of folds; as :func:`score_batches`.

    Parameters
    ----------
    carriers
        int32 (blocks * groups * 3 * 16,).
    number
        Of the variant of each place, int64 (places,), -1 of none.
    """
    first_row, last_row, first_column, last_column = tile
    n_groups = size.shape[0]
    total = 2 * folds if folds > 1 else 0
    cells = np.zeros((n_groups + 2) * n_cells * 16, np.float64)
    fold_train, statistics = np.full(folds * 16, -1.0), np.empty(48)
    nobody = np.zeros(n_groups + 2)
    of_row, numbers = np.empty(n_groups * 48, np.int32), np.empty((16, 2), np.int64)
    batch = 0
    for block_i in range(first_row, last_row):
        first = max(first_column, block_i)
        for lane_i in range(16):
            i = block_i * 16 + lane_i
            for k in range(n_groups * 3):
                at = (block_i * n_groups * 3 + k) * 16 + lane_i
                of_row[k * 16 : k * 16 + 16] = carriers[at]
            for block_j in range(first, last_column):
                at = batch * n_groups * n_counted * 16
                batch += 1
                if number[i] < 0:
                    continue
                is_possible = fill_cells(
                    tables,
                    at,
                    n_counted,
                    n_cells,
                    n_groups,
                    of_row,
                    0,
                    carriers,
                    block_j * n_groups * 48,
                    size,
                    cells,
                )
                if not is_possible:
                    return -batch
                score_lanes(
                    cells, n_cells, folds, total, nobody, rules, fold_train, statistics
                )
                for lane in range(16):
                    j = block_j * 16 + lane
                    is_pair = i < j and number[j] >= 0
                    numbers[lane, 0] = number[i] if is_pair else -1
                    numbers[lane, 1] = number[j]
                keep_lanes(rules, best, fold_train, statistics, folds, numbers, 0)
    return 0


@bare
def score_lanes(
    cells: Doubles,
    n_cells: int,
    folds: int,
    total: int,
    nobody: Doubles,
    rules: Rules,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of sixteen pairs from the cells of their groups."""
    if folds > 1:
        for cell in range(0, n_cells * 16, 16):
            for of_class in range(2):
                first = of_class * folds
                added = load(cells, first * n_cells * 16 + cell)
                for fold in range(1, folds):
                    added = added + load(cells, (first + fold) * n_cells * 16 + cell)
                store(cells, (2 * folds + of_class) * n_cells * 16 + cell, added)
    score_whole(cells, n_cells, total, statistics)
    if folds > 1:
        low = rules.tie_low
        score_folds(cells, n_cells, folds, nobody, False, low, fold_train, statistics)


@kernel
def keep_lanes(
    rules: Rules,
    best: Best,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
    folds: int,
    numbers: NDArray[np.int64],
    first: int,
) -> None:
    """Offer sixteen pairs to the list and to the folds."""
    at = rules.statistic[0] * 16
    if not is_candidate(
        get_least(best), at, best.fold_score, statistics, fold_train, folds
    ):
        return
    for lane in range(16):
        i, j = numbers[first + lane]
        if i >= 0:
            best.model[-1, 0], best.model[-1, 1] = min(i, j), max(i, j)
            keep_lane(best, rules, statistics, fold_train, folds, lane)
