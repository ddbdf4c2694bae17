"""Which forecast serves a series: the model, or what needs none."""

import numpy as np

DECAY = 0.97  # of a past error, a window
PROOF = 0.9  # of the error of persistence: what a model must reach on a new program
HANDICAP = 3.0  # steps of the series that it has to make up as well
CONSTANT = 0.1  # coefficient of variation
TREND = 0.8  # share of the variance that a straight line explains


def classify(values: np.ndarray) -> str:
    """Return whether windows are constant, trending or heterogeneous.

    Parameters
    ----------
    values
        The windows of a series so far, shape (n,), NaN where one is missing.
    """
    values = values[~np.isnan(values)]
    if len(values) < 3 or values.std() <= CONSTANT * abs(values.mean()):
        return "constant"
    explained = np.corrcoef(np.arange(len(values)), values)[0, 1] ** 2
    return "trending" if explained >= TREND else "heterogeneous"


def choose(
    candidates: np.ndarray, future: np.ndarray, steps: np.ndarray, *, is_known: bool
) -> np.ndarray:
    """Return which candidate serves each row of one series.

    The one with the least error so far, older errors counting less. An error counts
    once its window has ended, so nothing later is seen. On a program that the model was
    not trained on, persistence serves until another is clearly better.

    Parameters
    ----------
    candidates
        Forecasts in order of time, shape (3, n, horizons): of the model, of
        persistence, of the median.
    future
        What came, shape (n, horizons); NaN where it is not known.
    steps
        Mean absolute step of the lags of each row, shape (n,).

    Returns
    -------
    Numbers of the candidates, shape (n, horizons).
    """
    error = np.nan_to_num(np.abs(candidates - future))
    horizons = future.shape[1]
    score = np.zeros((len(candidates), horizons))
    chosen = np.zeros(future.shape, int)
    for now in range(len(future)):
        score *= DECAY
        for h in range(min(now, horizons)):
            score[:, h] += error[:, now - 1 - h, h]
        if is_known:
            chosen[now] = score.argmin(axis=0)  # the model, while all are equal
            continue
        claim = score / PROOF + HANDICAP * steps[now]
        claim[1] = score[1]
        is_better = claim.min(axis=0) < score[1]
        chosen[now] = np.where(is_better, claim.argmin(axis=0), 1)
    return chosen
