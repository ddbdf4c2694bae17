"""The trait of a search: read, adjusted for covariates, and turned into scores.

Generalised MDR (Lou et al. 2007, doi:10.1086/518312) scores an individual by what is
left of the trait when a null model of the covariates is taken away. Plain cases and
controls have no scores: they are searched by plain MDR.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.learner.gmdr.null_model import NullModel, fit_null_model
from hpc_connector.learner.gmdr.scores import Scores, make_scores
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.individuals import Match, keep_individuals
from hpc_connector.loader.traits import (
    Covariate,
    People,
    TraitColumn,
    make_columns,
    read_categories,
    read_covariates,
    read_own_trait,
    read_people,
    read_trait,
)
from hpc_connector.notes import Assumption
from mdr_epistasis.options import Options

NOTHING = 1e-9  # of the trait; what is left beyond is the error of sums


@dataclass(frozen=True)
class Trait:
    """What models are scored by, of the individuals of a cohort.

    Parameters
    ----------
    kind
        ``binary``, ``quantitative`` or ``count``.
    values
        The trait itself, float64 (individuals,).
    columns
        Of the null model but the intercept, float64 (individuals, columns).
    scores
        What the null model leaves, exact and as integers.
    strata
        Within which it is permuted: codes from 0, int64 (individuals,), or None.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    columns: NDArray[np.float64]
    null_model: NullModel
    scores: Scores
    strata: NDArray[np.int64] | None = None


def has_controls(trait: Trait | None) -> bool:
    """Return whether individuals are cases and controls, and not of other values."""
    return trait is None or trait.kind == "binary"


def check_trait_options(args: Options) -> None:
    """Refuse options about traits that do not go together."""
    if args.phenotype and args.labels:
        raise BadInput("--phenotype and --labels both say who is a case: expected one")
    if args.trait and not args.phenotype:
        raise BadInput("--trait names a column of --phenotype FILE, which is not given")
    if args.labels and args.trait_kind not in ("auto", "binary"):
        raise BadInput(
            f"--trait-kind {args.trait_kind}: --labels are of cases and controls; "
            "expected --phenotype FILE"
        )
    names = ("covariate_names", "strata")
    for name in (name for name in names if getattr(args, name)):
        if not (args.covariates or args.phenotype or args.labels):
            option = name.replace("_", "-")
            raise BadInput(f"--{option} names columns of --covariates FILE: not given")


def check_permutation(args: Options, trait: Trait | None) -> None:
    """Refuse to permute genotypes within classes where there are scores instead."""
    if trait and args.permutation_test == "interaction":
        raise BadInput(
            "--permutation-test interaction is of cases and controls without "
            f"covariates: {trait.name} is scored, expected labels"
        )


def read_trait_column(args: Options, file: SampleFile) -> TraitColumn:
    """Read the trait of the individuals of a genotype file."""
    if args.phenotype is None:
        return read_own_trait(file, args.trait_kind)
    people = read_table(args, args.phenotype, file)
    coding = "plain" if args.zero_one else None
    return read_trait(
        people, file, name=args.trait, kind=args.trait_kind, coding=coding
    )


def read_table(args: Options, path: str, file: SampleFile) -> People:
    """Read a table about individuals, whose columns the options name."""
    words = (args.trait, args.label_column, args.strata, *(args.covariate_names or ()))
    chosen = [part for word in words if word for part in word.split(",")]
    return read_people(path, file, id_column=args.id_column, chosen=chosen)


