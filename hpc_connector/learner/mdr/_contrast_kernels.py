"""Scores of pairs where every individual is counted, sixteen pairs at a time.

The contrast of a cell is w0 a - w1 u: its cases and controls, each weighted by the
number of the other class. A positive contrast is high risk, and the sum of the
positive ones is w1 w0 (2 BA - 1). Contrasts are linear: as counts do, those of the
last genotype follow from marginals, so that four cells of nine are weighed.

A pair has one contrast of all data, and of each fold: in training, the cases alone in
training (which tell an empty cell from a tied one), and in test. These are its views.
All are integers that the floating type holds exactly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Floats, Genotypes
from hpc_connector.learner.mdr._simd import (
    Vector,
    difference_of_products,
    load,
    select,
    spread,
    store,
    to_float,
)

VIEWS = 3  # of a fold, after the view of all data


@inlined
def weigh(weight: Floats, view: int, a: Vector, u: Vector) -> Vector:
    """Return the contrast of cases a and controls u in one view."""
    return difference_of_products(
        spread(weight[view, 0]), a, spread(weight[view, 1]), u
    )


@inlined
def weigh_cell(
    genotypes: Genotypes, counts: NDArray[np.int32], width: int, cell: int, view: int
) -> Vector:
    """Return the contrast of a cell, its counts int32 [group][width], in one view."""
    weight, folds = genotypes.weight, genotypes.folds
    one = weight[0, 0]
    fold = (view - 1) // VIEWS
    total = (genotypes.size.shape[0] - 2) * width + cell
    in_cases, in_controls = fold * width + cell, (folds + fold) * width + cell
    if view == 0:
        a, u = load(counts, total), load(counts, total + width)
    elif (view - 1) % VIEWS == 2:
        a, u = load(counts, in_cases), load(counts, in_controls)
    else:
        a = load(counts, total) - load(counts, in_cases)
        u = load(counts, total + width) - load(counts, in_controls)
    return weigh(weight, view, to_float(a, one), to_float(u, one))


@inlined
def count_views(genotypes: Genotypes) -> int:
    """Return the number of views, 0 where genotypes are missing."""
    return genotypes.weight.shape[0] if genotypes.planes.shape[2] == 2 else 0


@kernel
def get_margins(genotypes: Genotypes, carriers: NDArray[np.int32]) -> Floats:
    """Return the contrasts of the carriers of each genotype.

    Parameters
    ----------
    carriers
        Of two genotypes, from ``count_carriers``, int32 (blocks, groups * 2 * 16).

    Returns
    -------
    Floating (blocks * views * 3 * 16,).
    """
    n_views = genotypes.weight.shape[0]
    everybody = np.repeat(genotypes.size, 16)
    margins = np.empty(carriers.shape[0] * n_views * 48, genotypes.weight.dtype)
    for block in range(carriers.shape[0]):
        for view in range(n_views):
            to = (block * n_views + view) * 48
            rest = weigh_cell(genotypes, everybody, 16, 0, view)
            for plane in range(0, 32, 16):
                contrast = weigh_cell(genotypes, carriers[block], 32, plane, view)
                store(margins, to + plane, contrast)
                rest = rest - contrast
            store(margins, to + 32, rest)
    return margins


@inlined
def load_four(
    counts: NDArray[np.int32], at: int, one: np.floating[Any]
) -> tuple[Vector, ...]:
    """Return the four counted cells of a group."""
    return (
        to_float(load(counts, at), one),
        to_float(load(counts, at + 16), one),
        to_float(load(counts, at + 32), one),
        to_float(load(counts, at + 48), one),
    )


@inlined
def weigh_four(
    weight: Floats, view: int, a: tuple[Vector, ...], u: tuple[Vector, ...]
) -> tuple[Vector, ...]:
    """Return the contrasts of the four counted cells."""
    return (
        weigh(weight, view, a[0], u[0]),
        weigh(weight, view, a[1], u[1]),
        weigh(weight, view, a[2], u[2]),
        weigh(weight, view, a[3], u[3]),
    )


@inlined
def subtract_four(a: tuple[Vector, ...], b: tuple[Vector, ...]) -> tuple[Vector, ...]:
    """Return a - b, cell by cell."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


@inlined
def complete(
    four: tuple[Vector, ...],
    row_margins: Floats,
    row: int,
    margins: Floats,
    column: int,
) -> tuple[Vector, ...]:
    """Return all nine cells from (0,0), (0,1), (1,0), (1,1) and the marginals.

    `row` and `column` say where those of the row and of the lanes begin.
    """
    x00, x01, x10, x11 = four
    x02 = spread(row_margins[row]) - x00 - x01
    x12 = spread(row_margins[row + 16]) - x10 - x11
    x20 = load(margins, column) - x00 - x10
    x21 = load(margins, column + 16) - x01 - x11
    x22 = load(margins, column + 32) - x02 - x12
    return x00, x01, x02, x10, x11, x12, x20, x21, x22


@inlined
def add_positive(total: Vector, x: Vector, zero: Vector) -> Vector:
    """Return the total and x where it is positive."""
    return total + select(x > zero, x, zero)


@inlined
def sum_positive(x: tuple[Vector, ...], zero: Vector) -> Vector:
    """Return the sum of the positive ones of nine cells."""
    left = add_positive(add_positive(zero, x[0], zero), x[1], zero)
    left = add_positive(left, x[2], zero)
    middle = add_positive(add_positive(zero, x[3], zero), x[4], zero)
    middle = add_positive(middle, x[5], zero)
    right = add_positive(add_positive(zero, x[6], zero), x[7], zero)
    right = add_positive(right, x[8], zero)
    return left + middle + right


