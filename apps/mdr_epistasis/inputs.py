"""The inputs of a search: which files they are, and what they say but genotypes."""

from functools import partial
from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import exists
from hpc_connector.loader.genotypes.companions import (
    choose_companions,
    get_bed,
    list_companions,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import get_format
from hpc_connector.loader.individuals import Match, find_labels, match_individuals
from hpc_connector.loader.traits import TraitColumn
from mdr_epistasis.cohort.folds import CLASSES, SIDES, deal_folds, read_folds
from mdr_epistasis.cohort.lists import Lists, read_list
from mdr_epistasis.cohort.loading import get_own_labels, inspect_files, read_header
from mdr_epistasis.cohort.traits import (
    Trait,
    check_trait_options,
    make_trait,
    read_trait_column,
)
from mdr_epistasis.options import Options


class Inputs(NamedTuple):
    """What a search is given.

    Parameters
    ----------
    match
        The individuals of the cohort, and who of them is a case.
    fold
        Of each individual, int64 (individuals,).
    trait
        What models are scored by; None of plain cases and controls.
    """

    files: list[SampleFile]
    match: Match
    fold: np.ndarray
    lists: Lists
    trait: Trait | None = None


def read_inputs(args: Options) -> Inputs:
    """Open the genotype files; read labels, folds and lists.

    Raises
    ------
    BadInput
        Some cannot be used, or not together.
    """
    files, match, column = open_trait(args)
    match, trait = make_trait(args, files[0], match, column)
    if args.with_variants and not args.variants:
        raise BadInput("--with-variants needs --variants, the first list")
    classes = SIDES if trait and trait.kind != "binary" else CLASSES
    if args.fold_file:
        found = read_folds(args.fold_file, files[0], match, classes)
        fold, of_folds, n_unknown = found
        match.counted["individuals of --fold-file have no genotypes"] = n_unknown
    else:
        fold = deal_folds(match.is_case, args.folds, args.seed, classes)
        of_folds = ()
    first, of_first = read_list(args.variants)
    second, of_second = read_list(args.with_variants)
    match.assumed.extend((*of_folds, *of_first, *of_second))
    return Inputs(files, match, fold, Lists(first, second), trait)


def open_trait(args: Options) -> tuple[list[SampleFile], Match, TraitColumn | None]:
    """Return opened genotype files, their individuals matched, and their trait.

    The trait is None where the individuals are plain cases and controls.
    """
    check_trait_options(args)
    if args.phenotype is None and args.trait_kind in ("auto", "binary"):
        return (*open_files(args), None)
    files = inspect_files(args.genotypes, choose_options(args))
    column = read_trait_column(args, files[0])
    where = args.phenotype or files[0].path
    return files, match_individuals(files, column.labels, where), column


def open_files(args: Options) -> tuple[list[SampleFile], Match]:
    """Return opened genotype files, and their individuals matched with the labels."""
    coding = "plain" if args.zero_one else None
    find = partial(get_own_labels, coding=coding)
    if args.labels:
        find = partial(
            find_labels,
            args.labels,
            id_column=args.id_column,
            case_column=args.label_column,
            coding=coding,
        )
    return read_header(args.genotypes, choose_options(args), find, args.labels)


def choose_options(args: Options) -> list[ReadOptions]:
    """Return how each genotype file is read."""
    options = ReadOptions(
        args.imputation_threshold,
        args.pass_only,
        args.vcf_field,
        args.half_call,
        args.chromosome or "",
    )
    named = {name: getattr(args, name) or () for name in ("sample_file", "fam", "bim")}
    return choose_companions(args.genotypes, options, named)


def list_inputs(args: Options) -> list[str]:
    """Return the files that decide the results, each once."""
    options = choose_options(args)
    names = [get_file(path) for path in args.genotypes]
    for path, chosen in zip(args.genotypes, options, strict=True):
        names += list_companions(path, chosen)
    others = [args.labels, args.phenotype, args.covariates, args.fold_file]
    others += [args.variants, args.with_variants]
    return list(dict.fromkeys([*names, *(name for name in others if name)]))


def get_file(name: str) -> str:
    """Return a genotype file itself, or the .bed file of a PLINK prefix."""
    if exists(name):
        return name
    get_format(name)  # says what it is, if there is none
    return get_bed(name)


def get_slice(args: Options) -> float:
    """Return the share of the variants whose models are the share to be tried."""
    return float((args.slice or 1.0) ** (1 / args.order))
