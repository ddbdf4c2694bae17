"""Genotypes of BSC's MDR programs: gzipped text, three probabilities an individual.

Lines are ``chrom id pos ref alt`` and the probabilities of ref/ref, ref/alt, alt/alt;
lines that start with ``BCF`` or ``#`` are a header. Individuals have no ids
of their own.
Source: github.com/neardata-eu/spark-mdr and MPI-genomics-MDR.
"""

from collections.abc import Collection, Iterator

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines, read_text
from hpc_connector.loader.files import get_size
from hpc_connector.loader.genotypes.companions import NOBODY, find_sample, read_people
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    convert_position,
)
from hpc_connector.loader.genotypes.text.probabilities import Lead, read_blocks
from hpc_connector.text import split_blanks, split_lines

N_LEAD = 5
SHOWN = 40  # characters of a wrong line in a message
PLACEHOLDERS = ("$", ".")


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Count the individuals of the first line."""
    first = next(_get_lines(path), None)
    if first is None:
        raise BadInput(f"{path} is empty: expected a variant a line")
    n_numbers = len(first.split()) - N_LEAD
    if n_numbers < 3 or n_numbers % 3:
        raise BadInput(
            f"{path}: the first variant has {n_numbers} numbers after {N_LEAD} "
            "columns: expected three an individual"
        )
    n = n_numbers // 3
    sample = find_sample(path, options)
    people = read_people(sample, n, path) if sample else NOBODY
    return SampleFile(
        path=path,
        format="bsc",
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
    lines = _get_lines(sample_file.path, part, n_parts)
    yield from read_blocks(sample_file, lines, N_LEAD, _convert_lead)


def read_file_pairs(path: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Return the pairs of sample files of BSC's list ``first-second``, each once.

    Parameters
    ----------
    known
        Names of the sample files, which may have hyphens.

    Raises
    ------
    BadInput
        A list that is empty, or names other files.
    """
    pairs = []
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        for word in [] if line.startswith("#") else split_blanks(line):
            found = _split_pair(word, known)
            if len(found) != 1:
                raise BadInput(
                    f"{path}: line {number}: {word[:SHOWN]!r}, expected FIRST-SECOND, "
                    f"each one of {sorted(known)[:5]}"
                )
            pairs += found
    if not pairs:
        raise BadInput(f"{path} is empty: expected FIRST-SECOND a line")
    return list(dict.fromkeys(pairs))


def _split_pair(word: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Return the pairs of known names, with or without .gz, that a word may be."""
    at = [k for k, letter in enumerate(word) if letter == "-"]
    pairs = [
        (word[:k].removesuffix(".gz"), word[k + 1 :].removesuffix(".gz")) for k in at
    ]
    return [pair for pair in pairs if all(name in known for name in pair)]


def _get_lines(path: str, part: int = 0, n_parts: int = 1) -> Iterator[bytes]:
    """Yield the lines of variants of one part of a file."""
    for line in read_lines(path, part, n_parts):
        if line and not line.startswith((b"BCF", b"#")):
            yield line


def _convert_lead(fields: list[str]) -> Lead:
    """Return id, chromosome, position and alleles; BSC's key where there is no id."""
    chromosome, name, position, ref, alt = fields
    if name in PLACEHOLDERS:
        name = "-".join(fields[:3])
    return name, chromosome, convert_position(position), alt, ref
