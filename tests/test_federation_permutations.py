"""Labels that each site shuffles of its own: the maxima are those of one cohort."""

from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest

from federations import draw_parts, draw_trial, federate, make_study, search_pooled
from hpc_connector.federation.folds import shuffle_within
from hpc_connector.learner.mdr.bitplanes import make_arrangement


def shuffle_slowly(study, parts, permutation):
    """Return the parts under the labels of a permutation, a site after another."""
    shuffled = []
    for site, (genotypes, is_case, fold) in enumerate(parts):
        rng = np.random.default_rng([study.seed, permutation, site])
        labels = rng.permutation(is_case)
        folds = np.full(len(fold), -1)
        start = 0
        for label in (1, 0):  # by turns, as long as a fold has a place left
            left = np.bincount(fold[is_case == label], minlength=study.folds)
            members = list(rng.permutation(np.flatnonzero(labels == label)))
            turn = start
            start += len(members)
            while members:
                if left[turn % study.folds]:
                    folds[members.pop(0)] = turn % study.folds
                    left[turn % study.folds] -= 1
                turn += 1
        shuffled.append((genotypes, labels, folds))
    return shuffled


def find_slowly(study, parts):
    """Return the best statistic of the pooled cohort under each permutation."""
    one, maxima = replace(study, top=1, permutations=0), []
    for permutation in range(1, study.permutations + 1):
        shuffled = shuffle_slowly(study, parts, permutation)
        maxima.append(search_pooled(one, shuffled)[0].key[0, 0])
    return maxima


@pytest.mark.parametrize("seed", range(3))
def test_shuffle_within__keeps_the_sizes_of_groups(seed):
    study, parts = draw_trial(seed)
    for permutation in (1, 2, 3):
        slow = shuffle_slowly(study, parts, permutation)
        for site, (_, is_case, fold) in enumerate(parts):
            size = make_arrangement(is_case, fold, study.folds).group_size
            about = is_case, size, study.seed, permutation, site
            labels, folds = shuffle_within(*about)
            npt.assert_array_equal(labels, slow[site][1])
            npt.assert_array_equal(folds, slow[site][2])
            again = make_arrangement(labels, folds, study.folds).group_size
            npt.assert_array_equal(again, size)


@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_find_maxima__are_those_of_the_pooled_cohort(seed, hub):
    study, parts = draw_trial(seed)
    study = replace(study, permutations=3, seed=seed)
    outcomes = federate(study, parts, hub=hub)
    scorer = outcomes[-1 if hub else 0]
    npt.assert_array_equal(scorer.maxima, find_slowly(study, parts))
    for outcome in outcomes:
        assert outcome is scorer or outcome.maxima is None
        places = [(stage, block) for stage, block, _ in outcome.sent]
        assert len(set(places)) == len(places)  # no mask is of two blocks


def test_find_maxima__holds_most_pairs_back():
    rng = np.random.default_rng(3)
    about = {"missing": 0.0, "folds": 10, "mode": "dealt"}
    parts = draw_parts(rng, [300, 400, 300], 100, **about)
    about = {"cvc": "exact", "min_maf": 0.0, "permutations": 2}
    study = make_study(3, **about)
    outcome = federate(study, parts)[0]
    assert outcome.kept.by_folds  # of the models, for consistency
    n = sum(n.size for _, block, n in outcome.sent if block >= 1 << 44)
    assert n < 2 * (100 * 80 + 5_400 * 8 * 2)  # not 5,400 pairs of 80 numbers each
    npt.assert_array_equal(outcome.maxima, find_slowly(study, parts))
