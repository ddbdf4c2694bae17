"""Genotypes of PLINK 1 binary files (.bed, .bim, .fam).

Format: https://www.cog-genomics.org/plink/1.9/formats#bed. A1, column 5 of the .bim
file, is the counted allele.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_utf8
from hpc_connector.loader.files import get_size, open_file
from hpc_connector.loader.genotypes.companions import (
    get_bed,
    get_bim,
    get_fam,
    read_people,
)
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
    convert_position,
    get_version,
)
from hpc_connector.notes import Assumption

MAGIC = b"\x6c\x1b"
SNP_MAJOR = 1
N_FIELDS = 6  # of .bim files; the centimorgans may be left out
LEAST_LINE = 8  # bytes of the shortest line of a .bim file
BLANKS = re.compile(r"[ \t]+")
BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20
COPIES = np.array([2, -1, 1, 0], np.int8)  # of A1, by the two bits of a genotype


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the .fam file and check that .bed, .bim and .fam agree.

    `path` is that of the .bed file, or the prefix of the three.
    """
    people = read_people(get_fam(path, options))
    bed, bim = get_bed(path), get_bim(path, options)
    n_variants = _count_lines(bim)
    try:
        size = get_size(bed)
        with open_file(bed) as stream:
            start = stream.read(3)
    except OSError as error:
        raise BadInput(f"{bed}: cannot be read: {error.strerror}") from None
    if start[:2] != MAGIC or len(start) < 3:
        raise BadInput(f"{bed} begins with {start.hex(' ')}: expected 6c 1b 01")
    if start[2] != SNP_MAJOR:
        raise BadInput(
            f"{bed} is individual-major: expected SNP-major (plink --make-bed)"
        )
    expected = 3 + n_variants * get_stride(people.n)
    if size != expected:
        raise BadInput(
            f"{bed} has {size} bytes: expected {expected} for {n_variants} variants of "
            f"the .bim and {people.n} individuals of the .fam file"
        )
    return SampleFile(
        path=path,
        format="plink",
        n_individuals=people.n,
        individuals=people.individuals,
        phenotypes=people.phenotypes,
        families=people.families,
        coding=people.coding,
        n_bytes=size,
        options=options,
        assumed=(*people.assumed, *_find_lines(bim, get_version(bim)).assumed),
    )


def get_stride(n_individuals: int) -> int:
    """Return the bytes of one variant."""
    return -(-n_individuals // 4)


class Lines(NamedTuple):
    """Where the lines of a text begin and end: those not empty, and no comments."""

    data: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    assumed: tuple[Assumption, ...]


@lru_cache(maxsize=4)
def _find_lines(path: str, _: tuple[int, int | str]) -> Lines:
    """Return one version of a .bim file as UTF-8, and where its lines begin and end.

    Kept, for each piece of a .bed file needs some of them.
    """
    data, assumed = read_utf8(path)
    if data and not data.endswith(b"\n"):
        data += b"\n"
    of_text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(of_text == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    is_line = of_text[starts] != ord("#")
    for k in np.flatnonzero(ends - starts < LEAST_LINE):
        is_line[k] &= bool(data[starts[k] : ends[k]].strip())
    return Lines(data, starts[is_line], ends[is_line], assumed)


def _count_lines(path: str) -> int:
    return len(_find_lines(path, get_version(path)).starts)


def _read_rows(path: str, first: int, last: int) -> list[list[str]]:
    """Return the six fields of the lines first .. last - 1."""
    found = _find_lines(path, get_version(path))
    if first == last:
        return []
    text = found.data[found.starts[first] : found.ends[last - 1]].decode()
    lines = text.split("\n")
    if text.isascii():
        rows = [line.split() for line in lines]
    else:  # an id may hold what is a blank in Unicode
        rows = [[word for word in BLANKS.split(line) if word] for line in lines]
    return [row for row in rows if row and not row[0].startswith("#")]


def _complete_rows(rows: list[list[str]], path: str, first: int) -> list[list[str]]:
    """Return rows of a .bim file with centimorgans, 0 where the file has none.

    The first row tells whether it has; what stands after six fields is left out.
    """
    n_fields = min(N_FIELDS, len(_read_rows(path, 0, 1)[0]))
    for number, row in enumerate(rows, start=first + 1):
        if len(row) < max(n_fields, N_FIELDS - 1):
            raise BadInput(
                f"{path}: line {number} has {len(row)} fields, expected {N_FIELDS}, or "
                f"{N_FIELDS - 1} without centimorgans"
            )
    if n_fields == N_FIELDS:
        return rows
    return [[*row[:2], "0", *row[2:]] for row in rows]


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces."""
    bed = get_bed(sample_file.path)
    bim = get_bim(sample_file.path, sample_file.options)
    n, n_variants = sample_file.n_individuals, _count_lines(bim)
    first, last = n_variants * part // n_parts, n_variants * (part + 1) // n_parts
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // max(n, 1)))
    with open_file(bed) as stream:
        for at in range(first, last, step):
            chosen = _read_rows(bim, at, min(at + step, last))
            stream.seek(3 + at * get_stride(n))
            data = stream.read(len(chosen) * get_stride(n))
            packed = np.frombuffer(data, np.uint8).reshape(len(chosen), -1)
            _check_padding(packed, n, bed)
            genotypes = np.empty((len(chosen), n), np.int8)
            unpack(packed, COPIES, genotypes)
            rows = _complete_rows(chosen, bim, at)
            yield Block(_get_variants(rows, bim, at), genotypes)


def _check_padding(packed: NDArray[np.uint8], n_individuals: int, bed: str) -> None:
    """Refuse genotypes after the last individual: another .fam file has as many bytes.

    uint8 (variants, stride); PLINK fills the last byte of a variant with zeros.
    """
    n_last = n_individuals - 4 * (packed.shape[1] - 1)
    if n_last < 4 and (packed[:, -1] >> (2 * n_last)).any():
        raise BadInput(
            f"{bed} has genotypes of more than the {n_individuals} individuals of "
            "the .fam file: expected zeros after the last (plink --make-bed)"
        )


def _get_variants(rows: list[list[str]], path: str, first: int) -> Variants:
    """Return the columns of .bim rows; `first` is the number of rows before them."""
    return Variants(
        id=[row[1] for row in rows],
        chromosome=[row[0] for row in rows],
        position=[_get_position(r, path, k) for k, r in enumerate(rows, first + 1)],
        counted=[row[4] for row in rows],
        other=[row[5] for row in rows],
    )


def _get_position(row: list[str], path: str, number: int) -> int:
    try:
        return convert_position(row[3])
    except BadInput as error:
        raise BadInput(f"{path}: line {number}: {error}") from None


@kernel
def unpack(
    packed: NDArray[np.uint8], copies: NDArray[np.int8], genotypes: NDArray[np.int8]
) -> None:
    """Unpack two-bit genotypes: uint8 (variants, stride) to int8 (variants, n)."""
    for v in range(genotypes.shape[0]):
        for individual in range(genotypes.shape[1]):
            byte = packed[v, individual >> 2]
            genotypes[v, individual] = copies[(byte >> (2 * (individual & 3))) & 3]
