"""The inputs of a search: which files they are, and what they say but genotypes."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import exists
from hpc_connector.loader.genotypes.companions import (
    TAKERS,
    choose_companions,
    get_bed,
    get_pgen,
    list_companions,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import get_format
from hpc_connector.loader.individuals import Match, find_labels, match_individuals
from hpc_connector.loader.traits import TraitColumn
from hpc_connector.notes import Assumption
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.access import share_keys
from mdr_epistasis.cohort.choice import Choice, list_files, read_choice
from mdr_epistasis.cohort.filters import Filters
from mdr_epistasis.cohort.folds import (
    CLASSES,
    SIDES,
    Classes,
    deal_folds,
    read_folds,
)
from mdr_epistasis.cohort.groups import deal_groups, read_groups
from mdr_epistasis.cohort.lists import Lists, read_list
from mdr_epistasis.cohort.loading import (
    get_own_labels,
    inspect_files,
    read_header,
    share_pieces,
)
from mdr_epistasis.cohort.people import Calls, choose_individuals, count_calls
from mdr_epistasis.cohort.pruning import read_pruning
from mdr_epistasis.cohort.sets import Sets, read_sets
from mdr_epistasis.cohort.sex import read_males
from mdr_epistasis.cohort.traits import (
    Trait,
    check_trait_options,
    has_controls,
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
    choice: Choice = Choice()
    sets: Sets | None = None
    is_male: np.ndarray | None = None
    trait: Trait | None = None


def read_inputs(args: Options, calls: Calls | None = None) -> Inputs:
    """Open the genotype files; read labels, folds and lists.

    Parameters
    ----------
    calls
        How many genotypes individuals lack, if --mind leaves some out.

    Raises
    ------
    BadInput
        Some cannot be used, or not together.
    """
    check_set_options(args)
    files, match, column = open_trait(args)
    match = choose_individuals(args, files[0], match, calls)
    match, trait = make_trait(args, files[0], match, column)
    if args.with_variants and not args.variants:
        raise BadInput("--with-variants needs --variants, the first list")
    classes = CLASSES if has_controls(trait) else SIDES
    fold, of_folds = choose_folds(args, files[0], match, classes)
    first, of_first = read_list(args.variants)
    second, of_second = read_list(args.with_variants)
    sets, of_sets = read_sets(args.sets)
    choice, of_choice = read_choice(args)
    read_pruning(args.ld_prune)  # refuses what is none
    match.assumed.extend((*of_folds, *of_first, *of_second, *of_choice, *of_sets))
    is_male = read_males(args, files[0], match)
    lists = Lists(first, second)
    return Inputs(files, match, fold, lists, choice, sets, is_male, trait)


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


def check_set_options(args: Options) -> None:
    """Refuse options that do not go with --sets."""
    others = {"--variants": args.variants, "--all-models": args.all_models}
    others |= {"--order 3": args.order == 3}
    if args.sets and (wrong := [name for name, given in others.items() if given]):
        raise BadInput(f"{wrong[0]} does not go with --sets, which are of pairs")


def choose_folds(
    args: Options, file: SampleFile, match: Match, classes: Classes = CLASSES
) -> tuple[np.ndarray, tuple[Assumption, ...]]:
    """Return the fold of each individual, int64, and what was assumed of a file."""
    if args.fold_file and args.groups:
        raise BadInput("--groups does not go with --fold-file, which has the folds")
    if args.fold_file:
        fold, assumed, n_unknown = read_folds(args.fold_file, file, match, classes)
        match.counted["individuals of --fold-file have no genotypes"] = n_unknown
        return fold, assumed
    if args.groups:
        group, assumed, n_unknown = read_groups(args.groups, file, match)
        match.counted["individuals of --groups have no genotypes"] = n_unknown
        known = (match.is_case, group, args.folds, args.seed, classes)
        return deal_groups(*known), assumed
    return deal_folds(match.is_case, args.folds, args.seed, classes), ()


def look_for_calls(comm: Communicator, args: Options) -> Calls | None:
    """Count, on all ranks, the genotypes that individuals lack, if --mind asks."""
    if args.mind == 1:
        return None
    found: Any = None
    with end_together(comm):
        if comm.rank == 0:
            files = inspect_files(args.genotypes, choose_options(args))
            lists = Lists(read_list(args.variants)[0], read_list(args.with_variants)[0])
            choice, sets = read_choice(args)[0], read_sets(args.sets)[0]
            found = files, make_filters(args, lists, choice, sets)
    files, filters = comm.bcast(found)
    share_keys(comm)
    return count_calls(comm, files, share_pieces(comm, files), filters)


def make_filters(
    args: Options,
    lists: Lists,
    choice: Choice,
    sets: Sets | None,
    is_male: np.ndarray | None = None,
    *,
    of_all: bool = False,
) -> Filters:
    """Return which variants are read.

    Parameters
    ----------
    of_all
        Equilibrium is expected in all individuals, for there are no controls.
    """
    first, second = lists
    only = first | second if first and second else first
    if sets is not None:
        only = frozenset(name for of_set in sets.ids for name in of_set)
    return Filters(
        args.min_maf,
        args.max_missing,
        only,
        get_slice(args),
        args.hwe,
        hwe_of_all=of_all,
        choice=choice,
        x_model=args.x_chr_model,
        is_male=is_male,
    )


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
    named = {name: getattr(args, name) or () for name in TAKERS}
    return choose_companions(args.genotypes, options, named)


def list_inputs(args: Options) -> list[str]:
    """Return the files that decide the results, each once."""
    options = choose_options(args)
    names = [get_file(path) for path in args.genotypes]
    for path, chosen in zip(args.genotypes, options, strict=True):
        names += list_companions(path, chosen)
    others = [
        args.labels,
        args.phenotype,
        args.covariates,
        args.fold_file,
        args.groups,
        args.variants,
        args.with_variants,
    ]
    others += [args.sets, *(args.keep or ()), *(args.remove or ())]
    others += [*list_files(args.extract), *list_files(args.exclude)]
    return list(dict.fromkeys([*names, *(name for name in others if name)]))


def get_file(name: str) -> str:
    """Return a genotype file itself, or the .bed or .pgen file of a PLINK prefix."""
    if exists(name):
        return name
    return get_pgen(name) if get_format(name) == "pgen" else get_bed(name)


def get_slice(args: Options) -> float:
    """Return the share of the variants whose models are the share to be tried."""
    return float((args.slice or 1.0) ** (1 / args.order))
