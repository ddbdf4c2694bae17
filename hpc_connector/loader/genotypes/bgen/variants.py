"""One variant of a BGEN file: its fields, its genotypes, what is wrong with it."""

import struct
from collections import Counter
from math import comb
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.bgen import _kernels as kernels
from hpc_connector.loader.genotypes.bgen.alleles import get_probabilities
from hpc_connector.loader.genotypes.bgen.header import (
    NO_COMPRESSION,
    ZSTD,
    Header,
    take_string,
)
from hpc_connector.loader.genotypes.chromosomes import find_in_id
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.vcf.record import (
    NOTHING,
    ONE_COPY_CALLS,
    OTHER_PLOIDY,
    call_probabilities,
)

MOST_COPIES = 8  # of an individual, or its numbers are taken for corrupt
FROM_ID = "variants without a chromosome were placed by their id, as 1:123:A:G"


class BgenSite(NamedTuple):
    """What a variant is, its alleles in the order of the file."""

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]


def parse_site(record: bytes, layout: int, place: str) -> BgenSite:
    """Return the fields of a variant.

    Raises
    ------
    BadInput
        They are corrupt.
    """
    try:
        name, at = take_string(record, 0 if layout > 1 else 4, "<H")
        rsid, at = take_string(record, at, "<H")
        chromosome, at = take_string(record, at, "<H")
        (position,), n_alleles = struct.unpack_from("<I", record, at), 2
        at += 4
        if layout > 1:
            (n_alleles,) = struct.unpack_from("<H", record, at)
            at += 2
        alleles = []
        for _ in range(n_alleles):
            allele, at = take_string(record, at, "<I")
            alleles.append(allele)
    except (struct.error, UnicodeDecodeError):
        raise BadInput(f"{place} is corrupt: expected ids as UTF-8 text") from None
    if not alleles:
        raise BadInput(f"{place} ({rsid}) has no alleles: expected two or more")
    chosen = next((text for text in (rsid, name) if text not in ("", ".")), ".")
    return BgenSite(chromosome, position, chosen, tuple(alleles))


def place_site(site: BgenSite, options: ReadOptions, counted: Counter[str]) -> BgenSite:
    """Give a variant a chromosome where the file names none."""
    if not options.chromosome:
        found = find_in_id(site.id, site.position)
        counted[FROM_ID] += bool(found)
        return site._replace(chromosome=found or "0")
    return site._replace(chromosome=options.chromosome)


def decompress(
    packed: bytes, header: Header, n_alleles: int, path: str, number: int
) -> bytes:
    """Return the genotypes of a variant as they are when not compressed.

    Parameters
    ----------
    packed
        What follows the alleles.
    number
        Of the variant, from 0.

    Raises
    ------
    BadInput
        They are corrupt.
    """
    if header.compression == NO_COMPRESSION:
        return packed if header.layout == 1 else packed[4:]
    n, place = header.n_individuals, f"{path}, variant {number + 1}"
    size, at = 6 * n, 4
    if header.layout > 1:
        size, at = int.from_bytes(packed[4:8], "little"), 8
    # two numbers of 32 bits are most of the individuals of most files
    most = 2 if size <= 10 + 9 * n else comb(MOST_COPIES + n_alleles - 1, MOST_COPIES)
    if len(packed) < at or size > 10 + n + 4 * n * most:
        raise BadInput(f"{place} is corrupt: expected genotypes of {n} individuals")
    try:
        inflate = _inflate_zstd if header.compression == ZSTD else _inflate_zlib
        body = inflate(packed[at:], size)
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


def call(
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
        return genotypes, NOTHING if n_copies == 2 * n else count_odd(ploidy)
    try:
        probabilities = get_probabilities(
            ploidy, packed, bits, bool(is_phased), n_alleles
        )
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None
    genotypes = call_probabilities(probabilities, n_alleles, threshold, alt)
    return genotypes, count_odd(ploidy)


def count_odd(ploidy: NDArray[np.uint8]) -> dict[str, int]:
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


def call_triples(
    body: bytes, n: int, threshold: float, place: str, _: int
) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Return the genotypes of a variant of BGEN 1.1, int8 (individuals,)."""
    if len(body) != 6 * n:
        raise BadInput(f"{place} has {len(body)} bytes of genotypes, expected {6 * n}")
    genotypes = np.empty(n, np.int8)
    n_read = kernels.call_triples(np.frombuffer(body, np.uint8), threshold, genotypes)
    if n_read < n:
        raise BadInput(
            f"{place}, individual {n_read + 1}: expected probabilities that sum to 1"
        )
    return genotypes, NOTHING
