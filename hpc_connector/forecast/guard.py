"""Which forecast serves a series: the model, or what needs none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.forecast.features import Examples

CANDIDATES = ("model", "persistence", "median of 3")
DECAY = 0.9  # of a past error, a window
PROOF = 0.9  # of the error of persistence: what another must reach on a new program
BUDGET = 0.01  # of the error of persistence, that a new program's trials may cost
HANDICAP = 3.0  # usual steps, that a single P90 of a new program has to make up
RATE = {True: 0.05, False: 0.2}  # at which P90 follows a known and a new program
# Coefficient of variation. Memory swings by a few percent of a large base, and a model
# foresees that: 10 % would take a third of what is gained.
CONSTANT = {"cpu": 0.1, "memory": 0.02}
TREND = 0.8  # share of the variance that a straight line explains


@dataclass(frozen=True)
class Served:
    """What is told to the user: P50, P90 and whose it is, each (n, horizons)."""

    p50: NDArray[np.float64]
    p90: NDArray[np.float64]
    chosen: NDArray[np.intp]


def classify(values: NDArray[np.float64], target: str) -> str:
    """Return whether windows are constant, trending or heterogeneous.

    Parameters
    ----------
    values
        The windows of a series so far, shape (n,), NaN where one is missing.
    """
    values = values[~np.isnan(values)]
    if len(values) < 3 or values.std() <= CONSTANT[target] * values.mean():
        return "constant"
    explained = np.corrcoef(np.arange(len(values)), values)[0, 1] ** 2
    return "trending" if explained >= TREND else "heterogeneous"


def get_candidates(
    lags: NDArray[np.float64], model: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the forecasts of ``CANDIDATES``, shape (3, n, horizons)."""
    last, middle = lags[:, -1], np.median(lags[:, -3:], axis=1)
    return np.stack(
        [model, *(np.repeat(x[:, None], model.shape[1], 1) for x in (last, middle))]
    )


