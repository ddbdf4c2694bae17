"""Genotypes of IMPUTE and Oxford .gen files: three probabilities an individual.

Lines are ``[chrom] id [rsid] position A B`` and the probabilities of AA, AB and BB; B
is the counted allele. A .sample file (of bcftools: .samples) of the same stem names the
individuals.
Format: https://www.cog-genomics.org/plink/2.0/formats#gen.
"""

from collections.abc import Iterator

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.companions import NOBODY, find_sample, read_people
from hpc_connector.loader.files import get_size
from hpc_connector.loader.probability_text import Lead, read_blocks
from hpc_connector.loader.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    convert_position,
)


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Count the individuals of the first line, and read the .sample file."""
    n_numbers = _get_n_columns(path) - _get_n_lead(path)
    n = n_numbers // 3
    sample = find_sample(path, options)
    people = read_people(sample, n, path) if sample else NOBODY
    return SampleFile(
        path=path,
        format="impute",
        n_individuals=n,
        individuals=people.individuals,
        phenotypes=people.phenotypes,
        families=people.families,
        coding=people.coding,
        n_bytes=get_size(path),
        options=options,
        assumed=people.assumed,
    )


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces of a file."""
    path = sample_file.path
    lines = read_lines(path, part, n_parts)
    yield from read_blocks(sample_file, lines, _get_n_lead(path), _convert_lead)


def _get_n_columns(path: str) -> int:
    first = next(read_lines(path), b"")
    return len(first.split())


def _get_n_lead(path: str) -> int:
    """Return the columns before the probabilities, 5 or 6."""
    n_columns = _get_n_columns(path)
    for n_lead in (5, 6):
        if n_columns > n_lead and (n_columns - n_lead) % 3 == 0:
            return n_lead
    raise BadInput(
        f"{path}: line 1 has {n_columns} columns: expected 5 or 6 and three for each "
        "individual"
    )


def _convert_lead(fields: list[str]) -> Lead:
    """Return id, chromosome, position and alleles of five or six columns."""
    chromosome, *names, position, a, b = fields
    return names[-1], chromosome, convert_position(position), b, a
