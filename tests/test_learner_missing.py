"""Pairs and triples of variants with and without missing genotypes, in any order."""

import itertools

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._search_kernels import search_missing_pairs
from hpc_connector.learner.mdr.bitplanes import (
    find_complete,
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.learner.mdr.pairs._sparse_kernels import count_missing, may_matter
from hpc_connector.learner.mdr.pairs.parts import split_tile
from hpc_connector.partitioner import make_tiles
from mdr_epistasis.cohort.loading import order_variants


def make_cohort(n_variants, n_individuals, folds, rate, share, seed):
    """Return genotypes, of which a share of the variants lacks some, labels, folds.

    Some classes and folds lack far more than others.
    """
    rng = np.random.default_rng(seed)
    maf = rng.uniform(0.05, 0.5, (n_variants, 1))
    genotypes = rng.binomial(2, maf, (n_variants, n_individuals)).astype(np.int8)
    lacks = rng.random((n_variants, 1)) < share
    is_case = np.zeros(n_individuals, np.int8)
    is_case[rng.permutation(n_individuals)[: n_individuals * 2 // 5]] = 1
    fold = make_folds(is_case, folds, rng)
    rate = rate * rng.uniform(0, 1.6, (2, folds))[is_case, fold] ** 3
    genotypes[(rng.random(genotypes.shape) < rate) & lacks] = -1
    return genotypes, is_case, fold


def pack(genotypes, is_case, fold, place):
    """Return genotypes as the kernels take them, in three planes, and where from."""
    arrangement = make_arrangement(is_case, fold)
    codes, _ = pack_genotypes(
        genotypes, get_source(arrangement, np.arange(len(is_case)))
    )
    planes = make_planes(len(genotypes), arrangement.n_words, missing=True)
    place_codes(codes, place, planes)
    n_variants = len(genotypes)
    number = np.argsort(place)
    return learner.make_genotypes(planes, n_variants, arrangement, number), arrangement


def get_places(genotypes, is_later=()):
    """Return the places of the variants: those that nobody lacks come first."""
    return order_variants(*is_later, (genotypes < 0).any(axis=1))


def find(packed, question, edge):
    """Return the best models, found tile after tile with what was found before."""
    n_blocks = len(packed.planes)
    best = learner.make_best(question, packed.folds)
    for tile in make_tiles(n_blocks, edge, question.order):
        learner.search(packed, question, tile, best)
    return learner.merge_best([best], question.top)


def score_all(packed, question):
    """Return the best models of pairs, each of which is scored in full."""
    best = learner.make_best(question, packed.folds)
    n_blocks = len(packed.planes)
    rules, nowhere = learner.make_rules(question), np.empty((0, 0), np.float32)
    search_missing_pairs(packed, rules, best, (0, n_blocks) * 2, nowhere)
    return learner.merge_best([best], question.top)


def assert_same(found, expected):
    """Compare lists of models and winners of folds, bit by bit."""
    for name, array in expected._asdict().items():
        npt.assert_array_equal(getattr(found, name), array, err_msg=name)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_variants=st.integers(2, 70),
    n_individuals=st.integers(12, 200),
    folds=st.integers(1, 6),
    rate=st.sampled_from([0.0, 0.01, 0.05, 0.2]),
    share=st.sampled_from([0.2, 0.7, 1.0]),
    rank_by=st.sampled_from(learner.STATISTICS),
    level=st.booleans(),
    tie_low=st.booleans(),
    top=st.sampled_from([1, 7, 100]),
    restriction=st.sampled_from(["none", "lists", "distance"]),
    edge=st.integers(1, 5),
)
def test_search__of_pairs_with_missing_finds_what_scoring_all_does(
    seed,
    n_variants,
    n_individuals,
    folds,
    rate,
    share,
    rank_by,
    level,
    tie_low,
    top,
    restriction,
    edge,
):
    cohort = make_cohort(n_variants, n_individuals, folds, rate, share, seed)
    rng = np.random.default_rng(seed)
    restrictions = {
        "none": {},
        "lists": {"role": rng.integers(1, 4, n_variants).astype(np.int8)},
        "distance": {
            "min_distance": 300,
            "chromosome": np.sort(rng.integers(0, 3, n_variants)).astype(np.int32),
            "position": rng.permutation(n_variants) * 100 + 1,
        },
    }
    question = learner.Question(
        level=level,
        tie_low=tie_low,
        rank_by=rank_by,
        top=top,
        **restrictions[restriction],
    )
    expected = score_all(pack(*cohort, np.arange(n_variants))[0], question)
    found = find(pack(*cohort, get_places(cohort[0]))[0], question, edge)
    assert_same(found, expected)


@pytest.mark.parametrize(("rate", "top"), [(0.001, 5), (0.02, 40), (0.1, 5)])
@pytest.mark.parametrize("folds", [2, 10])
def test_search__of_many_individuals_finds_what_scoring_all_does(rate, top, folds):
    cohort = make_cohort(200, 1500, folds, rate, 0.8, seed=folds)
    question = learner.Question(top=top)
    expected = score_all(pack(*cohort, np.arange(200))[0], question)
    assert_same(find(pack(*cohort, get_places(cohort[0]))[0], question, 4), expected)


def test_search__where_a_fold_lacks_a_class():
    genotypes, is_case, fold = make_cohort(50, 90, 3, 0.1, 1.0, seed=1)
    fold[is_case == 1] %= 2
    question = learner.Question(top=9)
    expected = score_all(pack(genotypes, is_case, fold, np.arange(50))[0], question)
    packed = pack(genotypes, is_case, fold, get_places(genotypes))[0]
    assert_same(find(packed, question, 2), expected)


@pytest.mark.parametrize("level", [False, True])
def test_search__of_triples_is_the_same_in_any_order(level):
    cohort = make_cohort(36, 90, 3, 0.1, 0.5, seed=2)
    role = np.array([1, 2, 3] * 12, np.int8)
    question = learner.Question(order=3, level=level, top=30, role=role)
    expected = find(pack(*cohort, np.arange(36))[0], question, 3)
    assert_same(find(pack(*cohort, get_places(cohort[0]))[0], question, 1), expected)


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("rank_by", learner.STATISTICS)
@pytest.mark.parametrize(("rate", "share"), [(0.01, 0.6), (0.15, 1.0)])
def test_get_permutation_maximum__of_labels_is_that_of_scoring_all(
    folds, rank_by, rate, share
):
    genotypes, is_case, fold = make_cohort(100, 160, folds, rate, share, seed=6)
    near = {
        "min_distance": 3,
        "chromosome": np.zeros(100, np.int32),
        "position": np.arange(100) + 1,
    }
    question = learner.Question(top=1, seed=7, rank_by=rank_by, **near)
    packed, arrangement = pack(genotypes, is_case, fold, get_places(genotypes))
    maximum = np.full(3, -np.inf)
    for tile in make_tiles(len(packed.planes), 3, 2):
        maximum = learner.get_permutation_maximum(
            packed, question, arrangement, is_case, tile, range(3), maximum
        )
    for p in range(3):
        shuffled = learner.shuffle_labels(is_case, arrangement.group_size, [7, p + 1])
        best = score_all(pack(genotypes, *shuffled, np.arange(100))[0], question)
        assert maximum[p] == best.key[0, 0]


@pytest.mark.parametrize("order", [2, 3])
def test_get_permutation_maximum__of_interaction_is_the_same_in_any_order(order):
    genotypes, is_case, fold = make_cohort(40, 90, 3, 0.1, 0.5, seed=3)
    question = learner.Question(order=order, top=1, interaction=True)
    found = []
    for place in (np.arange(40), get_places(genotypes)):
        packed, arrangement = pack(genotypes, is_case, fold, place)
        tile = (0, len(packed.planes)) * order
        found.append(
            learner.get_permutation_maximum(
                packed, question, arrangement, is_case, tile, range(2)
            )
        )
    npt.assert_array_equal(*found)


def count_cells(packed, row, folds):
    """Return the cells of a variant with the first sixteen, int32 [group][cell][lane].

    The sums over folds of cases and of controls come last.
    """
    block, lane = divmod(row, 16)
    of_row = packed.planes[block, :, :, lane, None]
    counts = []
    for g, h in itertools.product(range(3), repeat=2):
        common = of_row[:, g] & packed.planes[0, :, h]
        bits = np.bitwise_count(common.view(np.uint32)).astype(np.int32)
        groups = np.add.reduceat(bits, packed.group_start[:-1], axis=0)
        of_class = groups[:folds].sum(axis=0), groups[folds:].sum(axis=0)
        counts.append([*groups, *of_class])
    return np.swapaxes(counts, 0, 1).astype(np.int32).reshape(-1)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_individuals=st.one_of(st.integers(60, 300), st.just(2000)),
    folds=st.integers(2, 5),
    rate=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_may_matter__whatever_enters_the_list_or_wins_a_fold(
    seed, n_individuals, folds, rate
):
    genotypes, is_case, fold = make_cohort(2, n_individuals, folds, rate, 1.0, seed)
    genotypes = genotypes[[0] * 16 + [1]]  # so that no other lane matters
    packed, _ = pack(genotypes, is_case, fold, np.arange(17))
    role = np.array([2] * 16 + [1], np.int8)
    (missing, share), scratch = count_missing(packed, 0, 2), np.empty(144, np.float32)
    if share.sum() >= 0.999:
        return
    is_large = n_individuals == 2000 and rate == 0.01
    counts = count_cells(packed, 16, folds)

    def matters(statistic, least, fold_least):
        row = (2 * folds + 2) * 16
        known = (missing, row, missing, 0, least, fold_least, scratch)
        return may_matter(packed, statistic, counts, 0, 144, *known)

    never = np.full(folds, 2.0, np.float32)
    for statistic, name in enumerate(learner.STATISTICS):
        best = score_all(packed, learner.Question(rank_by=name, role=role, top=1))
        score = best.key[0, 0]
        assert matters(statistic, score, never)
        if is_large:
            assert not matters(statistic, score + 0.2, never)
    for of_fold, score in enumerate(best.fold_score.tolist()):
        fold_least = never.copy()
        fold_least[of_fold] = score
        assert matters(0, 2.0, fold_least)
        if is_large:
            fold_least[of_fold] = score + 0.1
            assert not matters(0, 2.0, fold_least)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 5))
def test_split_tile__covers_every_pair_once(is_complete, edge):
    flags = np.array(is_complete)
    n_blocks = len(flags)
    covered = np.zeros((n_blocks, n_blocks), int)
    for tile in make_tiles(n_blocks, edge, 2):
        for (a, b, c, d), is_whole in split_tile(flags, tuple(map(int, tile))):
            covered[a:b, c:d] += 1
            assert (flags[a:b].all() and flags[c:d].all()) == is_whole
    npt.assert_array_equal(covered[np.triu_indices(n_blocks)], 1)


def test_find_complete__looks_at_each_block():
    genotypes, is_case, fold = make_cohort(40, 70, 3, 0.0, 0.0, seed=1)
    genotypes[20, 69] = -1
    packed, _ = pack(genotypes, is_case, fold, np.arange(40))
    assert packed.is_complete.tolist() == [True, False, True]
    two = packed.planes[:, :, :2]
    assert find_complete(two, 40, 70).all()
