"""From contingency cells to balanced accuracies, sixteen models at a time.

Groups of cells are numbered as the groups of individuals (the folds of the cases,
then of the controls), followed by the sums over all folds: cases, controls. With one
fold there is no cross-validation and the groups are their own sums.

Cell counts and their products are integers that the floating type of `cells` holds
exactly, so a risk label never depends on rounding.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Floats
from hpc_connector.learner.mdr._simd import (
    Vector,
    difference_of_products,
    load,
    select,
    spread,
    store,
    to_float,
)


@kernel
def copy_cells(
    counts: NDArray[np.int32],
    at: int,
    step: int,
    n_groups: int,
    n_cells: int,
    cells: Floats,
) -> None:
    """Take counted cells as they are, where none follows from marginals."""
    for group in range(n_groups):
        for cell in range(0, n_cells * 16, 16):
            count = load(counts, at + group * step + cell)
            store(cells, group * n_cells * 16 + cell, to_float(count, cells[0]))


@inlined
def fill_sixteen_cells(
    counts: NDArray[np.int32],
    at: int,
    step: int,
    row_carriers: NDArray[np.int32],
    lane: int,
    carriers: NDArray[np.int32],
    size: NDArray[np.int32],
    cells: Floats,
) -> None:
    """Complete the sixteen cells of a pair where missing is a fourth genotype.

    Parameters
    ----------
    counts
        Nine counted cells of group g at counts[at + g * step], int32.
    row_carriers, carriers
        From ``get_carriers``, of the row's block and of the lanes' block.
    lane
        Where the row stands in its block.
    size
        Individuals of each group, int32 (groups,).
    cells
        The result, float [group][cell][lane].
    """
    one = cells[0]
    for group in range(size.shape[0]):
        c = at + group * step
        m = group * 48
        to = group * 256
        rest_of_rest = spread(size[group])
        for i in range(3):
            carrier = row_carriers[m + i * 16 + lane]
            rest = spread(carrier)
            for j in range(3):
                count = load(counts, c + (i * 3 + j) * 16)
                rest = rest - count
                store(cells, to + (i * 4 + j) * 16, to_float(count, one))
            store(cells, to + (i * 4 + 3) * 16, to_float(rest, one))
            rest_of_rest = rest_of_rest - spread(carrier)
        for j in range(3):
            rest = load(carriers, m + j * 16)
            for i in range(3):
                rest = rest - load(counts, c + (i * 3 + j) * 16)
            rest_of_rest = rest_of_rest - rest
            store(cells, to + (12 + j) * 16, to_float(rest, one))
        store(cells, to + 240, to_float(rest_of_rest, one))


@inlined
def _add_cells(cells: Floats, group: int, n_cells: int) -> Vector:
    """Return the individuals of one group that are counted, lane by lane."""
    total = load(cells, group * n_cells * 16)
    for cell in range(1, n_cells):
        total = total + load(cells, (group * n_cells + cell) * 16)
    return total


@inlined
def _reciprocal(product: Vector) -> Vector:
    """Return 1 / product in double precision, 0 where the product is 0."""
    wide = to_float(product, 1.0)
    zero, one = spread(0.0), spread(1.0)
    return select(wide > zero, one / wide, zero)


@inlined
def score_whole(
    cells: Floats, n_cells: int, total: int, statistics: NDArray[np.float64]
) -> None:
    """Write the balanced accuracy on all data to each statistic.

    sum over cells of max(0, N0 a - N1 u) = N1 N0 (2 BA - 1), whatever the tie rule.

    Parameters
    ----------
    cells
        float [group][cell][lane].
    total
        Group that holds the sum over folds of the cases; the controls follow.
    statistics
        The result, float64 [3][lane]: mean test BA, mean training BA, whole BA; NaN
        where no case or no control is counted.
    """
    zero = spread(cells.dtype.type(0))
    cases = _add_cells(cells, total, n_cells)
    controls = _add_cells(cells, total + 1, n_cells)
    excess = zero
    for cell in range(n_cells):
        a = load(cells, (total * n_cells + cell) * 16)
        u = load(cells, ((total + 1) * n_cells + cell) * 16)
        d = difference_of_products(controls, a, cases, u)
        excess = excess + select(d > zero, d, zero)
    half = spread(0.5)
    product = cases * controls
    score = half + half * (to_float(excess, 1.0) * _reciprocal(product))
    score = select(product > zero, score, spread(np.nan))
    for statistic in range(3):
        store(statistics, statistic * 16, score)


@inlined
def _score_fold(
    cells: Floats,
    n_cells: int,
    fold: int,
    folds: int,
    size: Floats,
    fixed: bool,
    tie_low: bool,
) -> tuple[Vector, ...]:
    """Return n1 n0 (2 BA - 1) and n1 n0 of one fold, in training and in test."""
    zero = spread(cells.dtype.type(0))
    least = spread(cells.dtype.type(tie_low))
    cases, controls = 2 * folds, 2 * folds + 1
    if fixed:
        n1, n0 = spread(size[fold]), spread(size[folds + fold])
        m1, m0 = spread(size[cases]) - n1, spread(size[controls]) - n0
    else:
        n1 = _add_cells(cells, fold, n_cells)
        n0 = _add_cells(cells, folds + fold, n_cells)
        m1 = _add_cells(cells, cases, n_cells) - n1
        m0 = _add_cells(cells, controls, n_cells) - n0
    train = test = zero
    for cell in range(n_cells):
        a = load(cells, (fold * n_cells + cell) * 16)
        u = load(cells, ((folds + fold) * n_cells + cell) * 16)
        b = load(cells, (cases * n_cells + cell) * 16) - a
        v = load(cells, (controls * n_cells + cell) * 16) - u
        d = difference_of_products(m0, b, m1, v)
        e = difference_of_products(n0, a, n1, u)
        train = train + select(d > zero, d, zero)
        test = test + select((d >= least) & (b > zero), e, zero)
    return train, m1 * m0, test, n1 * n0


@inlined
def score_folds(
    cells: Floats,
    n_cells: int,
    folds: int,
    size: Floats,
    fixed: bool,
    tie_low: bool,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write mean test and training balanced accuracy over folds.

    A cell is high risk if d = N0 a - N1 u >= 0 in training (d > 0 with `tie_low`),
    and low risk where no individual trains it: high risk needs a case.

    Parameters
    ----------
    size
        Individuals of each group in the floating type of `cells`; used where `fixed`
        says that every model counts every individual.
    fold_train
        The result, float64 [fold][lane]: 2 BA - 1 of the training folds, -1 without
        cases or controls in training.
    statistics
        The result, float64 [3][lane]; the third is left as it is.
    """
    sum_train = sum_test = n_train = n_test = spread(0.0)
    one, half, none = spread(1.0), spread(0.5), spread(0.0)
    for fold in range(folds):
        train, m, test, n = _score_fold(
            cells, n_cells, fold, folds, size, fixed, tie_low
        )
        zero = spread(cells.dtype.type(0))
        score = to_float(train, 1.0) * _reciprocal(m)
        store(fold_train, fold * 16, select(m > zero, score, spread(-1.0)))
        sum_train = sum_train + score
        sum_test = sum_test + to_float(test, 1.0) * _reciprocal(n)
        n_train = n_train + select(m > zero, one, none)
        n_test = n_test + select(n > zero, one, none)
    store(statistics, 0, half + half * (sum_test / n_test))
    store(statistics, 16, half + half * (sum_train / n_train))