def get_variation(lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficient of variation of a series so far, at each of its rows.

    Parameters
    ----------
    lags
        Of rows in order of time, shape (n, lags).
    """
    values = np.concatenate([lags[0], lags[1:, -1]])
    values = values / max(float(values[0]), 1e-9)
    n = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / n
    spread = np.sqrt(np.maximum(np.cumsum(values**2) / n - mean**2, 0))
    return (spread / np.maximum(mean, 1e-9))[lags.shape[1] - 1 :]


def serve(
    target: str,
    rows: Examples,
    p50: NDArray[np.float64],
    p90: NDArray[np.float64],
    is_known: NDArray[np.bool_],
) -> Served:
    """Return the forecasts that are served of a model's, series by series.

    Persistence serves while a series is constant, and :func:`choose` decides after.

    Parameters
    ----------
    rows
        Sorted by series and time.
    p50, p90
        Of the model, shape (n, horizons).
    is_known
        Of each row, whether the model was trained on that program, shape (n,).
    """
    candidates = get_candidates(rows.lags, p50)
    steps = np.abs(np.diff(rows.lags, axis=1)).mean(axis=1)
    chosen, upper = np.ones(p50.shape, int), p90.copy()
    for k in np.split(np.arange(len(p50)), np.flatnonzero(np.diff(rows.series)) + 1):
        if not len(k):
            continue
        known = bool(is_known[k[0]])
        chosen[k] = choose(candidates[:, k], rows.future[k], steps[k], is_known=known)
        chosen[k[get_variation(rows.lags[k]) <= CONSTANT[target]]] = 1
        if known:
            upper[k] = recalibrate(p90[k], rows.future[k], steps[k], RATE[True])
        else:
            upper[k] = raise_p90(p90[k], rows.lags[k], rows.future[k], steps[k])
    middle = np.take_along_axis(candidates, chosen[None], 0)[0].clip(0)
    return Served(middle, np.maximum(upper, middle), chosen)


def choose(
    candidates: NDArray[np.float64],
    future: NDArray[np.float64],
    steps: NDArray[np.float64],
    *,
    is_known: bool,
) -> NDArray[np.intp]:
    """Return which candidate serves each row of one series.

    The one with the least error so far, older errors counting less. An error counts
    once its window has ended, so nothing later is seen. On a program that the model was
    not trained on, persistence serves until another is clearly better, and again when
    what was served has cost more than persistence and ``BUDGET`` would have.

    Parameters
    ----------
    candidates
        Forecasts in order of time, shape (3, n, horizons), see ``CANDIDATES``.
    future
        What came, shape (n, horizons); NaN where it is not known.
    steps
        Mean absolute step of the lags of each row, shape (n,).

    Returns
    -------
    Numbers of the candidates, shape (n, horizons).
    """
    error = np.nan_to_num(np.abs(candidates - future))
    scores = get_scores(error)
    chosen: NDArray[np.intp] = scores.argmin(axis=0)  # the model, while all are equal
    if is_known:
        return chosen
    is_better = scores.min(axis=0) < PROOF * scores[1]
    credit = np.zeros(future.shape[1])
    for now in range(len(future)):
        for h in range(min(now, len(credit))):
            then = now - 1 - h
            credit[h] += (1 + BUDGET) * error[1, then, h]
            credit[h] -= error[chosen[then, h], then, h]
        chosen[now, ~is_better[now] | (credit < steps[now])] = 1
    return chosen


def get_scores(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the errors that are known at each row, older ones less.

    Parameters
    ----------
    error
        Of each candidate, row and horizon, shape (candidates, n, horizons).
    """
    scores = np.zeros(error.shape)
    for now in range(1, error.shape[1]):
        scores[:, now] = DECAY * scores[:, now - 1]
        for h in range(min(now, error.shape[2])):
            scores[:, now, h] += error[:, now - 1 - h, h]
    return scores


def raise_p90(
    p90: NDArray[np.float64],
    lags: NDArray[np.float64],
    future: NDArray[np.float64],
    steps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return a P90 for a series of a program that the model was not trained on.

    It is the largest of the model's, of the most of the lags, and of the last window
    and a usual step; one of them alone once its loss is less by ``HANDICAP`` steps.
    Shapes as in :func:`choose`.

    Parameters
    ----------
    p90
        Of the model, shape (n, horizons).
    lags
        Windows before each row, shape (n, lags).
    future, steps
        As in :func:`choose`.
    """
    ahead = np.sqrt(np.arange(1, p90.shape[1] + 1))
    step = lags[:, -1:] + steps[:, None] * ahead
    most = np.repeat(lags.max(axis=1)[:, None], p90.shape[1], axis=1)
    single = np.stack([p90, step, most])
    moved = np.stack(
        [
            recalibrate(upper, future, steps, RATE[False])
            for upper in (single.max(axis=0), *single)
        ]
    )
    off = np.nan_to_num(future - moved)
    scores = get_scores(np.maximum(0.9 * off, -0.1 * off))
    scores[1:] += HANDICAP * steps[:, None]
    best: NDArray[np.float64] = np.take_along_axis(
        moved, scores.argmin(axis=0)[None], 0
    )[0]
    return best


def recalibrate(
    p90: NDArray[np.float64],
    future: NDArray[np.float64],
    steps: NDArray[np.float64],
    rate: float,
) -> NDArray[np.float64]:
    """Return P90 of one series, moved up by what exceeded it and down by the rest.

    A miss weighs nine times a hit, so in the long run one window in ten is above. Each
    move is a share of the usual step; shapes as in :func:`choose`.

    Parameters
    ----------
    p90
        In order of time, shape (n, horizons).
    future, steps
        As in :func:`choose`.
    rate
        Of a move, in steps.
    """
    offset, moved = np.zeros(p90.shape[1]), p90.copy()
    for now in range(len(p90)):
        for h in range(min(now, p90.shape[1])):
            came, told = future[now - 1 - h, h], moved[now - 1 - h, h]
            if not np.isnan(came):
                offset[h] += rate * steps[now] * ((came > told) - 0.1)
        moved[now] = p90[now] + offset
    return moved
