"""Genotypes of IMPUTE and Oxford .gen files: three probabilities an individual.

Lines are ``[chrom] id rsid position A B`` and the probabilities of AA, AB and BB; B is
the counted allele. A .sample file (of bcftools: .samples) of the same stem names the
individuals.
Format: https://www.cog-genomics.org/plink/2.0/formats#gen.
"""

from collections.abc import Callable, Iterator
from functools import partial

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.files import get_size
from hpc_connector.loader.genotypes.companions import NOBODY, find_sample, read_people
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    convert_position,
    get_version,
)
from hpc_connector.loader.genotypes.text.chromosomes import (
    Rule,
    find_rule,
    get_chromosome,
)
from hpc_connector.loader.genotypes.text.probabilities import Lead, read_blocks
from hpc_connector.notes import Assumption


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Count the individuals of the first line, and read the .sample file."""
    n_lead = _get_n_lead(path)
    n = (_get_n_columns(path) - n_lead) // 3
    sample = find_sample(path, options)
    people = read_people(sample, n, path) if sample else NOBODY
    placed: tuple[Assumption, ...] = ()
    if n_lead == 5:
        placed = tuple(find_rule(path, get_version(path), options).describe(path))
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
        assumed=(*people.assumed, *placed),
    )


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces of a file."""
    path, n_lead = sample_file.path, _get_n_lead(sample_file.path)
    convert: Callable[[list[str]], Lead] = convert_six
    if n_lead == 5:
        rule = find_rule(path, get_version(path), sample_file.options)
        convert = convert_column if rule.in_column else partial(convert_five, rule)
    lines = read_lines(path, part, n_parts)
    yield from read_blocks(sample_file, lines, n_lead, convert)


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


def convert_six(fields: list[str]) -> Lead:
    """Return id, chromosome, position and alleles of six columns."""
    chromosome, _, name, position, a, b = fields
    return name, chromosome, convert_position(position), b, a


def convert_column(fields: list[str]) -> Lead:
    """Return id, chromosome (the first of five columns), position and alleles."""
    chromosome, name, position, a, b = fields
    return name, chromosome, convert_position(position), b, a


def convert_five(rule: Rule, fields: list[str]) -> Lead:
    """Return id, chromosome, position and alleles of five columns."""
    _, name, position, a, b = fields
    return name, get_chromosome(rule, fields), convert_position(position), b, a
