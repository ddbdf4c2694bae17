"""How well a model can do, from integers of sixteen bits.

Words as in ``_contrast_kernels``. Weigh cases and controls by integers p and q, about
as N0 to N1: X = p A - q U of all data in a cell, x = p a - q u of the test fold; then
training has X - x. Let e, t and s be 2 BA - 1 on all data, in training and in test; H
the high-risk cells of the fold; E the sum of max(0, X) over cells and T that of
max(0, X - x). With n1, n0 individuals in test, m1, m0 in training, N1, N0 in all, and
d = p m1 - q m0:

1. Sums of X over any cells are at most E. So those of x over H are at most E less
   those of X - x over H.
2. The sum of X - x over H is p m1 t + d v, with v the controls' share of H in
   training, and T is at most p m1 t + max(0, d), for t is greatest at H. So the sum
   over H lies between T - |d| and T, and p m1 t <= T + max(0, -d).
3. The sum of x over H is p n1 s - (q n0 - p n1) u, with u the controls' share of H in
   test. By 1 and 2, p n1 s <= E - T + |d| + max(0, q n0 - p n1).
4. Likewise p N1 e <= E + max(0, q N0 - p N1).

What is added is small where p / q is near N0 / N1 and folds are of one size, and
nothing where classes are as well. None of it depends on how ties are called, on the
number of cells, or on what their genotypes are.

5. A sharper bound of s: in a cell with v controls in training, X - x is p m1 times its
   contrast there and d v / m0. So a cell of X - x > |d| is high risk, one of
   X - x < -|d| is not, and of the others the high-risk ones add at most max(0, x).

E - T is found in sixteen bits. As max(0, X - x) = max(X, x) - x, it is the sum of
max(0, X) - max(X, x) over cells, and the sum of x, which is p n1 - q n0. No x exceeds
C = 32767, and an X beyond C may be cut to it, for a cell then adds 0 or -x as before.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 32767  # of an integer of sixteen bits
MOST_ALL = 65535  # of a count without a sign
MOST_WEIGHT = 512
WIDEST = 0.05  # of 2 BA - 1; a bound less sharp than this sorts out too little
ROUNDING = 1e-5  # of single precision, and of the last bits of a statistic


class Bound(NamedTuple):
    """What bounds training accuracies and the first statistic, for the kernels.

    Parameters
    ----------
    case_weight, control_weight
        p and q.
    excess
        p n1 - q n0 of each fold, int64 (folds,).
    train_unit, train_slack
        p m1 of each fold, and what T adds to reach p m1 t, float64 (folds,).
    share
        Of each fold: E - T times this / 65536, rounded down, are its parts of the
        first statistic, int64 (folds,).
    part, whole, slack
        2 BA - 1 of the first statistic is at most the parts of all folds times `part`,
        E times `whole`, and `slack`.
    doubt
        |d| of each fold, int64 (folds,).
    sharp_slack
        As `slack`, with the sums of 5 for E - T; infinite where they do not matter.
    """

    case_weight: int
    control_weight: int
    excess: NDArray[np.int64]
    train_unit: NDArray[np.float64]
    train_slack: NDArray[np.float64]
    share: NDArray[np.int64]
    part: float
    whole: float
    slack: float
    doubt: NDArray[np.int64]
    sharp_slack: float


def make_bound(size: NDArray[np.integer[Any]], statistic: int) -> Bound | None:
    """Return the sharpest bound for groups of these sizes.

    Parameters
    ----------
    size
        Individuals of each group, integers (2 * folds,): those of the cases first.
    statistic
        0 for mean test, 1 for mean training, 2 for whole balanced accuracy.

    Returns
    -------
    None without folds, where a fold lacks a class, where counts exceed sixteen bits,
    or where no bound is sharp.
    """
    cases, controls = np.asarray(size, np.int64).reshape(2, -1)
    if len(cases) < 2 or size.min() < 1 or max(cases.sum(), controls.sum()) > MOST_ALL:
        return None
    p = np.arange(1, min(MOST_WEIGHT, MOST // cases.max()) + 1)
    q = np.rint(p * cases.sum() / controls.sum()).astype(np.int64)
    is_fit = (q > 0) & (q * controls.max() <= MOST)
    bounds = [
        _weigh(cases, controls, int(a), int(b), statistic)
        for a, b in zip(p[is_fit], q[is_fit], strict=True)
    ]
    best = min(bounds, key=_get_width, default=None)
    return best if best and _get_width(best) <= WIDEST else None


def _get_width(bound: Bound) -> float:
    """Return by how much the statistic and a training accuracy may be less."""
    return bound.slack + float((bound.train_slack / bound.train_unit).max())


def _weigh(
    cases: NDArray[np.int64],
    controls: NDArray[np.int64],
    p: int,
    q: int,
    statistic: int,
) -> Bound:
    """Return the bound by weights p and q."""
    folds, unit, rest = len(cases), p * cases, q * controls
    train_unit = unit.sum() - unit
    d = train_unit - (rest.sum() - rest)
    train_slack, test_slack = np.maximum(0.0, -d), np.maximum(0.0, rest - unit)
    of_fold = unit if statistic == 0 else train_unit
    added = (np.abs(d) + test_slack, train_slack, np.zeros(folds))[statistic]
    rate = 1 / (folds * of_fold)
    scale = min(
        32000 / (np.maximum(unit, rest) * rate).sum(), MOST / 65536 / rate.max()
    )
    share = (1, -1, 0)[statistic] * np.rint(65536 * scale * rate).astype(np.int64)
    rounded = 1.25 * folds / scale + ROUNDING  # down, and the share by half at most
    whole_slack = max(0, rest.sum() - unit.sum()) / unit.sum()
    return Bound(
        p,
        q,
        unit - rest,
        train_unit,
        train_slack,
        share,
        1 / scale,
        (0.0, float(rate.sum()), 1 / float(unit.sum()))[statistic],
        float((added * rate).sum()) + rounded + whole_slack * (statistic == 2),
        np.minimum(np.abs(d), MOST),
        float((test_slack * rate).sum()) + rounded if statistic == 0 else np.inf,
    )
