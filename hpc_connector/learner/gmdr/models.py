"""What is reported of a model: its cells and accuracies by the residuals themselves.

The search counts integers; here the sums are of float64 residuals, in the order of
individuals, so that they are the same wherever they are made.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.gmdr.search import get_groups
from hpc_connector.learner.mdr.bitplanes import LANES, WORD_BITS, Arrangement
from hpc_connector.learner.mdr.search import STATISTICS

TIE = 1e-12  # of shares of the sum of scores: what rounding makes of equal ones
CELLS_AT_ONCE = 1 << 22  # individuals times models

Array = NDArray[np.float64]


def describe_models(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    scores: Scores,
    *,
    level: bool,
    tie_low: bool,
) -> dict[str, NDArray[Any]]:
    """Score some models by the residuals and say what is reported of them.

    Parameters
    ----------
    models
        Variant indices, int64 (models, order).
    level
        Missing is a fourth genotype, if there is any; otherwise whoever lacks one is
        left out.

    Returns
    -------
    Columns by name, first axis models: in each cell (models, cells) ``cases`` and
    ``controls``, individuals with a positive score and others, ``high_risk``,
    ``cell_mean_score`` and its ``cell_standard_error`` (NaN where too few); ``n``;
    the three STATISTICS, ``sensitivity`` and ``specificity``, shares of the sums of
    positive and of negative scores; accuracies of each fold (models, folds); and
    ``score_difference`` and ``test_score_difference``, by how much the balanced
    accuracy that the search found by integers is off, on all data and in test: there
    a cell near a tie may have the other label in a fold.
    """
    step = max(1, CELLS_AT_ONCE // len(arrangement.slot))
    parts = [
        _describe(planes, arrangement, models[at : at + step], scores, level, tie_low)
        for at in range(0, max(1, len(models)), step)
    ]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _describe(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    scores: Scores,
    level: bool,
    tie_low: bool,
) -> dict[str, NDArray[Any]]:
    """Describe models whose cells fit into memory."""
    cell = get_cells(planes, arrangement, models, level=level)
    n_cells = (4 if level and planes.shape[2] == 3 else 3) ** models.shape[1]
    groups = len(models), 2, arrangement.folds, n_cells
    place = get_groups(arrangement) * n_cells + cell
    place += np.arange(len(models))[:, None] * (2 * arrangement.folds * n_cells)
    chosen = cell >= 0
    place, row = place[chosen], np.broadcast_to(scores.residual, cell.shape)[chosen]
    whole = np.broadcast_to(scores.weight, cell.shape)[chosen]

    def add(values: NDArray[Any] | None) -> Array:
        size = int(np.prod(groups))
        return np.bincount(place, values, size).reshape(groups).astype(np.float64)

    sums, counts = add(np.abs(row)), add(None)
    columns = _score(sums, tie_low) | _describe_cells(
        counts.sum(axis=2), sums.sum(axis=2), add(row**2).sum(axis=(1, 2))
    )
    found = _score(add(whole), tie_low)
    for prefix in ("", "test_"):
        name = f"{prefix}balanced_accuracy"
        apart = np.abs(columns[name] - found[name])
        columns[f"{prefix}score_difference"] = np.nan_to_num(apart)
    return columns


def get_cells(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    *,
    level: bool,
) -> NDArray[np.int64]:
    """Return the cell of each individual in some models, -1 where one is missing.

    Returns
    -------
    int64 (models, individuals): with three levels, 3 g_i + g_j of a pair.
    """
    level = level and planes.shape[2] == 3
    levels = 4 if level else 3
    cell = np.zeros((len(models), len(arrangement.slot)), np.int64)
    called = np.ones(cell.shape, bool)
    for variants in models.T:
        genotype = get_genotypes(planes, arrangement.slot, variants)
        called &= level | (genotype < 3)
        cell = cell * levels + genotype
    return np.where(called, cell, -1)


def get_genotypes(
    planes: NDArray[np.int32], slot: NDArray[np.int64], variants: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return genotypes, 3 where missing, int64 (variants, individuals)."""
    words = planes[variants // LANES, :, :, variants % LANES]
    word, bit = np.divmod(slot, WORD_BITS)
    genotype = np.full((len(variants), len(slot)), planes.shape[2], np.int64)
    for plane in range(planes.shape[2]):
        genotype[(words[:, word, plane] >> bit) & 1 == 1] = plane
    return genotype


def _describe_cells(
    counts: Array, sums: Array, squares: Array
) -> dict[str, NDArray[Any]]:
    """Return what is reported of cells.

    Parameters
    ----------
    counts, sums
        Individuals and |score| of each sign, (models, 2, cells).
    squares
        Of scores, (models, cells).
    """
    n = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[:, 0] - sums[:, 1]) / n
        variance = np.maximum(squares - n * mean**2, 0) / (n - 1)
        error = np.where(n > 1, np.sqrt(variance / n), np.nan)
    return {
        "cases": counts[:, 0].astype(np.int64),
        "controls": counts[:, 1].astype(np.int64),
        "n": n.sum(axis=-1).astype(np.int64),
        "cell_positive_score": sums[:, 0],
        "cell_negative_score": sums[:, 1],
        "cell_mean_score": mean,
        "cell_standard_error": error,
    }


