"""What is reported of a model: its tables, its risk labels, its statistics."""

import numpy as np

from hpc_connector.bitplanes import Arrangement
from hpc_connector.learner.mdr import get_risk_array


def get_genotypes(planes: np.ndarray, slot: np.ndarray, variant: int) -> np.ndarray:
    """Return the genotypes of one variant from its planes.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16).
    slot
        Bit of each individual, int64 (individuals,).

    Returns
    -------
    0, 1, 2 or -1 for missing, int8 (individuals,).
    """
    words = planes[variant // 16, :, :, variant % 16].view(np.uint32)
    bits = (words[slot // 32] >> (slot % 32).astype(np.uint32)[:, None]) & 1
    if planes.shape[2] == 2:
        return (2 - 2 * bits[:, 0].astype(np.int8) - bits[:, 1]).astype(np.int8)
    return np.where(bits.any(axis=1), bits.argmax(axis=1), -1).astype(np.int8)


def count_model(
    genotypes: np.ndarray, group: np.ndarray, n_groups: int, *, level: bool
) -> np.ndarray:
    """Count the individuals of each group in each cell of one model.

    Parameters
    ----------
    genotypes
        int8 (order, individuals), -1 missing.
    group
        Group of each individual, (individuals,).
    level
        Missing is a fourth genotype; otherwise whoever lacks one is left out.

    Returns
    -------
    int64 (groups, levels ** order).
    """
    levels = 4 if level else 3
    digits = np.where(genotypes < 0, 3, genotypes) if level else genotypes
    cell = np.zeros(genotypes.shape[1], np.int64)
    for digit in digits:
        cell = cell * levels + digit
    counted = np.ones(len(cell), bool) if level else (genotypes >= 0).all(axis=0)
    n_cells = levels ** len(genotypes)
    both = group[counted] * n_cells + cell[counted]
    return np.bincount(both, minlength=n_groups * n_cells).reshape(n_groups, n_cells)


def get_group(arrangement: Arrangement) -> np.ndarray:
    """Return the group of each individual, int64 (individuals,)."""
    word = arrangement.slot // 32
    return np.searchsorted(arrangement.group_start, word, side="right") - 1


def describe_models(
    planes: np.ndarray,
    arrangement: Arrangement,
    models: np.ndarray,
    *,
    level: bool,
    tie_low: bool,
) -> dict[str, np.ndarray]:
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
    group, folds = get_group(arrangement), arrangement.folds
    n_cells = (4 if level else 3) ** models.shape[1]
    counts = np.zeros((len(models), 2, folds, n_cells), np.int64)
    for m, model in enumerate(models):
        genotypes = np.stack(
            [get_genotypes(planes, arrangement.slot, v) for v in model]
        )
        of_model = count_model(genotypes, group, 2 * folds, level=level)
        counts[m] = of_model.reshape(2, folds, n_cells)
    cases, controls = counts.sum(axis=2).transpose(1, 0, 2)
    high_risk = get_risk_array(cases, controls, tie_low=tie_low)
    columns = {"cases": cases, "controls": controls, "high_risk": high_risk}
    columns |= get_statistics(cases, controls, high_risk)
    return columns | _score_folds(counts, folds if folds > 1 else 0, tie_low)


def _score_folds(
    counts: np.ndarray, folds: int, tie_low: bool
) -> dict[str, np.ndarray]:
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
    cases: np.ndarray, controls: np.ndarray, high_risk: np.ndarray
) -> np.ndarray:
    """Return 1/2 + sum over high-risk cells of (n0 a - n1 u) / (2 n1 n0).

    The same operations as the kernels do, so the same bits; NaN without a class.
    """
    n1, n0 = cases.sum(axis=-1), controls.sum(axis=-1)
    excess = np.where(high_risk, cases * n0[:, None] - controls * n1[:, None], 0)
    product = (n1 * n0).astype(np.float64)
    inverse = np.divide(1.0, product, out=np.full(len(n1), np.nan), where=product > 0)
    return 0.5 + 0.5 * (excess.sum(axis=-1) * inverse)


def get_statistics(
    cases: np.ndarray, controls: np.ndarray, high_risk: np.ndarray
) -> dict[str, np.ndarray]:
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
