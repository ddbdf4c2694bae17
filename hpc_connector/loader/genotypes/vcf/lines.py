"""Blocks of variants from lines of VCF text: most of them at once, others each.

A kernel calls the lines that are as most are; each other one is taken apart, and tells
what is wrong with it.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hpc_connector.loader.bgzf import read_stretches
from hpc_connector.loader.genotypes.alleles import Row, split
from hpc_connector.loader.genotypes.columns import (
    are_in,
    cut_texts,
    fill_names,
    merge_rows,
)
from hpc_connector.loader.genotypes.sample_file import (
    HALF_CALLS,
    Block,
    SampleFile,
    Variants,
)
from hpc_connector.loader.genotypes.vcf import _kernels as kernels
from hpc_connector.loader.genotypes.vcf.record import call
from hpc_connector.loader.genotypes.vcf.text import N_FIXED, parse_line
from hpc_connector.notes import add_counts

STRETCH_BYTES = 1 << 20
NUMBERS = {"CHROM": 0, "POS": 1, "ID": 2, "REF": 3, "ALT": 4, "FILTER": 6}
PASSED = ("PASS", ".")


def read_blocks(
    sample_file: SampleFile, part: int, n_parts: int, n_lines: int
) -> Iterator[Block]:
    """Yield the variants of one part of a file.

    Parameters
    ----------
    n_lines
        Of a block at most.

    Raises
    ------
    BadInput
        A record that is cut or malformed.
    """
    path = sample_file.path
    for data in read_stretches(path, part, n_parts, n_bytes=STRETCH_BYTES):
        text, at = np.frombuffer(bytearray(data), np.uint8), 0
        while at < len(text):
            block, at = read_block(sample_file, text, at, n_lines)
            if len(block.genotypes):
                yield block


def read_block(
    sample_file: SampleFile, text: NDArray[np.uint8], at: int, n_lines: int
) -> tuple[Block, int]:
    """Return the variants of some lines, and where the next one begins.

    Parameters
    ----------
    text
        Whole lines, uint8 (bytes,).
    at, n_lines
        Where the first begins, and how many are read at most.
    """
    options = sample_file.options
    lines = np.empty((n_lines, 3), np.int64)
    fields = np.empty((N_FIXED, 2, n_lines), np.int64)
    positions = np.empty(n_lines, np.int64)
    genotypes = np.empty((n_lines, sample_file.n_individuals), np.int8)
    half_call = HALF_CALLS.index(options.half_call)
    n, at = kernels.call_lines(text, at, half_call, lines, fields, positions, genotypes)
    is_plain = lines[:n, 2] == 1
    if options.vcf_field != "GT":
        is_plain[:] = False
    plain = np.flatnonzero(is_plain)
    if options.pass_only:
        filters = cut_texts(text, *fields[NUMBERS["FILTER"]].take(plain, axis=1))
        plain = plain[are_in(filters, PASSED)]
    called = cut_variants(text, fields.take(plain, axis=2), positions[plain])
    if is_plain.all():
        chosen = genotypes[:n] if len(plain) == n else genotypes[plain]
        return Block(called, chosen), at
    counted: Counter[str] = Counter()
    others = np.flatnonzero(~is_plain)
    rows = [
        (line, row)
        for line in others.tolist()
        for row in read_line(sample_file, text[slice(*lines[line, :2])], counted)
    ]
    return Block(
        *merge_rows(called, genotypes[plain], plain, rows), add_counts([counted])
    ), at


def read_line(
    sample_file: SampleFile, line: NDArray[np.uint8], counted: Counter[str]
) -> Iterator[Row]:
    """Yield the variants of any line; count what was changed of them."""
    options = sample_file.options
    record = parse_line(sample_file, line.tobytes())
    if record and (record.is_passed or not options.pass_only):
        yield from split(record, partial(call, record, options), counted)


def cut_variants(
    text: NDArray[np.uint8], fields: NDArray[np.int64], position: NDArray[np.int64]
) -> Variants:
    """Return the columns of records of one ALT.

    Parameters
    ----------
    fields
        Where the fixed columns begin and end, int64 (9, 2, records).
    """
    chromosome, name, ref, alt = (
        cut_texts(text, *fields[NUMBERS[column]])
        for column in ("CHROM", "ID", "REF", "ALT")
    )
    variants = Variants(name, chromosome, position, alt, ref)
    fill_names(variants, name == ".")
    return variants
