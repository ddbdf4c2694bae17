"""The null model of a trait: what covariates alone say of it.

A generalised linear model with its canonical link, so that the score of an
individual is y - mu: logistic (McCullagh, Nelder, Generalized Linear Models, 1989),
least squares, or Poisson with a log link. Fitted by Newton's method, which is
iteratively reweighted least squares, on columns of mean 0 and variance 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput

KINDS = ("binary", "quantitative", "count")
INTERCEPT = "intercept"
MOST_STEPS = 50
MOST_HALVES = 30
LEAST_STEP = 1e-10
COLLINEAR = 1e-8  # what other columns leave of one, relative
LARGEST = 1e200  # variance whose products with others are numbers still
WIDEST = 30.0  # logits beyond which a fit has run off

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NullModel:
    """A fitted null model.

    Parameters
    ----------
    kind
        One of KINDS.
    names
        "intercept" and then the columns.
    coefficients, standard_errors
        On the scale of the link, float64 (1 + columns,).
    fitted
        Expected trait of each individual, float64 (individuals,).
    iterations
        Newton steps; 1 for least squares.
    """

    kind: str
    names: tuple[str, ...]
    coefficients: Array
    standard_errors: Array
    fitted: Array
    iterations: int


@dataclass(frozen=True)
class Fit:
    """Coefficients of given columns, their covariance, and the expected trait."""

    coefficients: Array
    covariance: Array
    fitted: Array
    iterations: int
    converged: bool


def fit_null_model(
    trait: Array, columns: Array, names: Sequence[str], kind: str
) -> NullModel:
    """Fit a null model.

    Parameters
    ----------
    trait
        float64 (individuals,): 0 and 1 if binary, not negative if counts.
    columns
        Covariates without the intercept, float64 (individuals, columns).
    names
        Of the columns, for messages.
    kind
        One of KINDS.

    Raises
    ------
    BadInput
        If the trait has one value, if a covariate is constant, is a combination of
        others or separates cases from controls, if one of them is too large or too
        small to be squared, or if the fit does not converge.
    """
    _check_trait(trait, columns.shape[1], kind)
    _check_sized(trait[:, None], ["the trait"])
    _check_varied(columns, names)
    _check_sized(columns, [f"covariate {name}" for name in names])
    centre, scale = columns.mean(axis=0), columns.std(axis=0)
    design = add_intercept((columns - centre) / scale)
    _check_independent(design, names)
    if kind == "binary":
        _check_overlap(trait, columns, names)
    start = np.zeros(design.shape[1])
    start[0] = link(np.array([trait.mean()]), kind)[0]
    fit = fit_columns(trait, design, kind, start)
    if not fit.converged:
        raise BadInput(_explain(fit, names, kind))
    back = _make_back(centre, scale)
    return NullModel(
        kind,
        (INTERCEPT, *names),
        back @ fit.coefficients,
        np.sqrt(np.diag(back @ fit.covariance @ back.T)),
        fit.fitted,
        fit.iterations,
    )


def add_intercept(columns: Array) -> Array:
    """Return columns behind one of ones, (individuals, 1 + columns)."""
    return np.column_stack([np.ones(len(columns)), columns])


def link(mean: Array, kind: str) -> Array:
    """Return the canonical link of an expected trait."""
    if kind == "binary":
        linked: Array = np.log(mean / (1 - mean))
        return linked
    return np.log(mean) if kind == "count" else mean


def invert_link(linear: Array, kind: str) -> tuple[Array, Array]:
    """Return the expected trait and its variance, up to the dispersion."""
    if kind == "binary":
        mean = 1 / (1 + np.exp(-linear))
        return mean, mean * (1 - mean)
    if kind == "count":
        mean = np.exp(linear)
        return mean, mean
    return linear, np.ones_like(linear)


def get_log_likelihood(trait: Array, linear: Array, kind: str) -> float:
    """Return the log likelihood up to a constant: y eta - b(eta), summed."""
    if kind == "binary":
        return float(trait @ linear - np.logaddexp(0, linear).sum())
    if kind == "count":
        return float(trait @ linear - np.exp(linear).sum())
    return float(trait @ linear - linear @ linear / 2)


def fit_columns(trait: Array, design: Array, kind: str, start: Array) -> Fit:
    """Fit by Newton's method until a step is below LEAST_STEP, or in vain.

    Parameters
    ----------
    design
        float64 (individuals, columns), the intercept among them.
    start
        First coefficients, float64 (columns,).
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _fit_columns(trait, design, kind, start)


def _fit_columns(trait: Array, design: Array, kind: str, start: Array) -> Fit:
    coefficients, linear = start, design @ start
    iterations, converged = 0, False
    while iterations < MOST_STEPS and not converged:
        step = _get_step(trait, design, linear, kind)
        if step is None or (kind == "binary" and np.abs(linear).max() > WIDEST):
            break
        coefficients = coefficients + step
        linear = design @ coefficients
        iterations += 1
        converged = kind == "quantitative" or bool(np.abs(step).max() < LEAST_STEP)
    mean, variance = invert_link(linear, kind)
    covariance = _invert(design.T @ (variance[:, None] * design))
    if kind == "quantitative":
        freedom = len(trait) - design.shape[1]
        covariance = covariance * (((trait - mean) ** 2).sum() / freedom)
    return Fit(coefficients, covariance, mean, iterations, converged)


