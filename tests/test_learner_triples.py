"""Triples whose scores are only bounded: as if all of them had been scored."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import naive
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._triple_kernels import search_every_triple
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.learner.mdr.triples.bound import make_bound
from hpc_connector.partitioner import make_tiles

NOWHERE = np.empty((0, 0, 0), np.float32)


def make_cohort(seed, n_variants, n_individuals, folds, share, *, is_dealt=True):
    """Return genotypes, labels and folds by chance; folds of any size if not dealt."""
    rng = np.random.default_rng(seed)
    maf = rng.uniform(0.02, 0.5, (n_variants, 1))
    genotypes = rng.binomial(2, maf, (n_variants, n_individuals)).astype(np.int8)
    genotypes[n_variants // 2] = genotypes[0]  # ties
    is_case = np.zeros(n_individuals, np.int8)
    is_case[: max(1, int(share * n_individuals))] = 1
    rng.shuffle(is_case)
    dealt = make_folds(is_case, folds, rng)
    return genotypes, is_case, dealt if is_dealt else rng.permutation(dealt)


def pack(genotypes, is_case, fold):
    """Return the arguments of a search, and the arrangement."""
    arrangement = make_arrangement(is_case, fold)
    codes, _ = pack_genotypes(genotypes, get_source(arrangement, np.arange(len(fold))))
    planes = make_planes(len(genotypes), arrangement.n_words, missing=False)
    place_codes(codes, np.arange(len(genotypes)), planes)
    packed = learner.make_genotypes(planes, len(genotypes), arrangement)
    return packed, arrangement


def find(packed, question, search, tiles):
    """Return what a search finds in some tiles, each with what others have found."""
    rules, best = (
        learner.make_rules(question),
        learner.make_best(question, packed.folds),
    )
    for tile in tiles:
        search(packed, rules, best, tuple(int(block) for block in tile), NOWHERE)
    return learner.merge_best([best], question.top)


def check_same(found, expected):
    """Compare lists with their keys, and the winner and the score of every fold."""
    for name, array in expected._asdict().items():
        npt.assert_array_equal(getattr(found, name), array, err_msg=name)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_variants=st.integers(3, 40),
    n_individuals=st.integers(40, 300),
    folds=st.integers(2, 10),
    share=st.floats(0.15, 0.85),
    is_dealt=st.booleans(),
    top=st.sampled_from([1, 20, 1000]),
    rank_by=st.sampled_from(learner.STATISTICS),
    tie_low=st.booleans(),
    n_first=st.sampled_from([None, 5]),
    min_distance=st.sampled_from([0, 3]),
)
@example(1, 34, 200, 10, 0.5, True, 20, learner.STATISTICS[0], False, None, 0)
@example(2, 34, 50, 10, 0.1, False, 20, learner.STATISTICS[0], False, None, 0)
def test_search_triples__as_if_all_were_scored(
    seed,
    n_variants,
    n_individuals,
    folds,
    share,
    is_dealt,
    top,
    rank_by,
    tie_low,
    n_first,
    min_distance,
):
    cohort = make_cohort(
        seed, n_variants, n_individuals, folds, share, is_dealt=is_dealt
    )
    packed, _ = pack(*cohort)
    role = np.where(np.arange(n_variants) < (n_first or 0), 1, 2).astype(np.int8)
    question = learner.Question(
        order=3,
        top=top,
        rank_by=rank_by,
        tie_low=tie_low,
        min_distance=min_distance,
        chromosome=np.zeros(n_variants, np.int32),
        position=np.arange(n_variants),
        role=role[: n_variants if n_first else 0],
    )
    whole = [(0, len(packed.planes)) * 3]
    expected = find(packed, question, search_every_triple, whole)
    tiles = make_tiles(len(packed.planes), 1, 3)
    order = np.random.default_rng(seed).permutation(len(tiles))
    for some in (whole, tiles[order]):
        check_same(find(packed, question, learner.search_triples, some), expected)


def test_search_triples__agrees_with_naive():
    genotypes, is_case, fold = make_cohort(3, 12, 90, 3, 0.4)
    packed, _ = pack(genotypes, is_case, fold)
    assert make_bound(packed.size[:6], 0)
    question = learner.Question(order=3, top=7)
    found = find(packed, question, learner.search_triples, [(0, 1) * 3])
    expected = naive.search(genotypes, is_case.astype(bool), fold, 3)
    ranked = sorted(expected, key=lambda m: ([-s for s in expected[m][:3]], m))[:7]
    assert [tuple(model) for model in found.model[:7].tolist()] == ranked
    for f in range(3):
        winner = min(expected, key=lambda m: (-expected[m][3][f], m))
        assert tuple(found.fold_model[f].tolist()) == winner


def test_search_triples__finds_a_planted_one_of_many():
    rng = np.random.default_rng(6)
    genotypes, is_case, _ = make_cohort(6, 70, 4000, 10, 0.49)
    planted = (7, 29, 63)
    genotypes[list(planted)] = rng.binomial(2, 0.4, (3, 4000))
    odd = genotypes[list(planted)].sum(axis=0) % 2 == 1
    is_case = (rng.random(4000) < np.where(odd, 0.6, 0.4)).astype(np.int8)
    packed, _ = pack(genotypes, is_case, make_folds(is_case, 10, rng))
    question = learner.Question(order=3, top=5)
    tile = [(0, len(packed.planes)) * 3]
    found = find(packed, question, learner.search_triples, tile)
    assert tuple(found.model[0].tolist()) == planted
    check_same(found, find(packed, question, search_every_triple, tile))


def get_excess(cases, controls, high):
    """Return 2 BA - 1 of counts (..., cells) by labels."""
    share = [np.where(high, c, 0).sum(-1) / c.sum(-1) for c in (cases, controls)]
    return share[0] - share[1]


@given(
    seed=st.integers(0, 2**32 - 1),
    folds=st.integers(2, 10),
    n_cells=st.sampled_from([4, 9, 27]),
    n_individuals=st.integers(60, 20_000),
    share=st.floats(0.1, 0.9),
    tie_low=st.booleans(),
)
def test_make_bound__is_never_exceeded(
    seed, folds, n_cells, n_individuals, share, tie_low
):
    rng = np.random.default_rng(seed)
    of_cell = rng.dirichlet(np.full(n_cells, 0.7))
    part = rng.dirichlet(np.full(folds, rng.choice([5.0, 1e4])))
    n1, n0 = int(share * n_individuals), n_individuals - int(share * n_individuals)
    a = rng.multinomial(n1, np.outer(part, of_cell).ravel()).reshape(folds, -1)
    u = rng.multinomial(n0, np.outer(part, of_cell).ravel()).reshape(folds, -1)
    size = np.concatenate([a.sum(1), u.sum(1)])
    if size.min() == 0:
        assert make_bound(size, 0) is None
        return
    b, v = a.sum(0) - a, u.sum(0) - u
    d = b * v.sum(1, keepdims=True) - v * b.sum(1, keepdims=True)
    high = ((d > 0) if tie_low else (d >= 0)) & (b > 0)
    train, test = get_excess(b, v, high), get_excess(a, u, high)
    whole = np.maximum(0, a.sum(0) / n1 - u.sum(0) / n0).sum()
    for statistic, value in enumerate((test.mean(), train.mean(), whole)):
        bound = make_bound(size, statistic)
        if bound is None:
            continue
        p, q = bound.case_weight, bound.control_weight
        x = p * a - q * u
        excess = np.maximum(0, x.sum(0)).sum()
        gap = excess - np.maximum(0, x.sum(0) - x).sum(1)
        assert np.abs(x).max() <= 32767
        assert np.abs(gap).max() <= 32767
        reached = excess - gap + bound.train_slack
        assert (bound.train_unit * train <= reached + 1e-6).all()
        parts = (gap * bound.share // 65536).sum() * bound.part
        assert value <= parts + excess * bound.whole + bound.slack
        if statistic == 0:
            y, doubt = x.sum(0) - x, bound.doubt[:, None]
            unsure = np.where(y < -doubt, 0, np.maximum(x, 0))
            sharp = np.where(y > doubt, x, unsure).sum(1)
            parts = (sharp * bound.share // 65536).sum() * bound.part
            assert value <= parts + bound.sharp_slack


@pytest.mark.parametrize("sizes", [[9], [8, 0, 7, 5], [70_000, 70_000, 50, 50]])
def test_make_bound__is_none_where_all_are_scored(sizes):
    assert make_bound(np.array([*sizes, *sizes]), 0) is None


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.sampled_from([2, 3]),
    interaction=st.booleans(),
    folds=st.sampled_from([1, 2, 7]),
    rank_by=st.sampled_from([learner.STATISTICS[0], learner.STATISTICS[2]]),
    tie_low=st.booleans(),
    share=st.floats(0.2, 0.8),
)
@example(1, 3, True, 7, learner.STATISTICS[0], False, 0.5)
@example(1, 3, False, 7, learner.STATISTICS[0], False, 0.1)
@example(1, 2, True, 7, learner.STATISTICS[0], False, 0.5)
def test_get_permutation_maximum__as_if_all_were_scored(
    seed, order, interaction, folds, rank_by, tie_low, share
):
    genotypes, is_case, fold = make_cohort(seed, 40, 103, folds, share)
    packed, arrangement = pack(genotypes, is_case, fold)
    question = learner.Question(
        order=order,
        interaction=interaction,
        seed=seed % 100,
        rank_by=rank_by,
        tie_low=tie_low,
        role=np.where(np.arange(40) < 25, 3, 2).astype(np.int8),
    )
    arguments = (packed, question, arrangement, is_case)
    maximum = np.full(3, -np.inf)
    for tile in make_tiles(len(packed.planes), 2, order):
        maximum = learner.get_permutation_maximum(*arguments, tile, range(3), maximum)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "get_slack", lambda *_, **__: None)
        patch.setattr(learner, "is_bounded", lambda _: False)
        patch.setattr(learner, "search_triples", search_every_triple)
        tile = (0, len(packed.planes)) * order
        expected = learner.get_permutation_maximum(*arguments, tile, range(3))
    npt.assert_array_equal(maximum, expected)
