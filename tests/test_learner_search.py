"""The kernels against the oracle."""

import itertools

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from hpc_connector.learner.mdr import models as models_module
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._shuffle_kernels import shuffle_genotypes
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.partitioner import make_tiles


def make_cohort(n_variants, n_individuals, folds, missing_rate, seed):
    """Return genotypes, labels and folds by chance."""
    rng = np.random.default_rng(seed)
    maf = rng.uniform(0.05, 0.5, (n_variants, 1))
    genotypes = rng.binomial(2, maf, (n_variants, n_individuals)).astype(np.int8)
    genotypes[rng.random(genotypes.shape) < missing_rate] = -1
    is_case = np.zeros(n_individuals, np.int8)
    is_case[rng.permutation(n_individuals)[: n_individuals * 2 // 5]] = 1
    return genotypes, is_case, make_folds(is_case, folds, rng)


def pack(genotypes, is_case, fold):
    """Return planes and arrangement of a cohort."""
    arrangement = make_arrangement(is_case, fold)
    source = get_source(arrangement, np.arange(len(is_case)))
    codes, counts = pack_genotypes(genotypes, source)
    missing = bool(counts[:, 3].any())
    planes = make_planes(len(genotypes), arrangement.n_words, missing=missing)
    place_codes(codes, np.arange(len(genotypes)), planes)
    return planes, arrangement


def unpack(planes, slot):
    """Return the genotypes of all variants of the planes, those of padding too."""
    words = planes.transpose(0, 3, 1, 2).reshape(-1, *planes.shape[1:3])
    bits = (words[:, slot // 32] >> (slot % 32)[:, None]) & 1
    rest = 2 if planes.shape[2] == 2 else -1
    return np.where(bits.any(axis=2), bits.argmax(axis=2), rest).astype(np.int8)


def find(genotypes, is_case, fold, question, edge=None):
    """Return the best models of a cohort, searched in tiles."""
    planes, arrangement = pack(genotypes, is_case, fold)
    packed = learner.make_genotypes(planes, len(genotypes), arrangement)
    tiles = make_tiles(len(planes), edge or len(planes), question.order)
    found = []
    for tile in tiles:
        best = learner.make_best(question, arrangement.folds)
        learner.search(packed, question, tile, best)
        found.append(best)
    return learner.merge_best(found, question.top)


def check_against_oracle(genotypes, is_case, fold, question):
    """Compare every model and the winner of every fold with the oracle."""
    best = find(genotypes, is_case, fold, question)
    rules = {"level": question.level, "tie_low": question.tie_low}
    expected = naive.search(
        genotypes, is_case.astype(bool), fold, question.order, **rules
    )
    models = [tuple(m) for m in best.model[: best.size[0]].tolist()]
    defined = {m: s for m, s in expected.items() if s[0] is not None}
    assert set(models) == set(defined)
    for row, model in enumerate(models):
        scores = [-1.0 if s is None else float(s) for s in defined[model][:3]]
        npt.assert_allclose(best.key[row], scores, rtol=0, atol=1e-14)
    if fold.max() > 0:
        check_winners(best, expected, int(fold.max()) + 1)


def check_winners(best, expected, n_folds):
    """Compare the model of the best training accuracy of each fold."""
    for fold in range(n_folds):
        scores = {m: s[3][fold] for m, s in expected.items() if s[3][fold] is not None}
        top = max(scores.values(), default=None)
        none = (-1,) * best.fold_model.shape[1]
        winner = min((m for m, s in scores.items() if s == top), default=none)
        assert tuple(best.fold_model[fold].tolist()) == winner


CASES = list(itertools.product((2, 3), (1, 4), (0.0, 0.1), (False, True)))


@pytest.mark.parametrize(("order", "folds", "missing_rate", "level"), CASES)
def test_search__agrees_with_naive(order, folds, missing_rate, level):
    n_variants = 35 if order == 2 else 18
    cohort = make_cohort(n_variants, 90, folds, missing_rate, seed=order + folds)
    question = learner.Question(order=order, level=level, top=10_000)
    check_against_oracle(*cohort, question)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_variants=st.integers(2, 20),
    n_individuals=st.integers(8, 70),
    folds=st.integers(1, 3),
    missing_rate=st.sampled_from([0.0, 0.05, 0.5]),
    tie_low=st.booleans(),
)
def test_search__agrees_with_naive_by_chance(
    seed, n_variants, n_individuals, folds, missing_rate, tie_low
):
    cohort = make_cohort(n_variants, n_individuals, folds, missing_rate, seed)
    check_against_oracle(*cohort, learner.Question(tie_low=tie_low, top=10_000))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("edge", [1, 2])
def test_search__same_for_any_tiles(order, edge):
    cohort = make_cohort(70, 120, 3, 0.02, seed=5)
    question = learner.Question(order=order, top=50)
    whole, cut = find(*cohort, question), find(*cohort, question, edge)
    for name, array in whole._asdict().items():
        npt.assert_array_equal(array, getattr(cut, name), err_msg=name)


def test_search__double_precision_gives_the_same_models():
    genotypes, is_case, fold = make_cohort(40, 200, 5, 0.0, seed=9)
    question = learner.Question(top=100)
    planes, arrangement = pack(genotypes, is_case, fold)
    found = []
    for dtype in (np.float32, np.float64):
        packed = learner.make_genotypes(planes, 40, arrangement)
        packed = packed._replace(
            float_size=packed.float_size.astype(dtype),
            weight=packed.weight.astype(dtype),
        )
        best = learner.make_best(question, 5)
        learner.search(packed, question, (0, 3, 0, 3), best)
        found.append(learner.merge_best([best], 100))
    npt.assert_array_equal(found[0].key, found[1].key)
    npt.assert_array_equal(found[0].model, found[1].model)


def test_search__leaves_out_near_variants():
    cohort = make_cohort(20, 60, 2, 0.0, seed=3)
    question = learner.Question(
        top=1000,
        min_distance=100,
        chromosome=np.repeat([0, 1], 10).astype(np.int32),
        position=np.arange(20) * 40,
    )
    best = find(*cohort, question)
    models = best.model[: best.size[0]]
    near = (models // 10 == models[:, :1] // 10).all(1) & (np.diff(models)[:, 0] < 3)
    assert not near.any()
    assert len(models) == 20 * 19 // 2 - 2 * (9 + 8)


def test_search__pairs_across_two_lists():
    cohort = make_cohort(20, 60, 2, 0.0, seed=3)
    role = np.array([3, 1, 1] + [2] * 17, np.int8)
    best = find(*cohort, learner.Question(top=1000, role=role))
    models = {tuple(m) for m in best.model[: best.size[0]].tolist()}
    assert models == {(a, b) for a in range(3) for b in range(max(3, a + 1), 20)} | {
        (0, 1),
        (0, 2),
    }


@pytest.mark.parametrize("folds", [1, 3, 7])
@pytest.mark.parametrize("rank_by", learner.STATISTICS)
@pytest.mark.parametrize("missing_rate", [0.0, 0.05])
def test_get_permutation_maximum__is_the_search_of_shuffled_labels(
    folds, rank_by, missing_rate
):
    genotypes, is_case, fold = make_cohort(120, 103, folds, missing_rate, seed=8)
    near = {
        "min_distance": 3,
        "chromosome": np.zeros(120, np.int32),
        "position": np.arange(120),
    }
    question = learner.Question(top=1, seed=7, rank_by=rank_by, **near)
    planes, arrangement = pack(genotypes, is_case, fold)
    packed = learner.make_genotypes(planes, 120, arrangement)
    maximum = np.full(4, -np.inf)
    for tile in make_tiles(len(planes), 3, 2):
        maximum = learner.get_permutation_maximum(
            packed, question, arrangement, is_case, tile, range(4), maximum
        )
    for p in range(4):
        shuffled = learner.shuffle_labels(is_case, arrangement.group_size, [7, p + 1])
        best = find(genotypes, *shuffled, question)
        assert maximum[p] == best.key[0, 0]


@pytest.mark.parametrize("missing_rate", [0.0, 0.2])
def test_shuffle_genotypes__keeps_what_a_variant_does_alone(missing_rate):
    genotypes, is_case, fold = make_cohort(40, 77, 3, missing_rate, seed=4)
    planes, arrangement = pack(genotypes, is_case, fold)
    shuffled = np.zeros_like(planes)
    of_class = [arrangement.slot[is_case == label] for label in (0, 1)]
    for slots in of_class:
        seed = np.uint64(9)
        shuffle_genotypes(planes, slots, np.arange(48), seed, shuffled)
    found = unpack(shuffled, arrangement.slot)[: len(genotypes)]
    assert (found != genotypes).any(axis=1).all()
    for label in (0, 1):
        npt.assert_array_equal(
            np.sort(found[:, is_case == label]),
            np.sort(genotypes[:, is_case == label]),
        )


def test_shuffle_genotypes__gives_every_order_as_often():
    slots = np.arange(4)
    planes = np.zeros((600, 1, 3, 16), np.int32)
    planes[:] = np.array([1, 2, 4], np.int32)[:, None]  # who is fourth is missing
    shuffled = np.zeros_like(planes)
    seed = np.uint64(2026)
    shuffle_genotypes(planes, slots, np.arange(9600), seed, shuffled)
    orders, counts = np.unique(
        shuffled[:, 0].transpose(0, 2, 1).reshape(-1, 3), axis=0, return_counts=True
    )
    assert len(orders) == 24
    chi2 = ((counts - 400) ** 2 / 400).sum()
    assert chi2 < 49.7  # exceeded once in a thousand by chance, 23 degrees of freedom


@pytest.mark.parametrize("edge", [1, 3])
def test_get_permutation_maximum__of_interaction_is_the_same_for_any_tile(edge):
    genotypes, is_case, fold = make_cohort(70, 103, 3, 0.05, seed=8)
    question = learner.Question(top=1, seed=7, interaction=True)
    planes, arrangement = pack(genotypes, is_case, fold)
    packed = learner.make_genotypes(planes, 70, arrangement)
    maximum = np.full(3, -np.inf)
    for tile in make_tiles(len(planes), edge, 2):
        maximum = learner.get_permutation_maximum(
            packed, question, arrangement, is_case, tile, range(3), maximum
        )
    whole = learner.get_permutation_maximum(
        packed, question, arrangement, is_case, (0, 5, 0, 5), range(3)
    )
    npt.assert_array_equal(maximum, whole)


def test_get_permutation_maximum__of_interaction_keeps_main_effects():
    rng = np.random.default_rng(5)
    is_case = np.arange(600) % 2
    genotypes = rng.binomial(2, 0.4, (20, 600)).astype(np.int8)
    for v in (3, 11):  # each raises the risk, and neither changes what the other does
        genotypes[v] = rng.binomial(2, np.where(is_case, 0.6, 0.35))
    fold = make_folds(is_case, 3, rng)
    planes, arrangement = pack(genotypes, is_case, fold)
    packed = learner.make_genotypes(planes, 20, arrangement)
    p_values = {}
    for interaction in (False, True):
        question = learner.Question(top=1, interaction=interaction)
        best = find(genotypes, is_case, fold, question)
        assert best.model[0].tolist() == [3, 11]
        maximum = learner.get_permutation_maximum(
            packed, question, arrangement, is_case, (0, 2, 0, 2), range(99)
        )
        p_values[interaction] = learner.get_p_values(best.key[:1, 0], maximum)[0]
    assert p_values[False] == 0.01
    assert p_values[True] > 0.1


@given(st.integers(0, 2**32 - 1), st.integers(20, 80), st.integers(2, 6))
def test_get_slack__bounds_the_test_accuracy(seed, n_individuals, folds):
    cohort = make_cohort(12, n_individuals, folds, 0.0, seed)
    question = learner.Question(top=1000)
    slack = learner.get_slack(question, make_arrangement(*cohort[1:]), n_planes=2)
    best = find(*cohort, question)
    key = best.key[: best.size[0]]
    assert (key[:, 0] <= key[:, 2] + slack + 1e-12).all()


def test_get_p_values__counts_the_observed():
    npt.assert_allclose(
        learner.get_p_values(np.array([0.9, 0.6, 0.4]), np.array([0.5, 0.6, 0.7])),
        [1 / 4, 3 / 4, 1],
    )


@pytest.mark.parametrize("missing_rate", [0.0, 0.2])
def test_pack_genotypes__can_be_undone(missing_rate):
    genotypes, is_case, fold = make_cohort(19, 77, 3, missing_rate, seed=2)
    planes, arrangement = pack(genotypes, is_case, fold)
    npt.assert_array_equal(unpack(planes, arrangement.slot)[:19], genotypes)


@pytest.mark.parametrize("missing_rate", [0.0, 0.2])
@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("order", [2, 3])
def test_count_models__agrees_with_counting_one_by_one(
    missing_rate, level, order, monkeypatch
):
    monkeypatch.setattr(models_module, "COUNTED_WORDS", 30)
    genotypes, is_case, fold = make_cohort(19, 77, 3, missing_rate, seed=2)
    fold[fold == 0] = 1  # a group without individuals
    planes, arrangement = pack(genotypes, is_case, fold)
    models = np.array(list(itertools.combinations(range(19), order)))[::7]
    counts = models_module.count_models(planes, arrangement, models, level=level)
    levels = 4 if level and missing_rate else 3
    expected = np.zeros_like(counts)
    for m, model in enumerate(models):
        for i in range(77):
            digits = genotypes[model, i] % 4  # missing is 3
            if level or digits.max() < 3:
                cell = sum(d * levels**k for k, d in enumerate(digits[::-1]))
                expected[m, fold[i] if is_case[i] else 3 + fold[i], cell] += 1
    npt.assert_array_equal(counts, expected)
