"""The columns of models that are scored: chosen among candidates by exact scores.

A search takes scores as integers, so that it finds the same on any number of ranks. Its
candidates are scored again by the residuals themselves, and ordered by those.
"""

from dataclasses import replace

import numpy as np

from hpc_connector.learner.gmdr.effects import get_effects
from hpc_connector.learner.gmdr.models import describe_models
from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.mdr import search as learner
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.traits import Trait, has_controls
from mdr_epistasis.output.genetics import describe_genetics
from mdr_epistasis.output.models import (
    Model,
    add_means,
    add_places,
    append_winners,
    list_models,
)

EFFECTS = {"effect": "beta", "effect_se": "standard_error", "effect_p": "wald_p"}
DIFFERENCES = {
    "score_difference": "largest_score_difference",
    "test_score_difference": "largest_test_score_difference",
}
DIGITS = 12  # models whose accuracies agree so far are tied: sums of floats differ more

Columns = dict[str, np.ndarray]


def describe_scored(
    cohort: Cohort,
    question: learner.Question,
    best: learner.Best,
    maximum: np.ndarray,
    trait: Trait,
) -> tuple[Columns, dict[str, float]]:
    """Return the columns of the models to report, best first.

    Parameters
    ----------
    question
        Whose ``top`` are reported, of the candidates in `best`.

    Returns
    -------
    Columns as of ``describe``, without odds ratios and chi2, and of the effect of the
    high-risk class; and by how much balanced accuracies by integers are off at most,
    for the manifest.
    """
    folds = cohort.arrangement.folds
    listed, winners = list_models(best, folds)
    models = append_winners(listed, winners)
    exact = score_models(cohort, question, models, trait.scores)
    differences = {
        manifest: float(exact.pop(name).max(initial=0.0))
        for name, manifest in DIFFERENCES.items()
    }
    rows = order_models(exact, models, question)
    top = rows[rows < len(listed)][: question.top].tolist()
    winners = choose_winners(exact, models) if winners else []
    place = {tuple(model): k for k, model in enumerate(models.tolist())}
    chosen = append_winners([tuple(models[k].tolist()) for k in top], winners)
    kept = [place[tuple(model)] for model in chosen.tolist()]
    columns = {name: column[kept] for name, column in exact.items()}
    add_places(columns, chosen, len(top), winners)
    add_effects(columns, cohort, question, trait)
    of_all = not has_controls(trait)
    columns |= describe_genetics(cohort, chosen, of_all=of_all)
    if question.permutations:
        known = best.key[: len(listed), 0]
        rest = score_integers(cohort, question, models[len(listed) :], trait.scores)
        statistic = np.append(known, rest[question.rank_by])[kept]
        columns["p_value"] = learner.get_p_values(
            np.round(statistic, DIGITS), np.round(maximum, DIGITS)
        )
    return columns, differences


def score_models(
    cohort: Cohort, question: learner.Question, models: np.ndarray, scores: Scores
) -> Columns:
    """Return the columns of models by the residuals of scores."""
    columns: Columns = describe_models(
        cohort.planes,
        cohort.arrangement,
        cohort.place[models],
        scores,
        level=question.level,
        tie_low=question.tie_low,
    )
    add_means(columns, cohort.arrangement.folds)
    return columns


def score_integers(
    cohort: Cohort, question: learner.Question, models: np.ndarray, scores: Scores
) -> Columns:
    """Return the columns of models as the search scores them, and permutations."""
    integers = replace(scores, residual=scores.quantised.astype(np.float64))
    return score_models(cohort, question, models, integers)


def order_models(
    columns: Columns, models: np.ndarray, question: learner.Question
) -> np.ndarray:
    """Return the rows of models, best first, ties by lower variants."""
    others = [name for name in learner.STATISTICS if name != question.rank_by]
    keys = [-np.round(columns[n], DIGITS) for n in (question.rank_by, *others)]
    return np.lexsort((*models.T[::-1], *keys[::-1]))


def choose_winners(columns: Columns, models: np.ndarray) -> list[Model]:
    """Return the model of each fold, by training accuracy, ties by lower variants."""
    train = np.round(columns["fold_train_balanced_accuracy"], DIGITS)
    first = [np.lexsort((*models.T[::-1], -column))[0] for column in train.T]
    return [tuple(models[k].tolist()) for k in first]


def add_effects(
    columns: Columns, cohort: Cohort, question: learner.Question, trait: Trait
) -> None:
    """Add the effect of the high-risk class of each model."""
    found = get_effects(
        cohort.planes,
        cohort.arrangement,
        cohort.place[columns["variant"]],
        columns["high_risk"],
        trait.values,
        trait.columns,
        trait.kind,
        level=question.level,
    )
    columns |= {name: found[learned] for name, learned in EFFECTS.items()}