@inlined
def add_high(
    total: Vector, d: Vector, b: Vector, e: Vector, least: Vector, zero: Vector
) -> Vector:
    """Return the total and e where the training contrast d says high risk."""
    return total + select((d >= least) & (b > zero), e, zero)


@inlined
def sum_high(
    d: tuple[Vector, ...],
    b: tuple[Vector, ...],
    e: tuple[Vector, ...],
    least: Vector,
    zero: Vector,
) -> Vector:
    """Return the sum of e over the high-risk cells of nine."""
    left = add_high(zero, d[0], b[0], e[0], least, zero)
    left = add_high(left, d[1], b[1], e[1], least, zero)
    left = add_high(left, d[2], b[2], e[2], least, zero)
    middle = add_high(zero, d[3], b[3], e[3], least, zero)
    middle = add_high(middle, d[4], b[4], e[4], least, zero)
    middle = add_high(middle, d[5], b[5], e[5], least, zero)
    right = add_high(zero, d[6], b[6], e[6], least, zero)
    right = add_high(right, d[7], b[7], e[7], least, zero)
    right = add_high(right, d[8], b[8], e[8], least, zero)
    return left + middle + right


@inlined
def store_whole(
    excess: Vector, genotypes: Genotypes, statistics: NDArray[np.float64]
) -> None:
    """Write the balanced accuracy on all data to each statistic."""
    half = spread(0.5)
    score = half + half * (to_float(excess, 1.0) * spread(genotypes.inverse[0]))
    for statistic in range(0, 48, 16):
        store(statistics, statistic, score)


@inlined
def store_training(
    excess: Vector, genotypes: Genotypes, fold: int, fold_train: NDArray[np.float64]
) -> Vector:
    """Write 2 BA - 1 of the training folds, -1 without both classes; return it or 0."""
    inverse = genotypes.inverse[1 + VIEWS * fold]
    score = to_float(excess, 1.0) * spread(inverse)
    store(fold_train, fold * 16, score if inverse > 0.0 else spread(-1.0))
    return score


@inlined
def get_test(excess: Vector, genotypes: Genotypes, fold: int) -> Vector:
    """Return 2 BA - 1 of a test fold, 0 without both classes."""
    return to_float(excess, 1.0) * spread(genotypes.inverse[3 + VIEWS * fold])


@inlined
def store_means(
    sum_train: Vector,
    sum_test: Vector,
    genotypes: Genotypes,
    statistics: NDArray[np.float64],
) -> None:
    """Write mean test and training balanced accuracy over folds with both classes."""
    n_train = n_test = 0.0
    for fold in range(genotypes.folds):
        n_train += genotypes.inverse[1 + VIEWS * fold] > 0.0
        n_test += genotypes.inverse[3 + VIEWS * fold] > 0.0
    half = spread(0.5)
    store(statistics, 0, half + half * (sum_test / spread(n_test)))
    store(statistics, 16, half + half * (sum_train / spread(n_train)))


@inlined
def score_pairs(
    genotypes: Genotypes,
    tie_low: bool,
    counts: NDArray[np.int32],
    at: int,
    step: int,
    row_margins: Floats,
    row: int,
    margins: Floats,
    column: int,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of sixteen pairs of which everybody is genotyped.

    A cell is high risk if its contrast in training is not negative (is positive, with
    `tie_low`) and it holds a case there.

    Parameters
    ----------
    counts
        Cells (0,0), (0,1), (1,0), (1,1) of group g at counts[at + g * step], int32.
    row_margins, row, margins, column
        From :func:`get_margins`, and where the row's and the lanes' begin.
    fold_train
        The result, float64 [fold][lane]: 2 BA - 1 of the training folds, -1 without
        cases or controls in training.
    statistics
        The result, float64 [3][lane]: mean test BA, mean training BA, whole BA.
    """
    weight, folds = genotypes.weight, genotypes.folds
    one = weight[0, 0]
    zero, least = spread(one - one), spread(weight.dtype.type(tie_low))
    total = at + (2 * folds * step if folds > 1 else 0)
    cases = load_four(counts, total, one)
    controls = load_four(counts, total + step, one)
    whole = weigh_four(weight, 0, cases, controls)
    whole = complete(whole, row_margins, row, margins, column)
    store_whole(sum_positive(whole, zero), genotypes, statistics)
    if folds > 1:
        sum_train = sum_test = spread(0.0)
        for fold in range(folds):
            train, test = 1 + VIEWS * fold, 3 + VIEWS * fold
            a = load_four(counts, at + fold * step, one)
            u = load_four(counts, at + (folds + fold) * step, one)
            b = subtract_four(cases, a)
            d = weigh_four(weight, train, b, subtract_four(controls, u))
            r, c = row + train * 48, column + train * 48
            d = complete(d, row_margins, r, margins, c)
            b = complete(b, row_margins, r + 48, margins, c + 48)
            e = weigh_four(weight, test, a, u)
            e = complete(e, row_margins, r + 96, margins, c + 96)
            gain, loss = sum_positive(d, zero), sum_high(d, b, e, least, zero)
            score = store_training(gain, genotypes, fold, fold_train)
            sum_train = sum_train + score
            sum_test = sum_test + get_test(loss, genotypes, fold)
        store_means(sum_train, sum_test, genotypes, statistics)
