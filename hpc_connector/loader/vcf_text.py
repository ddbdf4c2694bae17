"""Records of VCF as text: plain, gzip or bgzip."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader import _vcf_kernels as kernels
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.sample_file import (
    ReadOptions,
    SampleFile,
    convert_position,
)
from hpc_connector.loader.vcf_record import Record, call_numbers, get_n_numbers

COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
N_FIXED = len(COLUMNS)
SHOWN = 40  # characters of a wrong value that a message shows


def read_individuals(path: str) -> tuple[str, ...]:
    """Read the ids of a VCF file's individuals.

    Raises
    ------
    BadInput
        A file whose header is unusable.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.startswith(b"#CHROM"):
            return parse_column_names(path, line)
        if not line.startswith(b"##"):
            raise BadInput(
                f"{path}, line {number}: expected a header line, ## or #CHROM"
            )
    raise BadInput(f"{path} has no line #CHROM: expected a VCF header")


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


def read_records(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Record]:
    """Yield the records of one part of the file.

    Raises
    ------
    BadInput
        A record that is cut or malformed.
    """
    path = sample_file.path
    for line in read_lines(path, part, n_parts):
        if not line.startswith(b"#"):
            yield parse_record(sample_file, line)
        # a header comes again where files were concatenated
        elif line.startswith(b"#CHROM") and (
            parse_column_names(path, line) != sample_file.individuals
        ):
            raise BadInput(f"{path} has two headers: expected the same individuals")


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
    fields = keys.split(":")
    if options.vcf_field not in fields:
        raise BadInput(
            f"{place}: FORMAT is {keys[:SHOWN]!r}, expected the field "
            f"{options.vcf_field} in it"
        )
    try:
        at = convert_position(position)
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None
    alleles = (ref, *alt.split(","))
    call = partial(
        call_line,
        line,
        len(line) - len(individuals),
        place,
        fields.index(options.vcf_field),
        sample_file.n_individuals,
        len(alleles),
        options,
    )
    is_passed = filters in ("PASS", ".")
    return Record(chromosome, at, name, alleles, is_passed, call)


def call_line(
    line: bytes,
    at: int,
    place: str,
    field: int,
    n_individuals: int,
    n_alleles: int,
    options: ReadOptions,
    alt: int,
) -> np.ndarray:
    """Call the genotypes of a line from byte `at` on for one ALT."""
    text = np.frombuffer(line, np.uint8)
    name = options.vcf_field
    if name == "GT":
        genotypes = np.empty(n_individuals, np.int8)
        n_read = kernels.parse_calls(text, at, field, n_alleles, alt, genotypes)
        check_columns(line, place, "one or two alleles, as 0/1", n_read, n_individuals)
        return genotypes
    numbers = np.empty((n_individuals, get_n_numbers(name, n_alleles)))
    n_read = kernels.parse_numbers(text, at, field, numbers)
    wanted = f"up to {numbers.shape[1]} numbers {name}"
    check_columns(line, place, wanted, n_read, n_individuals)
    try:
        return call_numbers(name, numbers, n_alleles, options.imputation_threshold, alt)
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from error


def check_columns(
    line: bytes, place: str, wanted: str, n_read: int, n_individuals: int
) -> None:
    """Raise BadInput unless each individual was read."""
    if n_read == n_individuals:
        return
    columns = line.decode("utf-8", "replace").split("\t")[N_FIXED:]
    if n_read < n_individuals and n_read < len(columns):
        raise BadInput(
            f"{place}, individual {n_read + 1}: found {columns[n_read][:SHOWN]!r}, "
            f"expected {wanted}"
        )
    raise BadInput(f"{place} has {len(columns)} individuals, expected {n_individuals}")
