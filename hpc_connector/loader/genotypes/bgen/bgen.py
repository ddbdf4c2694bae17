"""Genotypes of BGEN files, versions 1.2 and 1.3 (layout 2).

The second allele is the counted one; a variant of more gives one for each of them, as
in VCF. Numbers of 1 to 32 bits, phased or not, not compressed or by zlib or zstd;
individuals that are neither haploid nor diploid are missing. They are named by the
file, or by a .sample file of the same stem.
Source: https://www.well.ox.ac.uk/~gav/bgen_format/spec/latest.html.

A file has no index of its own; its parts are found by the sizes of its variants.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial
from math import comb
from typing import BinaryIO, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, map_file, open_file
from hpc_connector.loader.genotypes.alleles import Row, split
from hpc_connector.loader.genotypes.bgen import _kernels as kernels
from hpc_connector.loader.genotypes.bgen.alleles import get_probabilities
from hpc_connector.loader.genotypes.chromosomes import UNPLACED, find_in_id
from hpc_connector.loader.genotypes.companions import (
    NOBODY,
    find_sample,
    name_people,
    read_people,
)
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
    get_version,
)
from hpc_connector.loader.genotypes.vcf.record import (
    NOTHING,
    ONE_COPY_CALLS,
    OTHER_PLOIDY,
    call_probabilities,
)
from hpc_connector.notes import add_counts

MAGIC = (b"bgen", b"\0\0\0\0")
HEADER_BYTES = 24  # from the offset of the variants to the header's free text
NO_COMPRESSION, ZLIB, ZSTD = range(3)
LAYOUT = 2
LEAST_VARIANT_BYTES = 12  # no strings, no alleles
MOST_COPIES = 8  # of an individual, or its numbers are taken for corrupt
FROM_ID = "variants without a chromosome were placed by their id, as 1:123:A:G"
BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the header and the ids of the individuals.

    Raises
    ------
    BadInput
        A file that is not BGEN 1.2 or 1.3, is cut, or has other individuals than its
        .sample file.
    """
    n_variants, n_individuals, _, individuals, _ = _read_header(path)
    sample = find_sample(path, options)
    people = read_people(sample, n_individuals, path) if sample else NOBODY
    if individuals is not None and options.sample_file is None:
        people = name_people(path, individuals, people)
    size = get_size(path)
    if n_variants * LEAST_VARIANT_BYTES > size:
        raise BadInput(f"{path} is cut: expected {n_variants} variants")
    return SampleFile(
        path=path,
        format="bgen",
        n_individuals=n_individuals,
        individuals=people.individuals,
        phenotypes=people.phenotypes,
        families=people.families,
        coding=people.coding,
        n_bytes=size,
        options=options,
        assumed=people.assumed,
    )


Header = tuple[int, int, int, tuple[str, ...] | None, int]