def _get_step(trait: Array, design: Array, linear: Array, kind: str) -> Array | None:
    """Return Newton's step, halved until it does not lower the likelihood."""
    mean, variance = invert_link(linear, kind)
    information = design.T @ (variance[:, None] * design)
    try:
        step = np.asarray(
            np.linalg.solve(information, design.T @ (trait - mean)), float
        )
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(step).all():
        return None
    least = get_log_likelihood(trait, linear, kind)
    least -= 1e-9 * abs(least)
    for _ in range(MOST_HALVES):
        if get_log_likelihood(trait, linear + design @ step, kind) >= least:
            return step
        step = step / 2
    return step


def _invert(information: Array) -> Array:
    """Return the inverse of an information matrix, NaN where it has none."""
    try:
        return np.asarray(np.linalg.inv(information), np.float64)
    except np.linalg.LinAlgError:
        return np.full_like(information, np.nan)


def _make_back(centre: Array, scale: Array) -> Array:
    """Return the matrix from coefficients of standardised columns to those given."""
    back = np.diag(np.concatenate([[1.0], 1 / scale]))
    back[0, 1:] = -centre / scale
    return back


def _check_trait(trait: Array, n_columns: int, kind: str) -> None:
    if len(trait) == 0 or trait.min() == trait.max():
        value = f"{trait[0]:g}" if len(trait) else "no value"
        raise BadInput(
            f"the trait is {value} in all of {len(trait)} individuals; "
            "expected two values at least"
        )
    if kind == "binary" and not np.isin(trait, (0, 1)).all():
        odd = trait[~np.isin(trait, (0, 1))][0]
        raise BadInput(f"a binary trait is {odd:g}; expected 0 or 1")
    if kind == "count" and trait.min() < 0:
        raise BadInput(f"a count is {trait.min():g}; expected 0 or more")
    if len(trait) <= n_columns + 1:
        raise BadInput(
            f"{n_columns} covariates and an intercept for {len(trait)} individuals; "
            "expected more individuals than those"
        )


def _check_varied(columns: Array, names: Sequence[str]) -> None:
    for column, name in zip(columns.T, names, strict=True):
        if column.min() == column.max():
            raise BadInput(
                f"covariate {name} is {column[0]:g} in all of {len(column)} "
                "individuals; expected two values at least"
            )


def _check_sized(columns: Array, names: Sequence[str]) -> None:
    """Raise if the variance of a column is no number that can be divided by."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        variance = columns.var(axis=0)
    is_odd = ~((variance > 1 / LARGEST) & (variance < LARGEST))
    for column, name in zip(columns.T[is_odd], np.array(names)[is_odd], strict=True):
        raise BadInput(
            f"{name} runs from {column.min():g} to {column.max():g}; expected a "
            f"deviation between {LARGEST**-0.5:g} and {LARGEST**0.5:g}"
        )


def _check_independent(design: Array, names: Sequence[str]) -> None:
    """Raise if a column is a linear combination of those before it."""
    upper = np.linalg.qr(design, mode="r") / np.sqrt(len(design))
    for k in range(1, upper.shape[1]):
        if abs(upper[k, k]) < COLLINEAR:
            share = np.linalg.solve(upper[:k, :k], upper[:k, k])
            others = [names[j - 1] for j in range(1, k) if abs(share[j]) > 1e-6]
            raise BadInput(
                f"covariate {names[k - 1]} is a linear combination of "
                f"{' and '.join(others)}; expected columns that are not"
            )


def _check_overlap(trait: Array, columns: Array, names: Sequence[str]) -> None:
    """Raise if one column alone puts all cases on one side of the controls."""
    cases, controls = columns[trait == 1], columns[trait == 0]
    above = cases.min(axis=0) >= controls.max(axis=0)
    below = cases.max(axis=0) <= controls.min(axis=0)
    for name, is_apart in zip(names, above | below, strict=True):
        if is_apart:
            raise BadInput(
                f"covariate {name} separates cases from controls: its effect has no "
                "finite estimate; expected values that both have"
            )


def _explain(fit: Fit, names: Sequence[str], kind: str) -> str:
    """Say which columns a fit without an end has run off with."""
    size = np.abs(fit.coefficients[1:])
    far = [n for n, c in zip(names, size, strict=True) if c > size.max(initial=0) / 10]
    covariates = " and ".join(far) or INTERCEPT
    if kind == "binary":
        return (
            f"covariates {covariates} separate cases from controls: their effects "
            "have no finite estimate; expected values that both have"
        )
    return (
        f"the null model does not converge in {fit.iterations} steps, for "
        f"{covariates}; expected covariates whose effect has a finite estimate"
    )
