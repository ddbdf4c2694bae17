"""Which individuals are chosen: lists of them, and how many genotypes they lack."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner._genetics_kernels import SLIGHT
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.genotypes.samples import read_sample
from hpc_connector.loader.id_columns import Lookup
from hpc_connector.loader.individuals import Match, keep_individuals
from hpc_connector.notes import Assumption
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.text import split_blanks, split_lines
from mdr_epistasis.cohort.filters import Filters, find_unchosen
from mdr_epistasis.cohort.lists import Assumptions
from mdr_epistasis.options import Options

HEADS = {"#fid": 2, "#iid": 1, "fid": 2}  # columns of ids


class Calls(NamedTuple):
    """How many genotypes individuals lack.

    Parameters
    ----------
    n_missing
        Of each individual of each file, int64 (individuals of the file,).
    """

    n_variants: int
    n_missing: list[np.ndarray]


def count_calls(
    comm: Communicator,
    files: Sequence[SampleFile],
    pieces: Sequence[tuple[int, int, int]],
    filters: Filters,
) -> Calls:
    """Count, on all ranks, the genotypes that individuals lack among chosen variants.

    Parameters
    ----------
    pieces
        Of the files that this rank reads: file, part, number of parts.
    """
    n_variants = 0
    n_missing = [np.zeros(file.n_individuals, np.int64) for file in files]
    with end_together(comm):
        for f, part, n_parts in pieces:
            for block in read_sample(files[f], part, n_parts):
                names = filters.name_chromosomes(block.variants)
                is_chosen = find_unchosen(block.variants, filters, names) == 0
                n_variants += int(is_chosen.sum())
                n_missing[f] += (block.genotypes[is_chosen] < 0).sum(axis=0)
    shares = comm.allgather((n_variants, n_missing))
    n_of_ranks, missing_of_ranks = zip(*shares, strict=True)
    return Calls(
        sum(n_of_ranks),
        [np.sum(of, axis=0) for of in zip(*missing_of_ranks, strict=True)],
    )


def choose_individuals(
    args: Options, file: SampleFile, match: Match, calls: Calls | None
) -> Match:
    """Return a match without the individuals that options leave out.

    In PLINK's order: --keep, --remove, --mind. What each left out is counted.

    Parameters
    ----------
    file
        The first genotype file, which says who is who.
    calls
        Needed for --mind.

    Raises
    ------
    BadInput
        A list that cannot be read, or nobody is left.
    """
    for option, paths in (("--keep", args.keep), ("--remove", args.remove)):
        if paths is None:
            continue
        is_named, n_unknown, assumed = read_individuals(paths, file, option)
        is_kept = is_named[match.columns[0]] == (option == "--keep")
        said = "not of --keep" if option == "--keep" else "of --remove"
        match = leave_out(match, is_kept, f"individuals are {said}", option)
        match.counted[f"ids of {option} have no genotypes"] = n_unknown
        match.assumed.extend(assumed)
    if calls is not None:
        missing = sum(
            n[column] for n, column in zip(calls.n_missing, match.columns, strict=True)
        )
        most = int(args.mind * calls.n_variants * (1 + SLIGHT))
        said = "individuals lack more genotypes than --mind allows"
        match = leave_out(match, np.asarray(missing <= most), said, "--mind")
    return match


def leave_out(match: Match, is_kept: np.ndarray, said: str, option: str) -> Match:
    """Return a match without some individuals, who are counted."""
    if not is_kept.any():
        raise BadInput(
            f"{option} leaves nobody of {len(is_kept)} individuals: expected some that "
            "have genotypes and a label"
        )
    match.counted[f"{said}, and were left out"] = int((~is_kept).sum())
    return keep_individuals(match, is_kept)


def read_individuals(
    paths: Sequence[str], file: SampleFile, option: str
) -> tuple[np.ndarray, int, Assumptions]:
    """Return which individuals of a file lists name, as PLINK reads them.

    A line is FID and IID, or IID alone; or what a first line #FID or #IID says. What
    follows is left out.

    Returns
    -------
    bool (individuals of the file,); how many lines name nobody of them; what was
    assumed.
    """
    if file.individuals is None:
        raise BadInput(f"{file.path} names no individuals: {option} needs ids")
    lookup = Lookup(file)
    is_named = np.zeros(file.n_individuals, bool)
    unknown: set[tuple[str, ...]] = set()
    n_lines = 0
    noted: list[Assumption] = []
    for path in paths:
        text, assumed = read_noted_text(path)
        noted += assumed
        rows = [row for row in map(split_blanks, split_lines(text)) if row]
        head = HEADS.get(rows[0][0].casefold()) if rows else None
        for row in rows[head is not None :]:
            n_lines += 1
            ids = tuple(row[: head or 2])
            place = find_individual(lookup, ids)
            if place < 0:
                unknown.add(ids)
            else:
                is_named[place] = True
    if n_lines == 0:
        raise BadInput(f"{paths[0]} is empty: expected FID and IID, or IID, a line")
    return is_named, len(unknown), tuple(noted)


def find_individual(lookup: Lookup, ids: tuple[str, ...]) -> int:
    """Return the number of the individual of FID and IID, or IID alone; -1 if none.

    A file that knows no FID is asked for the IID, as PLINK reads a VCF file.
    """
    if len(ids) == 1:
        return lookup.find(ids[0])
    place = lookup.find_pair(*ids)
    return lookup.find(ids[1]) if place < 0 and not lookup.pairs else place
