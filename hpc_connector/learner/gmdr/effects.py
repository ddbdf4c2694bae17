"""The effect of the high-risk class of a model, beside the covariates."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.gmdr.models import get_cells
from hpc_connector.learner.gmdr.null_model import (
    Array,
    add_intercept,
    fit_columns,
    link,
)
from hpc_connector.learner.mdr.bitplanes import Arrangement

LARGEST_CONDITION = 1e14  # of a covariance matrix that means something


def get_effects(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    models: NDArray[np.int64],
    high_risk: NDArray[np.bool_],
    trait: Array,
    columns: Array,
    kind: str,
    *,
    level: bool,
) -> dict[str, NDArray[Any]]:
    """Fit the null model with a column that is 1 where a model says high risk.

    Parameters
    ----------
    models, high_risk
        Variant indices, int64 (models, order), and the label of each cell, boolean
        (models, cells), from ``describe_models``.
    trait, columns, kind
        Those of the null model.

    Returns
    -------
    ``beta`` on the scale of the link, ``standard_error``, and ``wald_p``, two-sided
    and normal, not corrected for the search: float64 (models,). NaN where the class
    has no finite estimate, as where it holds cases alone, or all individuals.
    """
    scale = columns.std(axis=0)
    design = add_intercept((columns - columns.mean(axis=0)) / scale)
    start = np.zeros(design.shape[1])
    start[0] = link(np.array([trait.mean()]), kind)[0]
    start = fit_columns(trait, design, kind, start).coefficients
    found = np.full((3, len(models)), np.nan)
    for row, model in enumerate(models):
        cell = get_cells(planes, arrangement, model[None], level=level)[0]
        called = cell >= 0
        high = high_risk[row, cell[called]].astype(np.float64)
        known = design if called.all() else design[called]
        found[:, row] = _fit_class(trait[called], known, high, kind, start)
    return dict(zip(("beta", "standard_error", "wald_p"), found, strict=True))


def _fit_class(
    trait: Array, design: Array, high: Array, kind: str, start: Array
) -> tuple[float, float, float]:
    """Return effect, standard error and p of one 0/1 column, or NaN."""
    none = math.nan, math.nan, math.nan
    if not 0 < high.sum() < len(high) or not _overlaps(trait, high, kind):
        return none
    fit = fit_columns(trait, np.column_stack([design, high]), kind, np.append(start, 0))
    if not (fit.converged and np.linalg.cond(fit.covariance) < LARGEST_CONDITION):
        return none
    beta, error = fit.coefficients[-1], math.sqrt(fit.covariance[-1, -1])
    return beta, error, math.erfc(abs(beta) / error / math.sqrt(2))


def _overlaps(trait: Array, high: Array, kind: str) -> bool:
    """Return whether both classes of risk hold what a finite effect takes."""
    of_high, of_low = trait[high == 1], trait[high == 0]
    if kind == "binary":
        return bool(0 < of_high.mean() < 1 and 0 < of_low.mean() < 1)
    return kind != "count" or bool(of_high.any() and of_low.any())
