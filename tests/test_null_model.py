"""Null models of traits, and the scores that they leave."""

import importlib
import os

import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.learner.gmdr.null_model import KINDS, fit_null_model
from hpc_connector.learner.gmdr.scores import BITS, make_scores


def make_trait(kind, n=600, seed=0):
    """Return a trait, its covariates (a count, a dummy, two numbers) and names."""
    rng = np.random.default_rng(seed)
    columns = np.column_stack(
        [
            rng.integers(20, 80, n),
            rng.integers(0, 2, n),
            rng.normal(1e5, 3e4, n),
            rng.normal(0, 1e-3, n),
        ]
    ).astype(np.float64)
    z = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    linear = -0.3 + z @ np.array([0.5, -0.4, 0.2, 0.1])
    if kind == "binary":
        trait = rng.random(n) < 1 / (1 + np.exp(-linear))
    elif kind == "count":
        trait = rng.poisson(np.exp(linear))
    else:
        trait = linear + rng.normal(size=n)
    return trait.astype(np.float64), columns, ["age", "sex", "income", "dose"]


def import_statsmodels():
    """Return statsmodels, which CI must have."""
    if "CI" in os.environ:
        return importlib.import_module("statsmodels.api")
    return pytest.importorskip("statsmodels.api")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_columns", [0, 1, 4])
def test_fit_null_model__agrees_with_statsmodels(kind, n_columns):
    api = import_statsmodels()
    trait, columns, names = make_trait(kind)
    columns, names = columns[:, :n_columns], names[:n_columns]
    model = fit_null_model(trait, columns, names, kind)
    assert model.names == ("intercept", *names)
    families = {"binary": "Binomial", "quantitative": "Gaussian", "count": "Poisson"}
    family = getattr(api.families, families[kind])()
    scale = columns.std(axis=0)
    design = np.column_stack([np.ones(len(trait)), columns / scale])
    expected = api.GLM(trait, design, family=family).fit(tol=1e-14, maxiter=100)
    back = np.concatenate([[1.0], 1 / scale])
    npt.assert_allclose(model.fitted, expected.fittedvalues, rtol=1e-8, atol=1e-8)
    npt.assert_allclose(model.coefficients, expected.params * back, rtol=1e-8)
    npt.assert_allclose(model.standard_errors, expected.bse * back, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_null_model__without_covariates_is_the_mean(kind):
    trait, _, _ = make_trait(kind)
    model = fit_null_model(trait, np.empty((len(trait), 0)), [], kind)
    npt.assert_allclose(model.fitted, trait.mean(), rtol=1e-12)
    assert len(np.unique(model.fitted)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_fit_null_model__leaves_residuals_that_no_covariate_explains(kind):
    trait, columns, names = make_trait(kind)
    model = fit_null_model(trait, columns, names, kind)
    z = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    residual = trait - model.fitted
    npt.assert_allclose(residual.sum(), 0, atol=1e-7)
    npt.assert_allclose(z.T @ residual, 0, atol=1e-7)


def check_refusal(match, trait, columns, names, kind):
    """Fit what cannot be fitted."""
    with pytest.raises(BadInput, match=match) as refused:
        fit_null_model(trait, columns, names, kind)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_null_model__names_a_constant_covariate(kind):
    trait, columns, names = make_trait(kind)
    columns[:, 1] = 1
    check_refusal("covariate sex is 1 in all of 600", trait, columns, names, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_null_model__names_collinear_covariates(kind):
    trait, columns, names = make_trait(kind)
    columns[:, 3] = 3 * columns[:, 0] - 1e4 * columns[:, 1] + 5
    match = "covariate dose is a linear combination of age and sex;"
    check_refusal(match, trait, columns, names, kind)


@pytest.mark.parametrize("sign", [1, -1])
def test_fit_null_model__names_a_separating_covariate(sign):
    trait, columns, names = make_trait("binary")
    columns[:, 1] = sign * (trait == 1) * (columns[:, 0] > 40)
    match = "covariate sex separates cases from controls"
    check_refusal(match, trait, columns, names, "binary")


def test_fit_null_model__names_covariates_that_separate_together():
    trait, columns, names = make_trait("binary")
    columns[:, 0] = trait - columns[:, 3] * 1e3
    match = "covariates age and dose separate cases from controls"
    check_refusal(match, trait, columns, names, "binary")


def test_fit_null_model__names_a_covariate_without_a_finite_effect_on_counts():
    trait, columns, names = make_trait("count")
    columns[:, 1] = trait == 0
    match = "does not converge in [0-9]+ steps, for sex"
    check_refusal(match, trait, columns, names, "count")


@pytest.mark.parametrize("kind", KINDS)
def test_fit_null_model__refuses_a_trait_with_one_value(kind):
    _, columns, names = make_trait(kind)
    match = "the trait is 1 in all of 600 individuals"
    check_refusal(match, np.ones(600), columns, names, kind)


@pytest.mark.parametrize(
    ("kind", "value", "match"),
    [("binary", 2, "binary trait is 2"), ("count", -1, "count is -1")],
)
def test_fit_null_model__refuses_values_of_another_kind(kind, value, match):
    trait, columns, names = make_trait(kind)
    trait[7] = value
    check_refusal(match, trait, columns, names, kind)


def test_fit_null_model__refuses_more_covariates_than_individuals():
    trait, columns, names = make_trait("quantitative", n=5)
    check_refusal("for 5 individuals", trait, columns, names, "quantitative")


@pytest.mark.parametrize("bits", BITS)
def test_make_scores__are_in_proportion_to_residuals(bits):
    residual = np.random.default_rng(0).normal(size=500)
    scores = make_scores(residual, bits)
    scale = ((1 << bits) - 1) / np.abs(residual).max()
    assert np.abs(scores.quantised).max() == (1 << bits) - 1
    npt.assert_array_equal(scores.quantised, np.rint(residual * scale))
    npt.assert_array_equal(scores.is_positive, residual > 0)


def test_make_scores__of_cases_and_controls_are_one_and_minus_one():
    is_case = np.arange(100) % 10 < 3
    scores = make_scores(is_case - is_case.mean())
    npt.assert_array_equal(scores.quantised, np.where(is_case, 1, -1))


@pytest.mark.parametrize(
    ("residual", "bits", "match"),
    [
        (np.zeros(5), 8, "all scores are 0"),
        (np.array([1.0, -1.0]), 5, "scores of 5 bits; expected 6 to 15"),
        (np.array([1e3, -1e-3, -2e-3]), 8, "all negative scores are 0 in 8 bits"),
        (np.append(np.full(150_000, 2 / 3), [1, -1]), 15, "take fewer bits"),
    ],
)
def test_make_scores__refuses_what_gives_no_scores(residual, bits, match):
    residual = residual.copy()
    with pytest.raises(BadInput, match=match):
        make_scores(residual, bits)
