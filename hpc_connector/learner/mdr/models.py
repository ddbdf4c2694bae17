"""What is reported of a model: its tables, its risk labels, its statistics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.mdr.bitplanes import Arrangement, mark_slots
from hpc_connector.learner.mdr.mdr import get_risk_array

COUNTED_WORDS = 1 << 17  # of all models counted at once, times the cells of a model


def count_models(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    *,
    level: bool,
) -> NDArray[np.int64]:
    """Count the individuals of each group in each cell of some models.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16).
    models
        Variant indices, int64 (models, order).
    level
        Missing is a fourth genotype, if there is any; otherwise whoever lacks one is
        left out.

    Returns
    -------
    int64 (models, groups, levels ** order).
    """
    level = level and planes.shape[2] == 3
    step = max(1, COUNTED_WORDS // arrangement.n_words)
    parts = [
        _count_models(planes, arrangement, models[at : at + step], level)
        for at in range(0, len(models), step)
    ]
    n_cells = (4 if level else 3) ** models.shape[1]
    shape = (len(models), len(arrangement.group_size), n_cells)
    return np.concatenate(parts).reshape(shape) if parts else np.zeros(shape, np.int64)


def _count_models(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    level: bool,
) -> NDArray[np.int64]:
    """Count models whose common carriers fit into memory, (models, groups, cells)."""
    cells = np.full((len(models), arrangement.n_words, 1), ~np.uint32(0))
    for variants in models.T:
        levels = get_levels(planes, arrangement, variants, level=level)
        cells = cells[..., None] & levels[:, :, None, :]
        cells = cells.reshape(*cells.shape[:2], -1)
    shape = (len(models), arrangement.n_words + 1, cells.shape[2])
    before = np.zeros(shape, np.int64)
    np.cumsum(np.bitwise_count(cells), axis=1, out=before[:, 1:])
    return np.diff(before[:, arrangement.group_start], axis=1)


def get_levels(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    variants: NDArray[np.int64],
    *,
    level: bool,
) -> NDArray[np.uint32]:
    """Return who carries each genotype of some variants, a bit an individual.

    Parameters
    ----------
    planes
        uint32 (blocks, words, genotypes, 16), see ``bitplanes.py``.
    variants
        Their numbers, shape (variants,).
    level
        Missing genotypes are a level of their own.

    Returns
    -------
    uint32 (variants, words, 3), or 4 with who is missing last.
    """
    known = planes[variants // 16, :, :, variants % 16].view(np.uint32)
    everybody = mark_slots(arrangement.slot, arrangement.n_words)
    rest = everybody[:, None] & ~np.bitwise_or.reduce(known, axis=2, keepdims=True)
    is_known = known.shape[2] == 2 or level
    return np.concatenate([known, rest], axis=2) if is_known else known


def describe_models(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    *,
    level: bool,
    tie_low: bool,
) -> dict[str, NDArray[Any]]:
    """Recount some models and compute what is reported of them.

    Parameters
    ----------
    models
        Variant indices, int64 (models, order).

    Returns
    -------
    Columns by name, first axis models: tables ``cases``, ``controls``, ``high_risk``
    (models, cells); balanced accuracies of each fold (models, folds); and the
    statistics of :func:`get_statistics`.
    """
    counts = count_models(planes, arrangement, models, level=level)
    return describe_counts(counts, tie_low=tie_low)


def describe_counts(
    counts: NDArray[np.int64], *, tie_low: bool
) -> dict[str, NDArray[Any]]:
    """Return what is reported of models by their tables.

    Parameters
    ----------
    counts
        Of each group in each cell, int64 (models, groups, cells).

    Returns
    -------
    As :func:`describe_models`.
    """
    folds = counts.shape[1] // 2
    counts = counts.reshape(len(counts), 2, folds, -1)
    cases, controls = counts.sum(axis=2).transpose(1, 0, 2)
    high_risk = get_risk_array(cases, controls, tie_low=tie_low)
    columns = {"cases": cases, "controls": controls, "high_risk": high_risk}
    columns |= get_statistics(cases, controls, high_risk)
    return columns | _score_folds(counts, folds if folds > 1 else 0, tie_low)


def _score_folds(
    counts: NDArray[np.int64], folds: int, tie_low: bool
) -> dict[str, NDArray[np.float64]]:
    """Return balanced accuracies of folds from counts (models, 2, folds, cells)."""
    train = np.full((len(counts), folds), np.nan)
    test = np.full((len(counts), folds), np.nan)
    for fold in range(folds):
        tested = counts[:, :, fold]
        trained = counts.sum(axis=2) - tested
        high_risk = get_risk_array(trained[:, 0], trained[:, 1], tie_low=tie_low)
        train[:, fold] = get_balanced_accuracy(trained[:, 0], trained[:, 1], high_risk)
        test[:, fold] = get_balanced_accuracy(tested[:, 0], tested[:, 1], high_risk)
    return {"fold_train_balanced_accuracy": train, "fold_test_balanced_accuracy": test}


def get_balanced_accuracy(
    cases: NDArray[np.integer[Any]],
    controls: NDArray[np.integer[Any]],
    high_risk: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return 1/2 + sum over high-risk cells of (n0 a - n1 u) / (2 n1 n0).

    The same operations as the kernels do, so the same bits; NaN without a class.
    """
    n1, n0 = cases.sum(axis=-1), controls.sum(axis=-1)
    excess = np.where(high_risk, cases * n0[:, None] - controls * n1[:, None], 0)
    product = (n1 * n0).astype(np.float64)
    inverse = np.divide(1.0, product, out=np.full(len(n1), np.nan), where=product > 0)
    accuracy: NDArray[np.float64] = 0.5 + 0.5 * (excess.sum(axis=-1) * inverse)
    return accuracy


def get_statistics(
    cases: NDArray[np.integer[Any]],
    controls: NDArray[np.integer[Any]],
    high_risk: NDArray[np.bool_],
) -> dict[str, NDArray[Any]]:
    """Return the statistics of the 2 x 2 table of risk and class.

    The odds ratio has a 95 % interval by Woolf's logit method; half an individual is
    added to every field where one is empty (Haldane, Anscombe). chi2 is Pearson's,
    one degree of freedom, without correction.
    """
    hits = np.where(high_risk, cases, 0).sum(axis=-1).astype(np.float64)
    alarms = np.where(high_risk, controls, 0).sum(axis=-1).astype(np.float64)
    misses = cases.sum(axis=-1) - hits
    rejections = controls.sum(axis=-1) - alarms
    table = np.stack([hits, alarms, misses, rejections])
    padded = table + 0.5 * (table == 0).any(axis=0)
    a, b, c, d = padded
    odds_ratio = (a * d) / (b * c)
    spread = 1.959963984540054 * np.sqrt((1 / padded).sum(axis=0))
    n = table.sum(axis=0)
    margins = (
        (hits + alarms)
        * (misses + rejections)
        * (hits + misses)
        * (alarms + rejections)
    )
    cross = n * (hits * rejections - alarms * misses) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "n": n.astype(np.int64),
            "balanced_accuracy": get_balanced_accuracy(cases, controls, high_risk),
            "sensitivity": hits / (hits + misses),
            "specificity": rejections / (alarms + rejections),
            "odds_ratio": odds_ratio,
            "odds_ratio_low": odds_ratio * np.exp(-spread),
            "odds_ratio_high": odds_ratio * np.exp(spread),
            "chi2": np.divide(cross, margins, out=np.zeros_like(n), where=margins > 0),
        }
