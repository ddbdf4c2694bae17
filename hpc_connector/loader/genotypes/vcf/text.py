"""Records of VCF as text: plain, gzip or bgzip."""

import re
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.genotypes.sample_file import (
    HALF_CALLS,
    ReadOptions,
    SampleFile,
    convert_position,
)
from hpc_connector.loader.genotypes.vcf import _kernels as kernels
from hpc_connector.loader.genotypes.vcf.record import Calls, Record, get_n_numbers

COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
N_FIXED = len(COLUMNS)
FORMAT = re.compile(rb"##FORMAT=<ID=([^,>]+)")
SHOWN = 40  # characters of a wrong value that a message shows


class Header(NamedTuple):
    """Who has a column in a file, and the fields of FORMAT that it names.

    Those that it declares, and those of its first record: some declare none.
    """

    individuals: tuple[str, ...]
    fields: frozenset[str]


def read_header(path: str) -> Header:
    """Read the header of a VCF file.

    Raises
    ------
    BadInput
        A file whose header is unusable.
    """
    lines = read_lines(path)
    fields: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if line.startswith(b"#CHROM"):
            individuals = parse_column_names(path, line)
            fields.update(get_fields(next(lines, b"")))
            return Header(individuals, frozenset(fields))
        if not line.startswith(b"##"):
            raise BadInput(
                f"{path}, line {number}: expected a header line, ## or #CHROM"
            )
        if found := FORMAT.match(line):
            fields.add(found[1].decode("utf-8", "replace"))
    raise BadInput(f"{path} has no line #CHROM: expected a VCF header")


def get_fields(line: bytes) -> list[str]:
    """Return the names in column FORMAT of a record."""
    columns = line.split(b"\t", N_FIXED)
    return columns[8].decode("utf-8", "replace").split(":") if columns[8:] else []


def parse_column_names(path: str, line: bytes) -> tuple[str, ...]:
    """Return the ids of the individuals, from the line #CHROM."""
    try:
        names = line.decode().split("\t")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}, line #CHROM: expected UTF-8 text") from error
    if names[:N_FIXED] != COLUMNS or len(names) == N_FIXED:
        raise BadInput(
            f"{path}, line #CHROM: expected {' '.join(COLUMNS)} and individuals"
        )
    return tuple(names[N_FIXED:])


def parse_line(sample_file: SampleFile, line: bytes) -> Record | None:
    """Take a line apart, unless it is of a header.

    Raises
    ------
    BadInput
        A record that is cut or malformed.
    """
    if not line.startswith(b"#"):
        return parse_record(sample_file, line)
    # a header comes again where files were concatenated
    path = sample_file.path
    if line.startswith(b"#CHROM") and (
        parse_column_names(path, line) != sample_file.individuals
    ):
        raise BadInput(f"{path} has two headers: expected the same individuals")
    return None


def parse_record(sample_file: SampleFile, line: bytes) -> Record:
    """Take a line apart, up to the columns of the individuals."""
    options = sample_file.options
    *fixed, individuals = line.split(b"\t", N_FIXED)
    columns = b"\t".join(fixed).decode("utf-8", "replace").split("\t")
    place = f"{sample_file.path}, record {':'.join(columns[:2])[:SHOWN]}"
    if len(columns) != N_FIXED:
        raise BadInput(f"{place}: expected columns {' '.join(COLUMNS)} and individuals")
    chromosome, position, name, ref, alt, _, filters, _, keys = columns
    if not (chromosome and ref and alt):
        raise BadInput(f"{place}: CHROM, REF or ALT is empty")
    try:
        at = convert_position(position)
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None
    alleles = (ref, *alt.split(","))
    columns_of = Columns(
        line,
        len(line) - len(individuals),
        place,
        keys.split(":"),
        sample_file.n_individuals,
        len(alleles),
        options,
    )
    return Record(
        place,
        chromosome,
        at,
        name,
        alleles,
        filters in ("PASS", "."),
        sample_file.n_individuals,
        columns_of.fields,
        partial(read_calls, columns_of),
        partial(read_numbers, columns_of),
    )


class Columns(NamedTuple):
    """The columns of the individuals of a line, from byte `at` on."""

    line: bytes
    at: int
    place: str
    fields: list[str]
    n_individuals: int
    n_alleles: int
    options: ReadOptions


def read_calls(columns: Columns, alt: int) -> Calls:
    """Call genotypes from GT for one ALT."""
    n = columns.n_individuals
    genotypes = np.empty(n, np.int8)
    n_read = kernels.parse_calls(
        np.frombuffer(columns.line, np.uint8),
        columns.at,
        columns.fields.index("GT"),
        columns.n_alleles,
        alt,
        HALF_CALLS.index(columns.options.half_call),
        genotypes,
    )
    if n_read not in (n, ~n):
        check_columns(columns, "a call of the record's alleles, as 0/1", n_read)
    return genotypes, n_read < 0


def read_numbers(
    columns: Columns, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Read a field such as GP, and how many alleles calls have."""
    n, fields = columns.n_individuals, columns.fields
    numbers = np.empty((n, get_n_numbers(name, columns.n_alleles)))
    ploidy = np.empty(n, np.int8)
    n_read = kernels.parse_numbers(
        np.frombuffer(columns.line, np.uint8),
        columns.at,
        fields.index(name),
        fields.index("GT") if "GT" in fields else -1,
        numbers,
        ploidy,
    )
    check_columns(columns, f"up to {numbers.shape[1]} numbers {name}", n_read)
    return numbers, ploidy


def check_columns(columns: Columns, wanted: str, n_read: int) -> None:
    """Raise BadInput unless each individual was read."""
    place, n = columns.place, columns.n_individuals
    if n_read == n:
        return
    words = columns.line.decode("utf-8", "replace").split("\t")[N_FIXED:]
    if n_read < n and n_read < len(words):
        raise BadInput(
            f"{place}, individual {n_read + 1}: found {words[n_read][:SHOWN]!r}, "
            f"expected {wanted}"
        )
    raise BadInput(f"{place} has {len(words)} individuals, expected {n}")