def _read_header(path: str) -> Header:
    """Return numbers of variants and individuals, compression, ids, first byte."""
    try:
        with open_file(path) as file:
            return _parse_header(file, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except struct.error:
        raise BadInput(f"{path} is cut: expected a BGEN header") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: expected ids as UTF-8 text") from None


def _parse_header(file: BinaryIO, path: str) -> Header:
    start, length, n_variants, n_individuals = struct.unpack("<4I", file.read(16))
    if file.read(4) not in MAGIC or not 20 <= length <= start:
        raise BadInput(f"{path} is no BGEN file: expected 'bgen' at byte 16")
    size = get_size(path)
    if start + 4 > size:
        raise BadInput(f"{path} is cut: expected variants from byte {start + 4} on")
    file.seek(length)
    (flags,) = struct.unpack("<I", file.read(4))
    compression, layout = flags & 3, flags >> 2 & 15
    if layout != LAYOUT or compression > ZSTD:
        raise BadInput(
            f"{path} has BGEN layout {layout} and compression {compression}: expected "
            "layout 2, as of BGEN 1.2, and compression 0, 1 or 2 (plink2 --bgen FILE "
            "ref-first --export bgen-1.2)"
        )
    individuals = None
    if flags >> 31:
        individuals = _parse_ids(file.read(start - length), n_individuals, path)
    return n_variants, n_individuals, compression, individuals, start + 4


def _parse_ids(data: bytes, n_individuals: int, path: str) -> tuple[str, ...]:
    length, n_ids = struct.unpack_from("<2I", data)
    if n_ids != n_individuals or length > len(data):
        raise BadInput(
            f"{path} names {n_ids} individuals in {length} of {len(data)} bytes, "
            f"expected {n_individuals}"
        )
    names, at = [], 8
    for _ in range(n_ids):
        name, at = _take_string(data, at, "<H")
        names.append(name)
    if at != length:
        raise BadInput(f"{path}: ids take {at} bytes, expected {length}")
    return tuple(names)


def _take_string(data: bytes, at: int, length_code: str) -> tuple[str, int]:
    """Return the string at `at`, after its length, and where it ends."""
    (length,) = struct.unpack_from(length_code, data, at)
    at += struct.calcsize(length_code)
    if at + length > len(data):
        raise struct.error("string past the end")
    return data[at : at + length].decode(), at + length


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces of a file.

    Raises
    ------
    BadInput
        A file that is cut or corrupt.
    """
    path, n = sample_file.path, sample_file.n_individuals
    options = sample_file.options
    n_variants, _, compression, _, start = _read_header(path)
    first, last = n_variants * part // n_parts, n_variants * (part + 1) // n_parts
    if first == last:
        return
    data, bounds = _find_variants(path, get_version(path), start, n_variants)
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // max(1, n)))
    for at in range(first, last, step):
        rows: list[Row] = []
        counted: Counter[str] = Counter()
        for v in range(at, min(at + step, last)):
            place = f"{path}, variant {v + 1}"
            site, packed = _parse_variant(data[bounds[v] : bounds[v + 1]], place)
            n_alleles = len(site.alleles)
            body = _decompress(packed, compression, n, n_alleles, place)
            call = partial(
                _call, body, n, n_alleles, options.imputation_threshold, place
            )
            if site.chromosome in UNPLACED:
                site = _place(site, options, counted)
            rows += split(site, call, counted)
        if rows:
            *columns, genotypes = map(list, zip(*rows, strict=True))
            block = np.stack(genotypes)
            yield Block(Variants(*columns), block, add_counts([counted]))


@lru_cache(maxsize=4)
def _find_variants(
    path: str, _: tuple[int, int], start: int, n_variants: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return one version of a file as bytes, and where its variants begin and end.

    Kept, for each part of a file needs it and nothing but a walk over all tells it.
    """
    data = map_file(path)
    bounds = np.full(n_variants + 1, start, np.int64)
    n_found = kernels.find_variants(data, start, bounds[1:])
    if n_found < n_variants:
        raise BadInput(
            f"{path} is cut or corrupt: it ends in variant {n_found + 1}, expected "
            f"{n_variants}"
        )
    if bounds[-1] != len(data):
        raise BadInput(
            f"{path} goes on after its {n_variants} variants: expected its end at byte "
            f"{bounds[-1]}"
        )
    return data, bounds


class BgenSite(NamedTuple):
    """What a variant is, its alleles in the order of the file."""

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]


def _parse_variant(data: NDArray[np.uint8], place: str) -> tuple[BgenSite, bytes]:
    """Return the fields of a variant, and its genotypes."""
    record = data.tobytes()
    try:
        name, at = _take_string(record, 0, "<H")
        rsid, at = _take_string(record, at, "<H")
        chromosome, at = _take_string(record, at, "<H")
        position, n_alleles = struct.unpack_from("<IH", record, at)
        at += 6
        alleles = []
        for _ in range(n_alleles):
            allele, at = _take_string(record, at, "<I")
            alleles.append(allele)
    except (struct.error, UnicodeDecodeError):
        raise BadInput(f"{place} is corrupt: expected ids as UTF-8 text") from None
    if not alleles:
        raise BadInput(f"{place} ({rsid}) has no alleles: expected two or more")
    chosen = next((text for text in (rsid, name) if text not in ("", ".")), ".")
    return BgenSite(chromosome, position, chosen, tuple(alleles)), record[at + 4 :]


def _place(site: BgenSite, options: ReadOptions, counted: Counter[str]) -> BgenSite:
    """Give a variant a chromosome where the file names none."""
    if not options.chromosome:
        found = find_in_id(site.id, site.position)
        counted[FROM_ID] += bool(found)
        return site._replace(chromosome=found or "0")
    return site._replace(chromosome=options.chromosome)


