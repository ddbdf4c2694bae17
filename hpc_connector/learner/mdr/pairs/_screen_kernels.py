"""Which pairs could enter the list or win a fold, from numbers of 16 bits.

The training folds of every pair are scored, for their winners are wanted, but not the
test folds. Let e be 2 BA - 1 of a pair on all data, t of it in training without fold
f, s in test, and a, b the fold's shares of all cases and of all controls. The high
risk cells of that training have the contrast (1 - a) t - (a - b) q in training and at
most e in all, q their share of the controls, and the rest is theirs in test:

    s <= (e - (1 - a) t + |a - b|) / a

so that the mean of s over k folds is at most e + sum of c (e - t) + mean of |a - b| / a
with c = (1 - a) / (a k). It is also at most e + (sum of |1/k - a| + sum of |1/k - b|) /
2 + mean of |a - b| / a (see ``get_slack``). What both let pass is scored exactly.

Contrasts are taken in units of 1 / SCALE: cases * weight, rounded down, less controls *
weight, rounded down. The four counted cells are off by less than 1 each, the margins by
0.51, and what is completed from them by 2.51 (four cells) and 6.04: 20.1 in all, and
weights of 16 bits add up to 4. Errors sum to 0, so that half of them is the most that
the sum of the positive cells can be off: MARGIN.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import VIEWS, sum_positive
from hpc_connector.learner.mdr._search_kernels import get_least
from hpc_connector.learner.mdr._simd import (
    Vector,
    greatest,
    load,
    spread,
    take_share,
    take_signed_share,
)

SCALE, MARGIN = 32000, 13
MOST = 65535  # individuals of a class that counts of 16 bits hold
MOST_FOLDS = 1000
LANES = 32
CONSTANTS = 6  # of a view, in vectors: see Screen


class Screen(NamedTuple):
    """What the screen of pairs multiplies by and compares with.

    Parameters
    ----------
    constants
        int16 [view][6][lane], the views all data and each training: the power of two
        and the weight that cases are multiplied by, those of controls, the least
        excess, and c / 4 of the fold. Of all data the last is the least bound.
    share
        c of each fold, float64 (folds,); of the statistic that ranks first.
    slack
        Added to the bound by c, and to that without, float64 (2,).
    """

    constants: NDArray[np.int16]
    share: NDArray[np.float64]
    slack: NDArray[np.float64]


@kernel
def make_screen(genotypes: Genotypes, rules: Rules) -> Screen:
    """Return the screen of a search, its least values not yet set."""
    folds, first = genotypes.folds, rules.statistic[0]
    constants = np.zeros((folds + 1) * CONSTANTS * LANES, np.int16)
    share, slack = np.zeros(folds), np.zeros(2)
    total = genotypes.size[2 * folds], genotypes.size[2 * folds + 1]
    for fold in range(folds):
        test = genotypes.size[fold], genotypes.size[folds + fold]
        set_weights(constants, 1 + fold, total[0] - test[0], total[1] - test[1])
        a, b = test[0] / total[0], test[1] / total[1]
        if first == 0:
            share[fold] = (1 - a) / (a * folds)
            slack += abs(a - b) / a / folds
            slack[1] += (abs(1 / folds - a) + abs(1 / folds - b)) / 2
        elif first == 1:
            share[fold], slack[1] = -1 / folds, 2.0
        _fill(constants, 1 + fold, 5, round(share[fold] * 16384))
    set_weights(constants, 0, total[0], total[1])
    return Screen(constants, share, slack)


@inlined
def _fill(constants: NDArray[np.int16], view: int, which: int, value: int) -> None:
    """Set a constant in every lane, of the 16 lower bits of a number."""
    at = (view * CONSTANTS + which) * LANES
    constants[at : at + LANES] = np.int16(value)


@kernel
def set_weights(
    constants: NDArray[np.int16], view: int, n_cases: int, n_controls: int
) -> None:
    """Set what turns cases and controls into shares of them, in units of SCALE."""
    for which, n in ((0, n_cases), (2, n_controls)):
        power = 1
        while n * power * 2 <= MOST:
            power *= 2
        _fill(constants, view, which, power)
        _fill(constants, view, which + 1, round(SCALE * 65536 / (n * power)))


@kernel
def is_screened(genotypes: Genotypes, rules: Rules) -> bool:
    """Return whether the numbers of a search fit into 16 bits, and the bounds hold.

    They need both classes in every fold, and folds of about the same size.
    """
    folds, size = genotypes.folds, genotypes.size
    if folds == 1 or folds > MOST_FOLDS:
        return False
    if max(size[2 * folds], size[2 * folds + 1]) > MOST:
        return False
    spread_of_bound = 0.0
    for fold in range(folds):
        a = size[fold] / size[2 * folds]
        b = size[folds + fold] / size[2 * folds + 1]
        if a == 0 or b == 0 or a == 1 or b == 1:
            return False
        most = (1 - a) / (a * folds)
        if most > 1.9:
            return False
        spread_of_bound += max(most, 1 / folds) * (a + b + 2 * abs(a - b))
    return spread_of_bound < 2.5


@kernel
def set_least(screen: Screen, best: Best) -> None:
    """Set what a pair must reach to enter the list or to win a fold."""
    folds = screen.share.shape[0]
    for fold in range(folds):
        least = SCALE * max(best.fold_score[fold], -1.0) - MARGIN - 1
        _fill(screen.constants, 1 + fold, 4, int(max(least, -1.0)))
    least = 2 * get_least(best) - 1
    alone = SCALE * (least - screen.slack[1]) - MARGIN - 1
    _fill(screen.constants, 0, 4, int(max(alone, -1.0)))
    shares = np.sum(screen.share)
    error = MARGIN * (abs(1 + shares) + np.sum(np.abs(screen.share))) / 4
    bound = SCALE * (least - screen.slack[0]) / 4 - error - 2 - 1.25 * folds
    _fill(screen.constants, 0, 5, int(np.floor(bound)))


@kernel
def get_narrow_margins(
    genotypes: Genotypes, margins: Floats, lanes: int
) -> NDArray[np.int16]:
    """Return the contrasts of the carriers of each genotype in units of 1 / SCALE.

    Parameters
    ----------
    margins
        Of blocks of sixteen, from ``get_margins``.
    lanes
        Variants that stand side by side in the result, 16 or 32.

    Returns
    -------
    int16 [lanes of variants][view][genotype][lane].
    """
    n_views, folds = genotypes.weight.shape[0], genotypes.folds
    n_blocks = margins.shape[0] // (n_views * 48)
    together = lanes // 16
    shape = -(-n_blocks // together), folds + 1, 3, lanes
    narrow = np.zeros(shape, np.int16)
    for block in range(n_blocks):
        first = block % together * 16
        for view in range(folds + 1):
            of = 0 if view == 0 else 1 + VIEWS * (view - 1)
            at = (block * n_views + of) * 48
            unit = SCALE * genotypes.inverse[of]
            into = narrow[block // together, view]
            for lane in range(16):
                a = np.rint(margins[at + lane] * unit)
                b = np.rint(margins[at + 16 + lane] * unit)
                into[0, first + lane] = np.int16(a)
                into[1, first + lane] = np.int16(b)
                into[2, first + lane] = np.int16(-a - b)
    return narrow.reshape(-1)


@inlined
def load_narrow(counts: NDArray[np.int16], at: int) -> tuple[Vector, ...]:
    """Return the four counted cells of a group."""
    return (
        load(counts, at),
        load(counts, at + 32),
        load(counts, at + 64),
        load(counts, at + 96),
    )


@inlined
def _weigh_narrow(
    constants: NDArray[np.int16], at: int, cases: Vector, controls: Vector
) -> Vector:
    """Return the contrast of a cell in the view whose constants are at `at`."""
    left = take_share(cases * load(constants, at), load(constants, at + 32))
    right = take_share(controls * load(constants, at + 64), load(constants, at + 96))
    contrast: Vector = left - right
    return contrast


@inlined
def get_excess(
    constants: NDArray[np.int16],
    view: int,
    cases: tuple[Vector, ...],
    controls: tuple[Vector, ...],
    row_margins: NDArray[np.int16],
    row: int,
    margins: NDArray[np.int16],
    column: int,
) -> Vector:
    """Return 2 BA - 1 of one view in units of 1 / SCALE, off by at most MARGIN."""
    at = view * CONSTANTS * LANES
    row, column = row + view * 48, column + view * 96
    x00 = _weigh_narrow(constants, at, cases[0], controls[0])
    x01 = _weigh_narrow(constants, at, cases[1], controls[1])
    x10 = _weigh_narrow(constants, at, cases[2], controls[2])
    x11 = _weigh_narrow(constants, at, cases[3], controls[3])
    x02 = spread(row_margins[row]) - x00 - x01
    x12 = spread(row_margins[row + 16]) - x10 - x11
    x20 = load(margins, column) - x00 - x10
    x21 = load(margins, column + 32) - x01 - x11
    x22 = load(margins, column + 64) - x02 - x12
    cells = x00, x01, x02, x10, x11, x12, x20, x21, x22
    excess: Vector = sum_positive(cells, spread(np.int16(0)))
    return excess


@inlined
def subtract_narrow(a: tuple[Vector, ...], b: tuple[Vector, ...]) -> tuple[Vector, ...]:
    """Return a - b, cell by cell."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


