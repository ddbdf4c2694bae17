"""Genotypes of PLINK 1 binary files (.bed, .bim, .fam).

Format: https://www.cog-genomics.org/plink/1.9/formats#bed. A1, column 5 of the .bim
file, is the counted allele.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, open_file
from hpc_connector.loader.genotypes.columns import cut_texts
from hpc_connector.loader.genotypes.companions import (
    get_bed,
    get_bim,
    get_fam,
    read_people,
)
from hpc_connector.loader.genotypes.lines import Lines, find_lines
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
    get_version,
)

MAGIC = b"\x6c\x1b"
SNP_MAJOR = 1
N_FIELDS = 6  # of .bim files; the centimorgans may be left out
BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the .fam file and check that .bed, .bim and .fam agree.

    `path` is that of the .bed file, or the prefix of the three.
    """
    people = read_people(get_fam(path, options))
    bed, bim = get_bed(path), get_bim(path, options)
    lines = find_lines(bim, get_version(bim))
    n_variants = len(lines.starts)
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
        assumed=(*people.assumed, *lines.assumed),
    )


def get_stride(n_individuals: int) -> int:
    """Return the bytes of one variant."""
    return -(-n_individuals // 4)


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces."""
    bed = get_bed(sample_file.path)
    bim = get_bim(sample_file.path, sample_file.options)
    n, lines = sample_file.n_individuals, find_lines(bim, get_version(bim))
    n_variants = len(lines.starts)
    first, last = n_variants * part // n_parts, n_variants * (part + 1) // n_parts
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // max(n, 1)))
    with open_file(bed) as stream:
        for at in range(first, last, step):
            n_here = min(step, last - at)
            variants = _get_variants(lines, at, at + n_here)
            stream.seek(3 + at * get_stride(n))
            data = bytearray(stream.read(n_here * get_stride(n)))
            packed = np.frombuffer(data, np.uint8).reshape(n_here, -1)
            _check_padding(packed, n, bed)
            genotypes = np.empty((n_here, n), np.int8)
            unpack(packed, genotypes)
            yield Block(variants, genotypes)


forget = find_lines.cache_clear


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


def _get_variants(lines: Lines, first: int, last: int) -> Variants:
    """Return the columns of the lines first .. last - 1 of a .bim file.

    The first line tells whether there are centimorgans; what stands after six fields
    is left out.
    """
    n_fields = max(N_FIELDS - 1, min(N_FIELDS, lines.count_fields(0)))
    fields = lines.find_fields(first, last, n_fields)
    if fields.shape[2] < last - first:
        at = first + fields.shape[2]
        raise BadInput(
            f"{lines.path}: line {at + 1} has {lines.count_fields(at)} fields, "
            f"expected {N_FIELDS}, or {N_FIELDS - 1} without centimorgans"
        )
    chromosome, name, *_, position, counted, other = fields
    return Variants(
        id=cut_texts(lines.data, *name),
        chromosome=cut_texts(lines.data, *chromosome),
        position=lines.get_positions(position, first),
        counted=cut_texts(lines.data, *counted),
        other=cut_texts(lines.data, *other),
    )


@kernel
def unpack(packed: NDArray[np.uint8], genotypes: NDArray[np.int8]) -> None:
    """Unpack two-bit genotypes: uint8 (variants, stride) to int8 (variants, n)."""
    n = genotypes.shape[1]
    n_full = n // 4
    for v in range(genotypes.shape[0]):
        for k in range(n_full):
            for individual in range(4):  # of a byte
                at = np.uint32(4 * k + individual)
                genotypes[v, at] = get_copies(packed[v, np.uint32(k)], individual)
        for individual in range(4 * n_full, n):
            genotypes[v, individual] = get_copies(packed[v, n_full], individual & 3)


@inlined
def get_copies(byte: np.uint8, individual: int) -> np.int8:
    """Return the copies of A1 of one of four individuals: 2, -1, 1, 0 for 0, 1, 2, 3.

    By arithmetic, for a table would keep the compiler from vectors.
    """
    high = (byte >> np.uint8(2 * individual + 1)) & np.uint8(1)
    low = (byte >> np.uint8(2 * individual)) & np.uint8(1)
    return np.int8(np.uint8(2) - high - low * (np.uint8(3) - high - high))
