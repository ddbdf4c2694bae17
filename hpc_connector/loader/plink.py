"""Genotypes of PLINK 1 binary files (.bed, .bim, .fam).

Format: https://www.cog-genomics.org/plink/1.9/formats#bed. A1, column 5 of the .bim
file, is the counted allele.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from hpc_connector._jit import kernel
from hpc_connector.errors import BadInput
from hpc_connector.loader.labels import get_family_ids
from hpc_connector.loader.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
    get_version,
)

MAGIC = b"\x6c\x1b"
SNP_MAJOR = 1
N_FIELDS = 6  # of .fam and .bim files
BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20
COPIES = np.array([2, -1, 1, 0], np.int8)  # of A1, by the two bits of a genotype


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the .fam file and check that .bed, .bim and .fam agree.

    `path` is that of the .bed file, or the prefix of the three.
    """
    stem = path.removesuffix(".bed")
    family = _split(_read_lines(f"{stem}.fam"), f"{stem}.fam")
    n_variants = len(_read_lines(f"{stem}.bim"))
    bed = Path(f"{stem}.bed")
    try:
        size = bed.stat().st_size
        with open(bed, "rb") as stream:
            start = stream.read(3)
    except OSError as error:
        raise BadInput(f"{bed}: cannot be read: {error.strerror}") from None
    if start[:2] != MAGIC or len(start) < 3:
        raise BadInput(f"{bed} begins with {start.hex(' ')}: expected 6c 1b 01")
    if start[2] != SNP_MAJOR:
        raise BadInput(
            f"{bed} is individual-major: expected SNP-major (plink --make-bed)"
        )
    expected = 3 + n_variants * get_stride(len(family))
    if size != expected:
        raise BadInput(
            f"{bed} has {size} bytes: expected {expected} for {n_variants} variants of "
            f"the .bim and {len(family)} individuals of the .fam file"
        )
    return SampleFile(
        path=path,
        format="plink",
        n_individuals=len(family),
        individuals=tuple(get_family_ids(family)),
        phenotypes=tuple(row[5] for row in family),
        n_bytes=size,
        options=options,
    )


def get_stride(n_individuals: int) -> int:
    """Return the bytes of one variant."""
    return -(-n_individuals // 4)


def _read_lines(path: str) -> list[str]:
    """Return the lines of a .fam or .bim file."""
    return _keep_lines(path, get_version(path))


@lru_cache(maxsize=4)
def _keep_lines(path: str, _: tuple[int, int]) -> list[str]:
    """Return the lines of one version of a file: each piece of a .bed needs some.

    A million lines take 0.1 GB; their fields would take five times as much.
    """
    try:
        return Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None


def _split(lines: list[str], path: str, first: int = 0) -> list[list[str]]:
    """Return the six fields of some lines; `first` is the number of lines before."""
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, start=first + 1):
        if len(row) != N_FIELDS:
            raise BadInput(
                f"{path}: line {number} has {len(row)} fields, expected {N_FIELDS}"
            )
    return rows


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces."""
    stem = sample_file.path.removesuffix(".bed")
    lines = _read_lines(f"{stem}.bim")
    n = sample_file.n_individuals
    first, last = len(lines) * part // n_parts, len(lines) * (part + 1) // n_parts
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // max(n, 1)))
    with open(f"{stem}.bed", "rb") as stream:
        for at in range(first, last, step):
            chosen = _split(lines[at : min(at + step, last)], f"{stem}.bim", at)
            stream.seek(3 + at * get_stride(n))
            data = stream.read(len(chosen) * get_stride(n))
            packed = np.frombuffer(data, np.uint8).reshape(len(chosen), -1)
            genotypes = np.empty((len(chosen), n), np.int8)
            unpack(packed, COPIES, genotypes)
            yield Block(_get_variants(chosen, f"{stem}.bim", at), genotypes)


def _get_variants(rows: list[list[str]], path: str, first: int) -> Variants:
    """Return the columns of .bim rows; `first` is the number of rows before them."""
    try:
        position = [int(row[3]) for row in rows]
    except ValueError:
        number = next(k for k, r in enumerate(rows) if not r[3].lstrip("-").isdigit())
        raise BadInput(
            f"{path}: line {first + number + 1}: position {rows[number][3]!r}, "
            "expected a whole number"
        ) from None
    return Variants(
        id=[row[1] for row in rows],
        chromosome=[row[0] for row in rows],
        position=position,
        counted=[row[4] for row in rows],
        other=[row[5] for row in rows],
    )


@kernel
def unpack(packed, copies, genotypes):
    """Unpack two-bit genotypes: uint8 (variants, stride) to int8 (variants, n)."""
    for v in range(genotypes.shape[0]):
        for individual in range(genotypes.shape[1]):
            byte = packed[v, individual >> 2]
            genotypes[v, individual] = copies[(byte >> (2 * (individual & 3))) & 3]
