"""How long a run takes on some ranks, from what runs took before.

The model is Ernest's (Venkataraman et al., NSDI 2016), with the formula of the program
in place of w/p and a term for work that each rank repeats:

    t = a + b formula + c log2 p + d p + e w

It is fitted to relative errors. No coefficient is negative, so it can be trusted beyond
the ranks that were seen. What is left is smoothed by a Gaussian process on logarithms,
which has an effect near recorded runs only.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS = 5  # fewer are too few to leave one out and learn from the rest
LEAST_SMOOTHED = 8
PRIOR = 0.3  # weight of the formula's word that b is 1 and e is 0, beside a run
RIDGE = np.array([1e-4, 0, 1e-2, 1e-2, 1e-2])  # where runs leave it open, the first two
CPU_PRIOR = 0.02  # CPU time is measured well
CPU_RIDGE = np.array([1e-2, 0, 1e-1, 1e-4, 1e-1])  # what is no work, each rank does
LENGTHS = (0.5, 1.0, 2.0, 4.0)  # of the process, in doublings of work and of ranks
HEIGHTS = (0.05, 0.1, 0.2, 0.4)  # of the logarithm of a time
NOISES = (0.02, 0.05, 0.1, 0.2)
Shape: TypeAlias = tuple[float, float, float]  # length, height, noise


@dataclass(frozen=True)
class Sizes:
    """What runs do, each array of shape (runs,), float64.

    Parameters
    ----------
    formula_s
        Seconds by the formula of the program: w/p and what is serial, or CPU time.
    work
        Core seconds by the formula, w.
    ranks
        Ranks times threads, p.
    """

    formula_s: NDArray[np.float64]
    work: NDArray[np.float64]
    ranks: NDArray[np.float64]

    def __getitem__(self, chosen: NDArray[np.float64] | slice) -> "Sizes":
        """Return some of the runs."""
        return Sizes(self.formula_s[chosen], self.work[chosen], self.ranks[chosen])


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process; `weights` of shape (runs,) at `places` of shape (runs, 2)."""

    length: float
    height: float
    noise: float
    places: NDArray[np.float64]
    weights: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Model:
    """What was learnt from runs.

    Parameters
    ----------
    coefficients
        Of the five terms, shape (5,).
    process
        Of the logarithm of what is left; None where runs are few.
    errors
        Logarithms of what runs took over what the model of the others says, sorted.
    """

    coefficients: NDArray[np.float64]
    process: GaussianProcess | None
    errors: NDArray[np.float64]


