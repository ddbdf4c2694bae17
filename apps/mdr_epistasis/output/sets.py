"""What is reported of each two sets: their best pair of variants."""

from typing import Any, NamedTuple

import numpy as np

from hpc_connector.learner.genetics import get_model_r2
from hpc_connector.learner.mdr import search as learner
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.sets import Sets
from mdr_epistasis.cohort.traits import Trait
from mdr_epistasis.output.scored import DIGITS, score_models
from mdr_epistasis.schema import SET_PAIRS

Columns = dict[str, np.ndarray]
PAIRS_AT_A_TIME = 10_000


class SetResult(NamedTuple):
    """Sets, and the best pair of variants of each two, best first.

    Parameters
    ----------
    sets, pairs
        Columns of the groups sets and set_pairs of ``results.h5``:
        :data:`mdr_epistasis.schema.SETS` and :data:`mdr_epistasis.schema.SET_PAIRS`.
    """

    sets: Columns
    pairs: Columns


def describe_sets(
    cohort: Cohort,
    question: learner.Question,
    sets: Sets,
    members: list[np.ndarray],
    found: Columns,
    maximum: np.ndarray,
    trait: Trait | None = None,
) -> SetResult:
    """Return the result of sets, of what their search found.

    Parameters
    ----------
    members
        Variants of each set.
    found
        From ``set_search.search_sets``.
    maximum
        Best statistic under each permutation, over all pairs of all sets.
    trait
        By whose residuals the pairs that integers have found are scored and ordered.
    """
    pairs = dict(found)
    if question.permutations:
        pairs["p_value"] = learner.get_p_values(pairs[question.rank_by], maximum)
    if trait is not None:
        pairs |= score_pairs(cohort, question, found["variant"], trait)
    statistics = [question.rank_by, *learner.STATISTICS]
    keys = [-np.round(pairs[name], DIGITS) for name in statistics[::-1]]
    order = np.lexsort((*pairs["set"].T[::-1], *keys))
    pairs = {name: column[order] for name, column in pairs.items()}
    if cohort.arrangement.folds == 1:
        pairs["test_balanced_accuracy"] = np.full(len(order), np.nan)
        pairs["train_balanced_accuracy"] = pairs["balanced_accuracy"]
    parts = [
        get_model_r2(cohort.planes, cohort.arrangement, cohort.place[part])
        for part in np.split(
            pairs["variant"], range(PAIRS_AT_A_TIME, len(order), PAIRS_AT_A_TIME)
        )
    ]
    pairs["r2"] = np.concatenate(parts)
    pairs["rank"] = np.arange(1, len(order) + 1)
    of_sets = {
        "name": np.array(sets.names, np.dtypes.StringDType()),
        "n_variants": np.array([len(of_set) for of_set in members], np.int64),
    }
    known = [column.name for column in SET_PAIRS if column.name in pairs]
    return SetResult(of_sets, {name: pairs[name] for name in known})


def score_pairs(
    cohort: Cohort, question: learner.Question, pairs: np.ndarray, trait: Trait
) -> Columns:
    """Return the statistics of pairs by the residuals of a trait, as of models."""
    parts = [
        score_models(cohort, question, part, trait.scores)
        for part in np.split(pairs, range(PAIRS_AT_A_TIME, len(pairs), PAIRS_AT_A_TIME))
    ]
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in learner.STATISTICS
    }


def make_set_table(result: SetResult, variants: Columns) -> dict[str, Any]:
    """Return the columns of sets.tsv."""
    pairs = result.pairs
    table: dict[str, Any] = {"rank": pairs["rank"]}
    for k in (0, 1):
        table[f"set_{k + 1}"] = result.sets["name"][pairs["set"][:, k]]
    for k in (0, 1):
        table[f"variant_{k + 1}"] = variants["id"][pairs["variant"][:, k]]
    names = [*learner.STATISTICS, *(["p_value"] if "p_value" in pairs else []), "r2"]
    return table | {name: pairs[name] for name in names}