def _decompress(
    packed: bytes, compression: int, n: int, n_alleles: int, place: str
) -> bytes:
    """Return the genotypes of a variant as they are when not compressed."""
    if compression == NO_COMPRESSION:
        return packed
    size = int.from_bytes(packed[:4], "little")
    # two numbers of 32 bits are most of the individuals of most files
    most = 2 if size <= 10 + 9 * n else comb(MOST_COPIES + n_alleles - 1, MOST_COPIES)
    if len(packed) < 4 or size > 10 + n + 4 * n * most:
        raise BadInput(f"{place} is corrupt: expected genotypes of {n} individuals")
    try:
        inflate = _inflate_zstd if compression == ZSTD else _inflate_zlib
        body = inflate(packed[4:], size)
    except (isal_zlib.error, ValueError) as error:  # type: ignore[misc] # of its stubs
        raise BadInput(f"{place} is corrupt: {error}") from None
    if len(body) != size:
        raise BadInput(f"{place} has {len(body)} bytes of genotypes, expected {size}")
    return body


def _inflate_zlib(data: bytes, size: int) -> bytes:
    stream = isal_zlib.decompressobj()
    body = stream.decompress(data, size + 1)
    if not stream.eof:
        raise ValueError("its zlib data do not end where they should")
    return body


def _inflate_zstd(data: bytes, size: int) -> bytes:
    import zstandard  # few files need it

    try:
        if zstandard.frame_content_size(data) not in (-1, size):
            raise ValueError(f"its zstd data are not of {size} bytes")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(error) from None


def _call(
    body: bytes, n: int, n_alleles: int, threshold: float, place: str, alt: int
) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Return the genotypes of a variant, int8 (individuals,), and what was changed."""
    if len(body) < 10 + n:
        raise BadInput(f"{place} is cut: expected genotypes of {n} individuals")
    n_here, n_alleles_here = struct.unpack_from("<IH", body)
    is_phased, bits = body[8 + n], body[9 + n]
    if (n_here, n_alleles_here) != (n, n_alleles) or is_phased > 1 or not 0 < bits < 33:
        raise BadInput(
            f"{place} has {n_here} individuals, {n_alleles_here} alleles and numbers "
            f"of {bits} bits, expected {n}, {n_alleles} and 1 to 32"
        )
    ploidy = np.frombuffer(body, np.uint8, n, 8)
    packed = np.frombuffer(body, np.uint8, offset=10 + n)
    copies = ploidy & kernels.PLOIDY
    is_plain = (copies == 1) | (copies == 2)
    if n_alleles == 2 and is_plain.all():
        n_copies = int(copies.sum(dtype=np.int64))
        n_bytes = (n_copies * bits + 7) // 8
        if len(packed) != n_bytes:
            raise BadInput(
                f"{place} has {len(packed)} bytes of probabilities, expected {n_bytes}"
            )
        genotypes = _call_pairs(ploidy, packed, bits, is_phased, threshold, place)
        return genotypes, NOTHING if n_copies == 2 * n else _count_odd(ploidy)
    try:
        probabilities = get_probabilities(
            ploidy, packed, bits, bool(is_phased), n_alleles
        )
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None
    genotypes = call_probabilities(probabilities, n_alleles, threshold, alt)
    return genotypes, _count_odd(ploidy)


def _count_odd(ploidy: NDArray[np.uint8]) -> dict[str, int]:
    """Count calls of one copy, and of three or more; bytes as in the file."""
    copies = ploidy[ploidy & kernels.IS_MISSING == 0] & kernels.PLOIDY
    return {
        OTHER_PLOIDY: int((copies > 2).sum()),
        ONE_COPY_CALLS: int((copies == 1).sum()),
    }


def _call_pairs(
    ploidy: NDArray[np.uint8],
    packed: NDArray[np.uint8],
    bits: int,
    is_phased: int,
    threshold: float,
    place: str,
) -> NDArray[np.int8]:
    """Return the genotypes of a variant of two alleles, of one or two copies."""
    n = len(ploidy)
    genotypes = np.empty(n, np.int8)
    n_read = kernels.call_genotypes(
        ploidy, packed, bits, bool(is_phased), threshold, genotypes
    )
    if n_read < n:
        raise BadInput(
            f"{place}, individual {n_read + 1}: expected probabilities that sum to 1"
        )
    return genotypes
