"""Folds keep their sizes under permutation, be they dealt or given."""

import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.learner.gmdr import search as scored
from hpc_connector.learner.gmdr.scores import make_scores
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import make_arrangement
from hpc_connector.learner.mdr.folds import deal_again, make_folds, shuffle_labels
from test_learner_search import find, make_cohort, pack


def make_unequal(n_individuals, seed):
    """Return genotypes, labels, and folds of 5, 10 and 85 %."""
    genotypes, is_case, _ = make_cohort(40, n_individuals, 3, 0.0, seed)
    rng = np.random.default_rng(seed)
    fold = rng.choice(3, n_individuals, p=[0.05, 0.1, 0.85])
    for label in (0, 1):
        fold[np.flatnonzero(is_case == label)[:3]] = np.arange(3)
    return genotypes, is_case, fold


@pytest.mark.parametrize("missing_rate", [0.0, 0.05])
@pytest.mark.parametrize("order", [2, 3])
def test_get_permutation_maximum__of_unequal_folds(order, missing_rate):
    genotypes, is_case, fold = make_unequal(153, seed=5)
    genotypes[np.random.default_rng(1).random(genotypes.shape) < missing_rate] = -1
    genotypes = genotypes[: 40 if order == 2 else 18]
    question = learner.Question(order=order, top=1, seed=7)
    planes, arrangement = pack(genotypes, is_case, fold)
    packed = learner.make_genotypes(planes, len(genotypes), arrangement)
    found = learner.get_permutation_maximum(
        packed, question, arrangement, is_case, (0, len(planes)) * order, range(5)
    )
    for p in range(5):
        shuffled = shuffle_labels(is_case, arrangement.group_size, [7, p + 1])
        best = find(genotypes, *shuffled, question)
        assert found[p] == best.key[0, 0]


def test_shuffle__keeps_the_sizes_of_groups():
    _, is_case, fold = make_unequal(153, seed=2)
    size = make_arrangement(is_case, fold).group_size
    shuffled = shuffle_labels(is_case, size, [1, 1])
    npt.assert_array_equal(make_arrangement(*shuffled).group_size, size)
    scores = make_scores(np.where(is_case == 1, 0.6, -0.4))
    found, dealt = scored.shuffle_scores(scores, size, [1, 1])
    npt.assert_array_equal(found.is_positive, shuffled[0])
    npt.assert_array_equal(dealt, shuffled[1])


@pytest.mark.parametrize("n_folds", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("n", [40, 57, 64])
def test_deal_again__is_as_folds_are_dealt(n, n_folds):
    rng = np.random.default_rng(n)
    is_case = (rng.permutation(n) < n // 3).astype(np.int8)
    first = make_folds(is_case, n_folds, rng)
    size = make_arrangement(is_case, first).group_size
    expected = make_folds(is_case, n_folds, np.random.default_rng(3))
    npt.assert_array_equal(
        deal_again(is_case, size, np.random.default_rng(3)), expected
    )
