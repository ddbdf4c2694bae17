"""The search of pairs over folds finds what scoring every pair finds."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from hpc_connector._jit import kernel
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._simd import store
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.learner.mdr.pairs import _panel_kernels
from hpc_connector.learner.mdr.pairs._complete_kernels import search_every_pair
from hpc_connector.learner.mdr.pairs._fold_kernels import search_screened_pairs
from hpc_connector.learner.mdr.pairs._screen_kernels import (
    MARGIN,
    SCALE,
    get_excess,
    is_screened,
    load_narrow,
    make_screen,
)
from hpc_connector.partitioner import make_tiles

NOWHERE = np.empty((0, 0), np.float32)


def make_cohort(seed, n_variants, n_individuals, n_folds, share, kind):
    """Return genotypes, labels and folds; some variants are copies, or of one allele.

    Folds are dealt evenly, by chance, or so that one of them lacks the cases.
    """
    rng = np.random.default_rng(seed)
    maf = rng.uniform(0.0, 0.5, (n_variants, 1))
    genotypes = rng.binomial(2, maf, (n_variants, n_individuals)).astype(np.int8)
    copied = rng.integers(0, n_variants, (2, n_variants // 5))
    genotypes[copied[0]] = genotypes[copied[1]]
    is_case = np.zeros(n_individuals, np.int8)
    n_cases = max(n_folds, int(share * n_individuals))
    is_case[rng.permutation(n_individuals)[:n_cases]] = 1
    genotypes[0] = np.where(rng.random(n_individuals) < 0.2, is_case, genotypes[0])
    fold = make_folds(is_case, n_folds, rng)
    if kind == "by chance":
        fold = rng.integers(0, n_folds, n_individuals)
        fold[:n_folds] = np.arange(n_folds)
    elif kind == "no case in one":
        fold[(is_case == 1) & (fold == 0)] = n_folds - 1
    return genotypes, is_case, fold


def pack(genotypes, is_case, fold, stored=2):
    """Return what the kernels take, with two or three planes."""
    arrangement = make_arrangement(is_case, fold)
    source = get_source(arrangement, np.arange(len(is_case)))
    codes, _ = pack_genotypes(genotypes, source)
    shape = len(genotypes), arrangement.n_words
    planes = make_planes(*shape, missing=stored == 3)
    place_codes(codes, np.arange(len(genotypes)), planes)
    return learner.make_genotypes(planes, len(genotypes), arrangement)


def find(kernel, genotypes, question, edge, order=1):
    """Return the best of a search in tiles, one after the other."""
    best = learner.make_best(question, genotypes.folds)
    tiles = make_tiles(len(genotypes.planes), edge, 2)
    for tile in tiles[::order]:
        kernel(genotypes, learner.make_rules(question), best, tuple(tile), NOWHERE)
    return learner.merge_best([best], question.top)


def assert_same(found, expected):
    """Compare the list, the winners and the scores of folds, bit for bit."""
    for name, array in expected._asdict().items():
        npt.assert_array_equal(getattr(found, name), array, err_msg=name)


COHORTS = {
    "seed": st.integers(0, 2**32 - 1),
    "n_variants": st.integers(2, 150),
    "n_individuals": st.integers(60, 700),
    "n_folds": st.integers(2, 10),
    "share": st.floats(0.1, 0.9),
    "kind": st.sampled_from(["even", "by chance", "no case in one"]),
}


@settings(max_examples=120)
@given(
    **COHORTS,
    top=st.sampled_from([1, 10, 1000]),
    rank_by=st.sampled_from(learner.STATISTICS),
    tie_low=st.booleans(),
    lists=st.booleans(),
    min_distance=st.sampled_from([0, 100]),
    stored=st.sampled_from([2, 3]),
    edge=st.integers(1, 6),
    order=st.sampled_from([1, -1]),
)
def test_search_screened_pairs__finds_what_scoring_every_pair_finds(
    seed, n_variants, n_individuals, n_folds, share, kind, stored, edge, order, **asked
):
    rng = np.random.default_rng(seed)
    role = rng.integers(1, 4, n_variants).astype(np.int8)
    question = learner.Question(
        role=role if asked.pop("lists") else np.zeros(0, np.int8),
        chromosome=np.zeros(n_variants, np.int32),
        position=rng.permutation(n_variants) * 20,
        **asked,
    )
    cohort = make_cohort(seed, n_variants, n_individuals, n_folds, share, kind)
    genotypes = pack(*cohort, stored)
    expected = find(search_every_pair, genotypes, question, 6)
    found = find(learner.search_pairs, pack(*cohort), question, edge, order)
    assert_same(found, expected)
    if is_screened(genotypes, learner.make_rules(question)):
        found = find(search_screened_pairs, genotypes, question, edge, order)
        assert_same(found, expected)


@kernel
def save_excess(constants, view, counts, row_margins, margins, into):
    """Write the excess of 32 pairs in one view, by the arithmetic of the screen."""
    cases, controls = load_narrow(counts, 0), load_narrow(counts, 128)
    excess = get_excess(constants, view, cases, controls, row_margins, 0, margins, 0)
    store(into, 0, excess)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_cases=st.integers(20, 40_000),
    n_controls=st.integers(20, 65_000),
)
def test_get_excess__is_off_by_no_more_than_it_says(seed, n_cases, n_controls):
    rng = np.random.default_rng(seed)
    folds, n = 2, np.array([n_cases, n_controls])
    size = np.stack([n // 2, n - n // 2], axis=1).ravel()
    sizes = np.concatenate([size, n]).astype(np.int32)
    genotypes = pack(*make_cohort(1, 2, 60, folds, 0.5, "even"))
    genotypes = genotypes._replace(size=sizes)
    constants = make_screen(genotypes, learner.make_rules(learner.Question())).constants
    # one row: its genotypes are carried alike in all pairs, the columns' are not
    carriers = [rng.multinomial(k, rng.dirichlet(np.ones(3))) for k in n]
    split = [
        [rng.multinomial(m, rng.dirichlet(np.ones(3)), 32) for m in of]
        for of in carriers
    ]
    cells = [np.concatenate(of, axis=1) for of in split]
    contrast = cells[0] / n[0] - cells[1] / n[1]
    exact = SCALE * contrast.reshape(32, 3, 3)
    c = np.rint(exact.sum(axis=1))
    margins = np.zeros((folds + 1, 3, 32), np.int16)
    margins[0] = c[:, 0], c[:, 1], -c[:, 0] - c[:, 1]
    row_margins = np.zeros((folds + 1, 3, 16), np.int16)
    row_margins[0] = np.rint(exact.sum(axis=2))[0][:, None]
    four = [0, 1, 3, 4]
    counts = np.concatenate([cell[:, four].T.ravel() for cell in cells])
    found = np.zeros(32, np.int16)
    save_excess(
        constants,
        0,
        counts.astype(np.uint16).view(np.int16),
        row_margins.ravel(),
        margins.ravel(),
        found,
    )
    expected = SCALE * np.maximum(contrast, 0).sum(axis=1)
    assert np.abs(found - expected).max() <= MARGIN


@pytest.mark.parametrize("rank_by", learner.STATISTICS)
@pytest.mark.parametrize("tie_low", [False, True])
def test_search_screened_pairs__agrees_with_naive(rank_by, tie_low):
    genotypes, is_case, fold = make_cohort(7, 24, 150, 5, 0.4, "even")
    question = learner.Question(top=12, rank_by=rank_by, tie_low=tie_low)
    packed = pack(genotypes, is_case, fold)
    assert is_screened(packed, learner.make_rules(question))
    best = find(search_screened_pairs, packed, question, 1)
    scores = naive.search(genotypes, is_case.astype(bool), fold, 2, tie_low=tie_low)
    statistic = learner.make_rules(question).statistic
    ranked = sorted(scores, key=lambda m: ([-scores[m][s] for s in statistic], m))
    assert [tuple(m) for m in best.model[: best.size[0]].tolist()] == ranked[:12]
    for number in range(5):
        winner = min(scores, key=lambda m: (-scores[m][3][number], m))
        assert tuple(best.fold_model[number].tolist()) == winner


@pytest.mark.parametrize("n_individuals", [3001, 9001])
@pytest.mark.parametrize("share", [0.5, 0.06])
def test_search_screened_pairs__holds_for_larger_cohorts(n_individuals, share):
    cohort = make_cohort(1, 100, n_individuals, 10, share, "even")
    genotypes, question = pack(*cohort), learner.Question(top=10)
    assert is_screened(genotypes, learner.make_rules(question))
    expected = find(search_every_pair, genotypes, question, 7)
    assert_same(find(search_screened_pairs, genotypes, question, 7), expected)


@pytest.mark.parametrize("n_folds", [1, 3])
def test_search_pairs__counts_many_individuals_by_stretches(n_folds):
    cohort = make_cohort(2, 70, 70_000, n_folds, 0.4, "even")
    genotypes, question = pack(*cohort), learner.Question(top=10)
    n_words = genotypes.planes.shape[1]
    assert _panel_kernels.cut_tile(n_words, 2, 2 * n_folds)[3] < n_words
    best = find(learner.search_pairs, genotypes, question, 5)
    for row, model in enumerate(best.model[:10].tolist()):
        pair, is_case = cohort[0][model].astype(int), cohort[1]
        cell = pair[0] * 3 + pair[1]
        cases = np.bincount(cell[is_case == 1], minlength=9) / is_case.sum()
        controls = np.bincount(cell[is_case == 0], minlength=9) / (1 - is_case).sum()
        expected = (1 + np.maximum(cases - controls, 0).sum()) / 2
        npt.assert_allclose(best.key[row, 2], expected, rtol=0, atol=1e-14)
