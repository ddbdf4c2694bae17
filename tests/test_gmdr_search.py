"""Generalised MDR against its definition and against MDR."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_gmdr
from hpc_connector.learner.gmdr import search as learner
from hpc_connector.learner.gmdr.effects import get_effects
from hpc_connector.learner.gmdr.models import describe_models, order_models
from hpc_connector.learner.gmdr.null_model import fit_null_model
from hpc_connector.learner.gmdr.scores import make_scores
from hpc_connector.learner.mdr import search as mdr
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.learner.mdr.models import describe_models as describe_mdr
from hpc_connector.partitioner import make_tiles

DATA = Path(__file__).parent / "data"


def make_genotypes(n_variants, n_individuals, missing_rate, rng):
    """Return genotypes by chance, int8 (variants, individuals)."""
    maf = rng.uniform(0.05, 0.5, (n_variants, 1))
    genotypes = rng.binomial(2, maf, (n_variants, n_individuals)).astype(np.int8)
    genotypes[rng.random(genotypes.shape) < missing_rate] = -1
    return genotypes


def pack(genotypes, scores, fold):
    """Return planes and arrangement of a cohort."""
    arrangement = make_arrangement(scores.is_positive, fold)
    source = get_source(arrangement, np.arange(len(fold)))
    codes, counts = pack_genotypes(genotypes, source)
    missing = bool(counts[:, 3].any())
    planes = make_planes(len(genotypes), arrangement.n_words, missing=missing)
    place_codes(codes, np.arange(len(genotypes)), planes)
    return planes, arrangement


def find(genotypes, scores, fold, question, edge=None):
    """Return the best models of a cohort, searched in tiles."""
    planes, arrangement = pack(genotypes, scores, fold)
    scored = learner.make_scored_genotypes(planes, len(genotypes), arrangement, scores)
    found = []
    for tile in make_tiles(len(planes), edge or len(planes), question.order):
        best = mdr.make_best(question, arrangement.folds)
        learner.search(scored, question, tile, best)
        found.append(best)
    return mdr.merge_best(found, question.top)


def check_against_oracle(genotypes, scores, fold, question):
    """Compare every model and the winner of every fold with the oracle."""
    best = find(genotypes, scores, fold, question)
    rules = {"level": question.level, "tie_low": question.tie_low}
    exact = np.where(scores.is_positive, 1, -1) * scores.weight.astype(np.int64)
    expected = naive_gmdr.search(genotypes, exact, fold, question.order, **rules)
    models = [tuple(m) for m in best.model[: best.size[0]].tolist()]
    defined = {m: s for m, s in expected.items() if s[0] is not None}
    assert set(models) == set(defined)
    for row, model in enumerate(models):
        values = [-1.0 if s is None else s for s in defined[model][:3]]
        npt.assert_allclose(best.key[row], values, rtol=0, atol=1e-12)
    for k in range(int(fold.max()) + 1 if fold.max() else 0):
        of_fold = [-1.0 if s[3][k] is None else s[3][k] for s in expected.values()]
        score = -1.0 if max(of_fold) < 0 else 2 * max(of_fold) - 1
        npt.assert_allclose(max(best.fold_score[k], -1.0), score, atol=1e-12)
        if score >= 0:
            winner = expected[tuple(best.fold_model[k].tolist())]
            npt.assert_allclose(winner[3][k], max(of_fold), atol=1e-12)


CASES = [
    (*case, *missing)
    for case in itertools.product((2, 3), (1, 4))
    for missing in ((0.0, False), (0.1, False), (0.1, True))
]


@pytest.mark.parametrize(("order", "folds", "missing_rate", "level"), CASES)
def test_search__agrees_with_naive(order, folds, missing_rate, level):
    rng = np.random.default_rng(order + folds)
    genotypes = make_genotypes(35 if order == 2 else 18, 90, missing_rate, rng)
    scores = make_scores(rng.normal(size=90))
    fold = make_folds(scores.is_positive, folds, rng)
    question = mdr.Question(order=order, level=level, top=10_000)
    check_against_oracle(genotypes, scores, fold, question)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_variants=st.integers(2, 20),
    n_individuals=st.integers(8, 70),
    folds=st.integers(1, 3),
    missing_rate=st.sampled_from([0.0, 0.05, 0.2]),
    bits=st.sampled_from([6, 8, 9, 15]),
    step=st.sampled_from([0.01, 1.0]),  # 1 gives ties
    tie_low=st.booleans(),
    one_sided=st.booleans(),
)
def test_search__agrees_with_naive_by_chance(
    seed, n_variants, n_individuals, folds, missing_rate, bits, step, tie_low, one_sided
):
    rng = np.random.default_rng(seed)
    genotypes = make_genotypes(n_variants, n_individuals, missing_rate, rng)
    residual = np.round(rng.normal(size=n_individuals) / step)
    largest = np.abs(residual).max() + 1
    residual[:2] = largest, -largest
    scores = make_scores(residual, bits)
    fold = make_folds(scores.is_positive, folds, rng)
    if one_sided and folds > 1:  # the first fold has no positive score
        fold[scores.is_positive & (fold == 0)] = 1
        fold[1] = 0
    question = mdr.Question(tie_low=tie_low, top=10_000)
    check_against_oracle(genotypes, scores, fold, question)


@pytest.mark.parametrize("bits", [8, 15])
def test_search__adds_many_scores_exactly(bits):
    rng = np.random.default_rng(bits)
    genotypes = make_genotypes(6, 3000, 0.0, rng)
    scores = make_scores(rng.uniform(0.9, 1, 3000) * rng.choice([-1, 1], 3000), bits)
    fold = make_folds(scores.is_positive, 2, rng)
    check_against_oracle(genotypes, scores, fold, mdr.Question(top=100))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("missing_rate", [0.0, 0.02])
def test_search__same_for_any_tiles(order, missing_rate):
    rng = np.random.default_rng(5)
    genotypes = make_genotypes(300 if order == 2 else 70, 120, missing_rate, rng)
    scores = make_scores(rng.normal(size=120))
    fold = make_folds(scores.is_positive, 3, rng)
    question = mdr.Question(order=order, top=50)
    whole = find(genotypes, scores, fold, question)
    for edge in (1, 3):
        cut = find(genotypes, scores, fold, question, edge)
        for name, array in whole._asdict().items():
            npt.assert_array_equal(array, getattr(cut, name), err_msg=name)


@pytest.mark.parametrize("order", [2, 3])
def test_search__writes_the_error_of_every_model(order):
    rng = np.random.default_rng(7)
    genotypes = make_genotypes(20, 80, 0.0, rng)
    scores = make_scores(rng.normal(size=80))
    planes, arrangement = pack(genotypes, scores, np.arange(80) % 2)
    scored = learner.make_scored_genotypes(planes, 20, arrangement, scores)
    question = mdr.Question(order=order, top=10_000)
    errors = np.full((32,) * order, np.nan, np.float32)
    best = mdr.make_best(question, 2)
    learner.search(scored, question, (0, 2) * order, best, errors)
    for key, model in zip(best.key[: best.size[0]], best.model, strict=False):
        assert errors[tuple(model)] == np.float32(1 - key[0])
    assert np.isfinite(errors).sum() == best.size[0]


def make_binary_cohort(missing_rate=0.0, n_variants=40, n=200, folds=5):
    """Return genotypes, labels, scores without covariates, and folds."""
    rng = np.random.default_rng(11)
    genotypes = make_genotypes(n_variants, n, missing_rate, rng)
    is_case = (rng.permutation(n) < 0.4 * n).astype(np.int8)
    trait = is_case.astype(np.float64)
    model = fit_null_model(trait, np.empty((n, 0)), [], "binary")
    scores = make_scores(trait - model.fitted)
    return genotypes, is_case, scores, make_folds(is_case, folds, rng)


def find_mdr(genotypes, is_case, fold, question):
    """Return the best models of plain MDR, its planes and its arrangement."""
    as_scores = make_scores(np.where(is_case == 1, 1.0, -1.0))
    planes, arrangement = pack(genotypes, as_scores, fold)
    packed = mdr.make_genotypes(planes, len(genotypes), arrangement)
    best = mdr.make_best(question, arrangement.folds)
    mdr.search(packed, question, (0, len(planes)) * question.order, best)
    return mdr.merge_best([best], question.top), planes, arrangement


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("missing_rate", [0.0, 0.1])
def test_search__of_a_binary_trait_without_covariates_is_mdr(order, missing_rate):
    genotypes, is_case, scores, fold = make_binary_cohort(missing_rate)
    question = mdr.Question(order=order, top=100)
    expected, _, _ = find_mdr(genotypes, is_case, fold, question)
    found = find(genotypes, scores, fold, question)
    for name, array in expected._asdict().items():
        npt.assert_array_equal(getattr(found, name), array, err_msg=name)


@pytest.mark.parametrize("missing_rate", [0.0, 0.1])
@pytest.mark.parametrize("tie_low", [False, True])
def test_describe_models__of_a_binary_trait_are_the_figures_of_mdr(
    missing_rate, tie_low
):
    genotypes, is_case, scores, fold = make_binary_cohort(missing_rate)
    question = mdr.Question(top=100, tie_low=tie_low)
    best, planes, arrangement = find_mdr(genotypes, is_case, fold, question)
    rules = {"level": False, "tie_low": tie_low}
    expected = describe_mdr(planes, arrangement, best.model[:100], **rules)
    found = describe_models(planes, arrangement, best.model[:100], scores, **rules)
    for name in sorted(found.keys() & expected.keys()):
        npt.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)
    key = np.stack([found[name] for name in mdr.STATISTICS], axis=1)
    npt.assert_allclose(key, best.key[:100], rtol=0, atol=1e-12)
    assert found["score_difference"].max() < 1e-12
    assert found["test_score_difference"].max() < 1e-12


def make_quantitative_cohort(missing_rate=0.0, n_variants=30, n=400, folds=5):
    """Return genotypes, a trait with an effect of variants 3 and 8, and folds."""
    rng = np.random.default_rng(17)
    genotypes = make_genotypes(n_variants, n, missing_rate, rng)
    trait = rng.normal(size=n) + 0.8 * (genotypes[3] == 1) * (genotypes[8] == 1)
    return genotypes, trait, rng.integers(0, folds, n)


def get_order(genotypes, scores, fold, question):
    """Return the models in the order of their residuals, and what is said of them."""
    kept = replace(question, top=learner.get_candidates(question))
    best = find(genotypes, scores, fold, kept)
    models = best.model[: best.size[0]]
    planes, arrangement = pack(genotypes, scores, fold)
    columns = describe_models(
        planes, arrangement, models, scores, level=question.level, tie_low=False
    )
    order = order_models(columns, models, question.rank_by)[: question.top]
    return models[order], {name: column[order] for name, column in columns.items()}


@pytest.mark.parametrize("missing_rate", [0.0, 0.1])
@pytest.mark.parametrize("level", [False, True])
def test_describe_models__agrees_with_naive(missing_rate, level):
    genotypes, trait, fold = make_quantitative_cohort(missing_rate, n_variants=12)
    scores = make_scores(trait - trait.mean())
    question = mdr.Question(top=10_000, level=level)
    models, columns = get_order(genotypes, scores, fold, question)
    expected = naive_gmdr.search(genotypes, scores.residual, fold, 2, level=level)
    assert len(models) == len(expected)
    for row, model in enumerate(models.tolist()):
        values = expected[tuple(model)]
        found = [columns[name][row] for name in mdr.STATISTICS]
        npt.assert_allclose(found, values[:3], rtol=0, atol=1e-12)
        folds = columns["fold_train_balanced_accuracy"][row]
        npt.assert_allclose(folds, values[3], rtol=0, atol=1e-12)
        called = (genotypes[model] >= 0).all(axis=0)
        cell = called & (genotypes[model] == 1).all(axis=0)
        at = 5 if level and missing_rate else 4
        mean = scores.residual[cell].mean()
        npt.assert_allclose(columns["cell_mean_score"][row, at], mean)
        error = scores.residual[cell].std(ddof=1) / np.sqrt(cell.sum())
        npt.assert_allclose(columns["cell_standard_error"][row, at], error)


def test_order_models__is_the_same_for_a_linear_map_of_the_trait():
    genotypes, trait, fold = make_quantitative_cohort()
    found = []
    for mapped in (trait, 40 + 7.5 * trait):
        model = fit_null_model(mapped, np.empty((400, 0)), [], "quantitative")
        scores = make_scores(mapped - model.fitted)
        models, columns = get_order(genotypes, scores, fold, mdr.Question(top=50))
        found.append((models, columns["test_balanced_accuracy"]))
    npt.assert_array_equal(found[0][0], found[1][0])
    npt.assert_allclose(found[0][1], found[1][1], rtol=0, atol=1e-12)


def fit_scores(trait, columns, kind):
    """Return scores beside covariates."""
    names = [f"c{k}" for k in range(columns.shape[1])]
    return make_scores(trait - fit_null_model(trait, columns, names, kind).fitted)


def test_search__a_covariate_that_carries_the_signal_takes_the_pair_from_the_top():
    rng = np.random.default_rng(23)
    genotypes = make_genotypes(60, 1500, 0.0, rng)
    pair = ((genotypes[5] == 1) != (genotypes[31] == 1)).astype(np.float64)
    covariate = pair + rng.normal(0, 0.3, 1500)
    trait = (rng.random(1500) < 1 / (1 + np.exp(1 - 2 * covariate))).astype(float)
    fold = make_folds(trait.astype(np.int8), 5, rng)
    question = mdr.Question(top=20)
    without = fit_scores(trait, np.empty((1500, 0)), "binary")
    models, _ = get_order(genotypes, without, fold, question)
    assert models[0].tolist() == [5, 31]
    beside = fit_scores(trait, covariate[:, None], "binary")
    models, _ = get_order(genotypes, beside, fold, question)
    assert [5, 31] not in models.tolist()


def test_search__a_covariate_of_noise_changes_nothing():
    rng = np.random.default_rng(29)
    genotypes, trait, fold = make_quantitative_cohort(n_variants=20, n=4000)
    noise = rng.normal(size=4000)
    found = []
    for columns in (np.empty((4000, 0)), noise[:, None]):
        scores = fit_scores(trait, columns, "quantitative")
        models, said = get_order(genotypes, scores, fold, mdr.Question(top=1))
        figures = [said[name][0] for name in mdr.STATISTICS]
        found.append((models.tolist(), figures))
    assert found[0][0] == found[1][0] == [[3, 8]]
    npt.assert_allclose(found[0][1], found[1][1], rtol=0, atol=1e-3)


def read_table(path):
    """Return genotypes, int8 with -1 for NA, and classes of a table of GAMETES."""
    table = np.genfromtxt(path, skip_header=1, missing_values="NA", filling_values=-1)
    return table[:, :-1].T.astype(np.int8), table[:, -1]


def make_traits(is_case, rng):
    """Return (kind, trait, covariates) that a class could come with."""
    age = (is_case + rng.normal(0, 2, len(is_case)))[:, None]
    wide = np.column_stack([age, rng.normal(size=(len(age), 3))])
    return [
        ("binary", is_case, wide),
        ("quantitative", is_case + rng.normal(0, 1, len(age)), age),
        ("count", rng.poisson(1 + is_case).astype(float), age),
    ]


@pytest.mark.parametrize("name", ["2way_20snps", "2way_missing10pct_20snps", "3way"])
def test_describe_models__integers_of_eight_bits_are_near_the_residuals(name):
    (path,) = DATA.glob(f"gametes_{name}*/*.gz")
    genotypes, is_case = read_table(path)
    rng = np.random.default_rng(1)
    for kind, trait, covariates in make_traits(is_case, rng):
        scores = fit_scores(trait, covariates, kind)
        fold = make_folds(scores.is_positive, 10, rng)
        _, said = get_order(genotypes, scores, fold, mdr.Question(top=2000))
        assert len(said["n"]) == len(genotypes) * (len(genotypes) - 1) // 2
        assert said["score_difference"].max() <= 5e-4
        # in a fold, a cell near a tie may take the other label
        assert np.median(said["test_score_difference"]) <= 5e-4


def permute(genotypes, scores, fold, question, tile=None, **given):
    """Return the maximum of each of six permutations."""
    planes, arrangement = pack(genotypes, scores, fold)
    scored = learner.make_scored_genotypes(planes, len(genotypes), arrangement, scores)
    tile = tile or (0, len(planes)) * question.order
    return learner.get_permutation_maximum(
        scored, question, arrangement, scores, tile, range(6), **given
    )


@pytest.mark.parametrize("missing_rate", [0.0, 0.05])
@pytest.mark.parametrize("rank_by", mdr.STATISTICS)
def test_get_permutation_maximum__of_a_binary_trait_is_that_of_mdr(
    missing_rate, rank_by
):
    genotypes, is_case, scores, fold = make_binary_cohort(missing_rate)
    question = mdr.Question(rank_by=rank_by)
    _, planes, arrangement = find_mdr(genotypes, is_case, fold, question)
    packed = mdr.make_genotypes(planes, len(genotypes), arrangement)
    tile = (0, len(planes)) * 2
    expected = mdr.get_permutation_maximum(
        packed, question, arrangement, is_case, tile, range(6)
    )
    found = permute(genotypes, scores, fold, question)
    npt.assert_array_equal(found, expected)


@pytest.mark.parametrize("order", [2, 3])
def test_get_permutation_maximum__is_the_best_of_a_search_of_shuffled_scores(order):
    genotypes, trait, fold = make_quantitative_cohort(n_variants=18, n=100)
    scores = make_scores(trait - trait.mean())
    question = mdr.Question(order=order, top=1)
    found = permute(genotypes, scores, fold, question)
    size = make_arrangement(scores.is_positive, fold).group_size
    for number, value in enumerate(found):
        seed = [question.seed, number + 1]
        shuffled, dealt = learner.shuffle_scores(scores, size, seed)
        npt.assert_array_equal(np.sort(shuffled.residual), np.sort(scores.residual))
        assert find(genotypes, shuffled, dealt, question).key[0, 0] == value


def test_get_permutation_maximum__same_for_any_tiles():
    genotypes, trait, fold = make_quantitative_cohort(n_variants=70, n=100)
    scores = make_scores(trait - trait.mean())
    question = mdr.Question()
    whole = permute(genotypes, scores, fold, question)
    known = None
    for tile in make_tiles(5, 2, 2):
        tile = tuple(tile.tolist())
        known = permute(genotypes, scores, fold, question, tile, known=known)
    npt.assert_array_equal(known, whole)


def test_shuffle_scores__keeps_scores_within_their_stratum():
    rng = np.random.default_rng(3)
    strata = rng.integers(0, 3, 90)
    scores = make_scores(rng.normal(size=90) + strata)
    dealt = make_folds(scores.is_positive, 4, rng)
    size = make_arrangement(scores.is_positive, dealt).group_size
    shuffled, fold = learner.shuffle_scores(scores, size, [1, 1], strata)
    assert (shuffled.residual != scores.residual).any()
    for k in range(3):
        inside = strata == k
        for name in ("residual", "quantised"):
            before, after = getattr(scores, name), getattr(shuffled, name)
            npt.assert_array_equal(np.sort(after[inside]), np.sort(before[inside]))
    for sign in (0, 1):
        dealt = np.bincount(fold[shuffled.is_positive == sign], minlength=4)
        assert dealt.max() - dealt.min() <= 1


@pytest.mark.parametrize("kind", ["binary", "quantitative", "count"])
@pytest.mark.parametrize("missing_rate", [0.0, 0.1])
def test_get_effects__are_those_of_the_refitted_null_model(kind, missing_rate):
    genotypes, trait, fold = make_quantitative_cohort(missing_rate, n_variants=12)
    trait = {
        "binary": (trait > 0.5).astype(float),
        "quantitative": trait,
        "count": np.rint(np.exp(trait / 2)),
    }[kind]
    age = np.random.default_rng(1).uniform(20, 80, (400, 1))
    scores = fit_scores(trait, age, kind)
    models, columns = get_order(genotypes, scores, fold, mdr.Question(top=4))
    planes, arrangement = pack(genotypes, scores, fold)
    high_risk = columns["high_risk"]
    found = get_effects(
        planes, arrangement, models, high_risk, trait, age, kind, level=False
    )
    for row, model in enumerate(models):
        called = (genotypes[model] >= 0).all(axis=0)
        cell = 3 * genotypes[model[0]][called] + genotypes[model[1]][called]
        design = np.column_stack([age[called], high_risk[row, cell]])
        expected = fit_null_model(trait[called], design, ["age", "high"], kind)
        beta, error = expected.coefficients[2], expected.standard_errors[2]
        npt.assert_allclose(found["beta"][row], beta, rtol=1e-7)
        npt.assert_allclose(found["standard_error"][row], error, rtol=1e-7)
        assert 0 < found["wald_p"][row] < 1


def test_get_effects__of_a_class_of_cases_alone_has_no_estimate():
    genotypes = np.array([[0, 1] * 20, [0, 0, 1, 1] * 10], np.int8)
    trait = (genotypes[0] * genotypes[1]).astype(float)
    scores = make_scores(trait - trait.mean())
    planes, arrangement = pack(genotypes, scores, np.zeros(40, np.int64))
    high_risk = np.zeros((1, 9), bool)
    high_risk[0, 4] = True
    found = get_effects(
        planes,
        arrangement,
        np.array([[0, 1]]),
        high_risk,
        trait,
        np.empty((40, 0)),
        "binary",
        level=False,
    )
    assert all(np.isnan(column[0]) for column in found.values())
