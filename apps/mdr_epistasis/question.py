"""What is asked of a cohort, by the options of a search."""

import math

import numpy as np

from hpc_connector.learner.mdr import search as learner
from mdr_epistasis.cohort.identity import get_places
from mdr_epistasis.cohort.lists import Lists
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.sets import get_homes
from mdr_epistasis.options import Options

RANK_BY = dict(zip(("test", "train", "whole"), learner.STATISTICS, strict=True))


def make_question(
    args: Options,
    cohort: Cohort,
    lists: Lists,
    members: list[np.ndarray] | None = None,
) -> learner.Question:
    """Return the question of a search.

    Without folds models are ranked by all data, whatever is asked: there is no test.

    Parameters
    ----------
    members
        Variants of each set, of a search across sets.
    """
    places: dict[str, np.ndarray] = {}
    if args.min_distance_bp > 0:
        places = get_places(cohort.variants)
    role = np.zeros(0, np.int8)
    first, second = lists
    if first is not None and second is not None:
        ids = cohort.variants["id"]
        roles = [(name in first) + 2 * (name in second) for name in ids]
        role = np.array(roles, np.int8)
    home = np.zeros(0, np.int32)
    if members is not None:
        home = get_homes(members, cohort.n_variants)
    return learner.Question(
        order=args.order,
        level=args.missing == "level",
        tie_low=args.tie == "low",
        rank_by=RANK_BY[args.rank_by if cohort.arrangement.folds > 1 else "whole"],
        top=min(args.top, math.comb(cohort.n_variants, args.order)),
        min_distance=args.min_distance_bp,
        seed=args.seed,
        permutations=args.permutations,
        interaction=args.permutation_test == "interaction",
        role=role,
        home=home,
        **places,
    )


def get_n_first(cohort: Cohort, first_list: frozenset[str] | None) -> int | None:
    """Return how many variants stand in the first list, None without two lists."""
    if first_list is None:
        return None
    return sum(name in first_list for name in cohort.variants["id"])
