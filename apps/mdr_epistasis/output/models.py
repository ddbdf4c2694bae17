"""The columns of the models that a search reports."""

from collections.abc import Sequence

import numpy as np

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.models import describe_models
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.output.genetics import describe_genetics

Model = tuple[int, ...]


def describe(
    cohort: Cohort,
    question: learner.Question,
    best: learner.Best,
    maximum: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the columns of the models to report, best first.

    The best models of the folds are appended with rank 0 where they are not in the
    list, so that the model of the classic rule (highest cross-validation consistency,
    then test balanced accuracy) is always there.
    """
    folds = cohort.arrangement.folds
    listed, winners = list_models(best, folds)
    models = append_winners(listed, winners)
    columns = describe_models(
        cohort.planes,
        cohort.arrangement,
        cohort.place[models],
        level=question.level,
        tie_low=question.tie_low,
    )
    columns |= describe_genetics(cohort, models)
    add_means(columns, folds)
    add_places(columns, models, len(listed), winners)
    if question.permutations:
        statistic = columns[question.rank_by]
        columns["p_value"] = learner.get_p_values(statistic, maximum)
    return columns


def list_models(best: learner.Best, folds: int) -> tuple[list[Model], list[Model]]:
    """Return the models that a search lists, and that of each fold, if there are any.

    Each is a tuple of its variants.
    """
    listed = [tuple(model) for model in best.model[: int(best.size[0])].tolist()]
    winners = [tuple(m) for m in best.fold_model.tolist() if folds > 1 and m[0] >= 0]
    return listed, winners


def append_winners(listed: Sequence[Model], winners: Sequence[Model]) -> np.ndarray:
    """Return models and the winners of folds that are not among them.

    Returns
    -------
    Variants, int64 (models, order).
    """
    extra = sorted(set(winners) - set(listed))
    return np.array([*listed, *extra], np.int64)


def add_places(
    columns: dict[str, np.ndarray],
    models: np.ndarray,
    n_top: int,
    winners: Sequence[Model],
) -> None:
    """Add the places of models, and which is the best by the classic rule.

    Parameters
    ----------
    n_top
        Models of the list, which come first; the others have rank 0.
    winners
        Of each fold, empty without folds.
    """
    columns["variant"] = models
    columns["rank"] = np.append(
        np.arange(1, n_top + 1), np.zeros(len(models) - n_top, np.int64)
    )
    counts = [winners.count(tuple(model)) for model in models.tolist()]
    columns["cv_consistency"] = np.array(counts, np.int64)
    classic = np.lexsort(
        (
            -columns["test_balanced_accuracy"],
            -columns["cv_consistency"],
        )
    )
    columns["is_best"] = np.arange(len(models)) == (classic[0] if winners else 0)


def add_means(columns: dict[str, np.ndarray], folds: int) -> None:
    """Add the means over folds, summed in order as the kernels do."""
    for name in ("train", "test"):
        of_fold = columns[f"fold_{name}_balanced_accuracy"]
        if folds == 1:
            unknown = np.full(len(of_fold), np.nan)
            whole = columns["balanced_accuracy"]
            columns[f"{name}_balanced_accuracy"] = whole if name == "train" else unknown
            continue
        known = ~np.isnan(of_fold)
        total = np.zeros(len(of_fold))
        for fold in range(folds):
            total += np.where(known[:, fold], 2 * of_fold[:, fold] - 1, 0.0)
        with np.errstate(invalid="ignore"):
            mean = 0.5 + 0.5 * (total / known.sum(axis=1))
        columns[f"{name}_balanced_accuracy"] = mean
    columns["test_error"] = 1 - columns["test_balanced_accuracy"]