def _score(sums: Array, tie_low: bool) -> dict[str, NDArray[Any]]:
    """Return risk and accuracies from sums of |score|, (models, 2, folds, cells)."""
    whole = sums.sum(axis=2)
    high_risk = get_high_risk(whole, tie_low=tie_low)
    folds = sums.shape[2] if sums.shape[2] > 1 else 0
    train, test = np.full((2, len(sums), folds), np.nan)
    for fold in range(folds):
        tested = sums[:, :, fold]
        trained = np.delete(sums, fold, axis=2).sum(axis=2)
        high = get_high_risk(trained, tie_low=tie_low)
        train[:, fold] = np.mean(get_shares(trained, high), axis=0)
        test[:, fold] = np.mean(get_shares(tested, high), axis=0)
    sensitivity, specificity = get_shares(whole, high_risk)
    accuracy = (sensitivity + specificity) / 2
    return {
        "high_risk": high_risk,
        "test_balanced_accuracy": _average(test) if folds else accuracy,
        "train_balanced_accuracy": _average(train) if folds else accuracy,
        "balanced_accuracy": accuracy,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "fold_train_balanced_accuracy": train,
        "fold_test_balanced_accuracy": test,
    }


def _average(accuracies: Array) -> Array:
    """Return the mean over folds of those that are known, NaN without any."""
    known = ~np.isnan(accuracies)
    total = np.where(known, accuracies, 0).sum(axis=1)
    n, none = known.sum(axis=1), np.full(len(known), np.nan)
    mean: Array = np.divide(total, n, out=none, where=n > 0)
    return mean


def get_high_risk(sums: Array, *, tie_low: bool) -> NDArray[np.bool_]:
    """Label cells: high risk where positive scores are over-represented.

    P_c / P >= M_c / M, as far as rounding lets one tell; without a positive score low.

    Parameters
    ----------
    sums
        Of |score| of each sign, (models, 2, cells).

    Returns
    -------
    Boolean (models, cells).
    """
    total = sums.sum(axis=-1)
    excess = sums[:, 0] * total[:, 1:] - sums[:, 1] * total[:, :1]
    tie = TIE * np.prod(total, axis=1)[:, None]
    high: NDArray[np.bool_] = (excess > tie) if tie_low else (excess >= -tie)
    return high & (sums[:, 0] > 0)


def get_shares(sums: Array, high_risk: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the share of positive scores at high risk, of negative ones at low.

    NaN where either sign is missing.
    """
    total = sums.sum(axis=-1)
    hits = np.where(high_risk, sums[:, 0], 0).sum(axis=-1)
    rejections = np.where(high_risk, 0, sums[:, 1]).sum(axis=-1)
    known, none = (total > 0).all(axis=1), np.full(len(sums), np.nan)
    return (
        np.divide(hits, total[:, 0], out=none.copy(), where=known),
        np.divide(rejections, total[:, 1], out=none.copy(), where=known),
    )


def order_models(
    columns: dict[str, NDArray[Any]], models: NDArray[np.int64], rank_by: str
) -> NDArray[np.intp]:
    """Return the order of models: by a statistic, then the others, then variants."""
    names = [rank_by, *(name for name in STATISTICS if name != rank_by)]
    keys = [np.nan_to_num(-columns[name], nan=1.0) for name in names]
    return np.lexsort((*models.T[::-1], *keys[::-1]))
