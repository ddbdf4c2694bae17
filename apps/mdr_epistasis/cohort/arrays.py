"""The trait and covariates of a search of arrays, read as those of files."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.traits import (
    UNKNOWN,
    Covariate,
    convert_numbers,
    make_columns,
    refuse_infinite,
)
from mdr_epistasis.cohort.traits import Trait, adjust, encode_strata


def make_array_trait(
    values: NDArray[np.float64],
    kind: str,
    covariates: Any,
    strata: ArrayLike | None,
    bits: int,
) -> tuple[NDArray[np.int8], NDArray[np.int64], Trait | None]:
    """Return who is scored above 0, who is kept, and the trait of those.

    Parameters
    ----------
    values
        Of the trait, NaN where missing, shape (individuals,); of a binary one 0 and 1.
    covariates
        Numbers of shape (individuals,) or (individuals, covariates); or columns by
        name, as of a pandas.DataFrame, of numbers or texts; or None.

    Returns
    -------
    int8 and int64 (kept,); the trait is None of cases and controls without covariates.

    Raises
    ------
    BadInput
        What is no covariate of so many individuals.
    """
    n = len(values)
    known = list_covariates(covariates, n)
    groups = None if strata is None else _make_texts("strata", strata, n)
    needed = known if groups is None else [*known, groups]
    is_kept = ~np.isnan(values)
    for one in needed:
        is_kept &= ~one.is_missing
    kept = np.flatnonzero(is_kept)
    if not len(kept):
        raise BadInput(f"nobody of {n} individuals has a trait and covariates")
    if kind == "binary" and not needed:
        return values[kept].astype(np.int8), kept, None
    found = adjust("trait", kind, values[kept], *make_columns(known, kept), bits)
    if groups is not None:
        found = replace(found, strata=encode_strata(groups, kept))
    return found.scores.is_positive, kept, found


def list_words(column: ArrayLike, name: str) -> list[str]:
    """Return the values of a column as a table would have them, empty where missing."""
    found = np.asarray(np.ma.filled(column, np.nan) if np.ma.isMA(column) else column)
    if found.ndim != 1:
        raise BadInput(f"{name} of shape {found.shape}: expected (individuals,)")
    if found.dtype.kind in "biuf":
        plain = found.astype(np.int8) if found.dtype.kind == "b" else found
        return ["" if value != value else repr(value) for value in plain.tolist()]
    return ["" if is_unknown(value) else str(value).strip() for value in found.tolist()]


def is_unknown(value: Any) -> bool:
    """Return whether a value of Python is missing."""
    return value is None or value != value or str(value).strip().casefold() in UNKNOWN


def list_covariates(covariates: Any, n: int) -> list[Covariate]:
    """Return covariates of `n` individuals, by columns."""
    if covariates is None:
        return []
    if isinstance(covariates, Mapping) or hasattr(covariates, "columns"):
        named = [(str(name), column) for name, column in covariates.items()]
    else:
        table = np.asarray(covariates)
        if table.ndim not in (1, 2):
            raise BadInput(
                f"covariates of shape {table.shape}: expected (individuals, covariates)"
            )
        columns = enumerate(np.atleast_2d(table.T), start=1)
        named = [(f"covariate_{k}", column) for k, column in columns]
    return [_make_covariate(name, column, n) for name, column in named]


def _make_covariate(name: str, column: ArrayLike, n: int) -> Covariate:
    """Return a column as numbers where it has them, else as texts."""
    texts = _make_texts(name, column, n)
    numbers, wrong = convert_numbers(texts.texts, is_plink=False)
    if wrong is None:
        return Covariate(name, numbers)
    refuse_infinite(name, texts.texts)
    return texts


def _make_texts(name: str, column: ArrayLike, n: int) -> Covariate:
    """Return a column as texts, empty where missing."""
    texts = tuple(list_words(column, name))
    if len(texts) != n:
        raise BadInput(
            f"{name} of {len(texts)} individuals: expected {n}, as of the trait"
        )
    return Covariate(name, np.zeros(0), texts)