def solve_nonnegative(
    matrix: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return x >= 0 with the least squares of ``matrix @ x - target``.

    All sets of columns are tried, for there are few.

    Parameters
    ----------
    matrix
        Shape (rows, columns).
    target
        Shape (rows,).
    """
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    q, r = np.linalg.qr(matrix / scale)
    short = q.T @ target
    best, least = np.zeros(len(scale)), float(short @ short)
    for chosen in itertools.product((False, True), repeat=len(scale)):
        columns = np.flatnonzero(chosen)
        x = np.linalg.lstsq(r[:, columns], short)[0]
        left = short - r[:, columns] @ x
        if (x >= 0).all() and left @ left < least:
            best, least = np.zeros(len(scale)), float(left @ left)
            best[columns] = x
    weighted: NDArray[np.float64] = best / scale
    return weighted


def fit(
    sizes: Sizes,
    time_s: NDArray[np.float64],
    *,
    trust: float = PRIOR,
    ridge: NDArray[np.float64] = RIDGE,
) -> Model:
    """Return the model of runs.

    Parameters
    ----------
    time_s
        What they took, shape (runs,); one run at least.
    trust
        Weight of the formula, 0 where its seconds are not those of this machine.
    ridge
        Weights that pull the terms to 0, where runs do not tell them apart.
    """
    coefficients, process = _fit_both(sizes, time_s, trust, ridge)
    n = len(time_s)
    if n < LEAST_RUNS:
        errors = _get_ratio(sizes, time_s, coefficients) + math.log1p(1 / n)
    else:
        shape = (process.length, process.height, process.noise) if process else None
        errors = np.array(
            [_leave_out(sizes, time_s, trust, ridge, shape, k) for k in range(n)]
        )
    return Model(coefficients, process, np.sort(errors))


def predict(model: Model, sizes: Sizes, quantile: float = 0.5) -> NDArray[np.float64]:
    """Return seconds that runs do not exceed with a probability, shape (runs,).

    Above the median the errors of past runs are added: of 9, the greatest is P90.
    """
    log_s = _predict_log(model.coefficients, model.process, sizes)
    if quantile > 0.5:
        n = len(model.errors)
        place = min(math.ceil((n + 1) * quantile), n) - 1
        log_s = log_s + max(model.errors[place], 0.0)
    return np.exp(log_s)


def _make_terms(sizes: Sizes) -> NDArray[np.float64]:
    """Return the five terms of the model, shape (runs, 5)."""
    p = sizes.ranks
    return np.stack([np.ones_like(p), sizes.formula_s, np.log2(p), p, sizes.work], -1)


def _fit_terms(
    sizes: Sizes, time_s: NDArray[np.float64], trust: float, ridge: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients; they are pulled to the formula where runs say little."""
    terms = _make_terms(sizes)
    rows = np.concatenate(
        [
            terms / time_s[:, None],
            np.diag(ridge * terms.mean(axis=0) / time_s.mean()),
            trust * np.eye(5)[[1, 4]],
        ]
    )
    target = np.concatenate([np.ones(len(time_s)), np.zeros(5), [trust, 0]])
    return solve_nonnegative(rows, target)


def _fit_both(
    sizes: Sizes,
    time_s: NDArray[np.float64],
    trust: float,
    ridge: NDArray[np.float64],
    shape: Shape | None = None,
) -> tuple[NDArray[np.float64], GaussianProcess | None]:
    """Return the coefficients, and the process where runs are not few."""
    coefficients = _fit_terms(sizes, time_s, trust, ridge)
    if shape is None and len(time_s) < LEAST_SMOOTHED:
        return coefficients, None
    ratio, places = _get_ratio(sizes, time_s, coefficients), _get_places(sizes)
    shape = shape or _choose_shape(places, ratio)
    weights = np.linalg.solve(_add_noise(places, shape), ratio)
    return coefficients, GaussianProcess(*shape, places, weights)


def _predict_log(
    coefficients: NDArray[np.float64], process: GaussianProcess | None, sizes: Sizes
) -> NDArray[np.float64]:
    log_s = np.log(np.maximum(_make_terms(sizes) @ coefficients, 1e-9))
    if process is None:
        return log_s
    k = _get_covariance(
        _get_places(sizes), process.places, process.length, process.height
    )
    return log_s + k @ process.weights


def _get_ratio(
    sizes: Sizes, time_s: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.log(time_s) - _predict_log(coefficients, None, sizes)


def _leave_out(
    sizes: Sizes,
    time_s: NDArray[np.float64],
    trust: float,
    ridge: NDArray[np.float64],
    shape: Shape | None,
    k: int,
) -> float:
    """Return the logarithm of what a run took over what the others say of it."""
    others = np.arange(len(time_s)) != k
    fitted = _fit_both(sizes[others], time_s[others], trust, ridge, shape)
    return float(np.log(time_s[k]) - _predict_log(*fitted, sizes[k : k + 1])[0])


def _get_places(sizes: Sizes) -> NDArray[np.float64]:
    places = np.stack([np.maximum(sizes.work, 1e-9), sizes.ranks], axis=-1)
    logs: NDArray[np.float64] = np.log2(places)
    return logs


def _get_covariance(
    a: NDArray[np.float64], b: NDArray[np.float64], length: float, height: float
) -> NDArray[np.float64]:
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    falls: NDArray[np.float64] = np.exp(-square / (2 * length**2))
    return height**2 * falls


def _add_noise(places: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    length, height, noise = shape
    k = _get_covariance(places, places, length, height)
    return k + noise**2 * np.eye(len(places))


def _choose_shape(places: NDArray[np.float64], ratio: NDArray[np.float64]) -> Shape:
    """Return length, height and noise under which the ratios are most likely."""

    def get_surprise(shape: Shape) -> float:
        k = _add_noise(places, shape)
        return float(ratio @ np.linalg.solve(k, ratio) + np.linalg.slogdet(k)[1])

    return min(itertools.product(LENGTHS, HEIGHTS, NOISES), key=get_surprise)