@inlined
def add_narrow(a: tuple[Vector, ...], b: tuple[Vector, ...]) -> tuple[Vector, ...]:
    """Return a + b, cell by cell."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@inlined
def screen_pairs(
    constants: NDArray[np.int16],
    folds: int,
    counts: NDArray[np.int16],
    at: int,
    row_margins: NDArray[np.int16],
    row: int,
    margins: NDArray[np.int16],
    column: int,
) -> Vector:
    """Return which of 32 pairs could enter the list or win a fold.

    Parameters
    ----------
    constants
        Of the screen.
    counts
        From ``count_panel``: cells of group g with all before it at counts[at + g *
        512], int16.
    row_margins, row, margins, column
        From :func:`get_narrow_margins`, and where the row's and the lanes' begin.

    Returns
    -------
    A mask of 32 lanes.
    """
    zero = spread(np.int16(0))
    cases = load_narrow(counts, at + (folds - 1) * 512)
    controls = load_narrow(counts, at + (2 * folds - 1) * 512)
    controls = subtract_narrow(controls, cases)
    whole = get_excess(constants, 0, cases, controls, row_margins, row, margins, column)
    bound = whole >> spread(np.int16(2))
    best = spread(np.int16(-32768))
    cases_before: tuple[Vector, ...] = (zero, zero, zero, zero)
    controls_before = cases
    for fold in range(folds):
        a = load_narrow(counts, at + fold * 512)
        u = load_narrow(counts, at + (folds + fold) * 512)
        b = add_narrow(subtract_narrow(cases, a), cases_before)
        v = add_narrow(subtract_narrow(controls, u), controls_before)
        cases_before, controls_before = a, u
        train = get_excess(
            constants,
            1 + fold,
            b,
            v,
            row_margins,
            row,
            margins,
            column,
        )
        c = ((1 + fold) * CONSTANTS + 4) * LANES
        best = greatest(best, train - load(constants, c))
        bound = bound + take_signed_share(whole - train, load(constants, c + LANES))
    of_list = (whole >= load(constants, 4 * LANES)) & (
        bound >= load(constants, 5 * LANES)
    )
    found: Vector = (best >= zero) | of_list
    return found
