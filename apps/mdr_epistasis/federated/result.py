"""The result of a federated search: the columns of one of the pooled cohort."""

from typing import Any

import numpy as np

from hpc_connector.federation.pooled import Pooled
from hpc_connector.federation.release import check_columns, make_tables
from hpc_connector.federation.stages import Kept
from hpc_connector.federation.study import Study
from hpc_connector.federation.variants import Reference, pick
from hpc_connector.learner.genetics import get_hwe_p, get_r2
from hpc_connector.learner.mdr.models import describe_counts
from hpc_connector.learner.mdr.search import Best
from mdr_epistasis.cohort.choice import name_chromosomes
from mdr_epistasis.cohort.filters import HAPLOID
from mdr_epistasis.cohort.loading import COLUMNS
from mdr_epistasis.cohort.sex import X
from mdr_epistasis.output.files import Columns
from mdr_epistasis.output.models import (
    Model,
    add_means,
    add_places,
    append_winners,
    list_models,
)


def list_all(best: Best, folds: int) -> tuple[list[Model], list[Model], np.ndarray]:
    """Return the models of the list, those of the folds, and all, int64 (models, 2)."""
    listed, winners = list_models(best, folds)
    return listed, winners, append_winners(listed, winners)


def list_variants(reference: Reference, kept: Kept) -> Columns:
    """Return the columns of the variants that are searched."""
    columns = pick(reference.columns, kept.layout.rows)
    columns |= {"frequency": kept.frequency, "missing": kept.missing}
    return {n: np.asarray(columns[n], dtype) for n, dtype in COLUMNS.items()}


def describe(
    pooled: Pooled, kept: Kept, best: Best, tables: np.ndarray, variants: Columns
) -> Columns:
    """Return the columns of the models, as ``output.models.describe`` of one cohort.

    Parameters
    ----------
    tables
        Of each model by fold, int64 (models, groups, 9 or 16).
    """
    listed, winners, models = list_all(best, pooled.folds)
    columns = describe_counts(tables, tie_low=pooled.study.tie == "low")
    columns |= describe_genetics(pooled, tables, models, variants)
    add_means(columns, pooled.folds)
    add_places(columns, models, len(listed), winners)
    if pooled.folds > 1 and not kept.is_exact:  # which best model of a fold is unknown
        columns["cv_consistency"] = np.full(len(models), np.nan)
    return columns


def describe_genetics(
    pooled: Pooled, tables: np.ndarray, models: np.ndarray, variants: Columns
) -> Columns:
    """Return the columns r2 and hwe_p of the models."""
    n_levels = round(tables.shape[2] ** 0.5)
    square = tables.sum(axis=1).reshape(-1, n_levels, n_levels)
    controls = pooled.counts[:, pooled.folds :, :3].sum(axis=1)
    p = get_hwe_p(controls)
    p[np.isin(name_chromosomes(variants["chromosome"]), (*HAPLOID, X))] = np.nan
    return {"r2": get_r2(square[:, :3, :3]), "hwe_p": p[models]}


def let_out(study: Study, columns: Columns) -> dict[str, Any]:
    """Return what may be let out of the models."""
    out: dict[str, Any] = {"columns": check_columns(columns)}
    if study.release.columns == "tables":
        cases, controls = columns["cases"], columns["controls"]
        least = study.release.least_cell
        tables, n_hidden = make_tables(cases, controls, columns["high_risk"], least)
        out |= {"tables": tables, "hidden": n_hidden}
    return out