def make_trait(
    args: Options, file: SampleFile, match: Match, column: TraitColumn | None
) -> tuple[Match, Trait | None]:
    """Fit the null model of a trait; leave out whoever lacks a covariate.

    Parameters
    ----------
    file
        The first genotype file, which says who is who.
    column
        The trait, None of labels.

    Returns
    -------
    The match, in which ``is_case`` says whose score is above 0; and the trait, None of
    cases and controls without covariates.

    Raises
    ------
    BadInput
        Covariates that cannot be read, or a null model that cannot be fitted.
    """
    covariates, strata = read_columns(args, file, match, column)
    kind = column.kind if column else "binary"
    if kind == "binary" and not covariates and strata is None:
        return match, None
    known = covariates if strata is None else [*covariates, strata]
    match = drop_missing(match, known)
    here = match.columns[0]
    values = column.values[here] if column else match.is_case.astype(np.float64)
    name = column.name if column else "case"
    trait = adjust(name, kind, values, *make_columns(covariates, here), args.score_bits)
    check_permutation(args, trait)
    if strata is not None:
        trait = replace(trait, strata=encode_strata(strata, here))
    return replace(match, is_case=trait.scores.is_positive), trait


def read_columns(
    args: Options, file: SampleFile, match: Match, trait: TraitColumn | None
) -> tuple[list[Covariate], Covariate | None]:
    """Return the covariates of a genotype file's individuals, and the strata.

    Covariates without a file of their own are columns of that of the trait; strata are
    a column of either.
    """
    base = args.phenotype or args.labels
    path = args.covariates or base
    names = args.covariate_names or ()
    if path is None or not (names or args.covariates or args.strata):
        return [], None
    people = read_table(args, path, file)
    covariates: list[Covariate] = []
    assumed: list[Assumption] = []
    if names or args.covariates:
        own = {args.label_column, args.strata, trait.name if trait else None}
        without = [k for k, name in enumerate(people.table.header) if name in own]
        covariates, assumed = read_covariates(people, names, without)
    match.assumed.extend((*people.assumed, *assumed))
    if args.strata is None:
        return covariates, None
    if args.strata not in people.table.header and base and path != base:
        people = read_table(args, base, file)
    return covariates, read_categories(people, args.strata)


def drop_missing(match: Match, covariates: Sequence[Covariate]) -> Match:
    """Leave out whoever lacks a covariate, and count them by covariate."""
    here = match.columns[0]
    is_kept = np.ones(len(here), bool)
    for one in covariates:
        is_missing = one.is_missing[here]
        match.counted[f"individuals lack {one.name} and were left out"] = int(
            (is_kept & is_missing).sum()
        )
        is_kept &= ~is_missing
    if not is_kept.any():
        names = ", ".join(one.name for one in covariates)
        raise BadInput(f"nobody of {len(here)} individuals has all of {names}")
    return keep_individuals(match, is_kept)


def encode_strata(strata: Covariate, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the strata of some individuals as codes from 0."""
    codes = np.unique(np.array(strata.texts)[chosen], return_inverse=True)[1]
    return codes.astype(np.int64)


def adjust(
    name: str,
    kind: str,
    values: NDArray[np.float64],
    names: Sequence[str],
    columns: NDArray[np.float64],
    bits: int,
) -> Trait:
    """Return a trait with the scores that a null model of its covariates leaves."""
    model = fit_null_model(values, columns, names, kind)
    residual = values - model.fitted
    if np.abs(residual).max() <= NOTHING * np.abs(values).max():
        raise BadInput(
            f"{name} is explained by {', '.join(names)} completely: nothing is left to "
            "search for"
        )
    scores = make_scores(residual, bits)
    return Trait(name, kind, values, columns, model, scores)


def describe_trait(trait: Trait) -> dict[str, Any]:
    """Return the trait's part of the manifest."""
    model = trait.null_model
    table = zip(model.names, model.coefficients, model.standard_errors, strict=True)
    return {
        "name": trait.name,
        "kind": trait.kind,
        "covariates": list(model.names[1:]),
        "strata": None if trait.strata is None else int(trait.strata.max()) + 1,
        "score_bits": trait.scores.bits,
        "null_model": {
            name: {"coefficient": float(beta), "standard_error": float(error)}
            for name, beta, error in table
        },
        "iterations": int(model.iterations),
    }
