"""The columns of the models that a search reports."""

import numpy as np

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.models import describe_models
from mdr_epistasis.cohort.loading import Cohort


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
    n_top = int(best.size[0])
    listed = [tuple(model) for model in best.model[:n_top].tolist()]
    folds = cohort.arrangement.folds
    winners = [tuple(m) for m in best.fold_model.tolist() if folds > 1 and m[0] >= 0]
    extra = sorted(set(winners) - set(listed))
    models = np.array(listed + extra, np.int64).reshape(-1, question.order)
    columns = describe_models(
        cohort.planes,
        cohort.arrangement,
        cohort.place[models],
        level=question.level,
        tie_low=question.tie_low,
    )
    columns["variant"] = models
    columns["rank"] = np.array([*range(1, n_top + 1), *(0 for _ in extra)], np.int64)
    columns["cv_consistency"] = np.array(
        [winners.count(model) for model in listed + extra], np.int64
    )
    add_means(columns, folds)
    classic = np.lexsort(
        (
            -columns["test_balanced_accuracy"],
            -columns["cv_consistency"],
        )
    )
    columns["is_best"] = np.arange(len(models)) == (classic[0] if folds > 1 else 0)
    if question.permutations:
        statistic = columns[question.rank_by]
        columns["p_value"] = learner.get_p_values(statistic, maximum)
    return columns


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
