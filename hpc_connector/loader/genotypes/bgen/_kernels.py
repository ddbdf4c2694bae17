"""Where the variants of a BGEN file lie, and genotypes from its packed numbers."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel

IS_MISSING = 0x80  # of the byte that tells an individual's ploidy
PLOIDY = 0x3F
DOT = ord(".")
INVALID = -2  # of a table of genotypes: of numbers that are none
ONE_OF_THREE = 32768.0  # the number of BGEN 1.1 that stands for 1
MOST_OF_THREE = 1.02 * ONE_OF_THREE  # of the sum of three, each rounded


@inlined
def get_number(data: NDArray[np.uint8], at: int, n_bytes: int) -> int:
    """Return a little-endian number, -1 if the data end before it does."""
    number = np.int64(-1)
    if at >= 0 and at + n_bytes <= len(data):
        number = np.int64(0)
        for k in range(n_bytes):
            number |= np.int64(data[at + k]) << (8 * k)
    return number  # type: ignore[return-value]


@inlined
def skip_string(data: NDArray[np.uint8], at: int, n_bytes: int) -> int:
    """Return the place after a string and its length of `n_bytes`, -1 past the end."""
    length = get_number(data, at, n_bytes)
    return -1 if length < 0 else at + n_bytes + length


@inlined
def skip_fields(
    data: NDArray[np.uint8], at: int, layout: int, fields: NDArray[np.int64]
) -> int:
    """Return where the genotypes of a variant begin, -1 if the file ends before.

    Parameters
    ----------
    fields
        Filled: where variant id, rsid, chromosome and the first two alleles begin and
        end, int64 (5, 2).
    """
    if layout == 1:
        at += 4  # the number of individuals
    for k in range(3):
        start = at + 2
        at = skip_string(data, at, 2)
        fields[k, 0], fields[k, 1] = start, at
    if at < 0 or at + 4 > len(data):
        return -1
    at += 4
    n_alleles = 2
    if layout > 1:
        n_alleles = get_number(data, at, 2)
        at += 2
    if n_alleles < 0:
        return -1
    for k in range(n_alleles):
        start = at + 4
        at = skip_string(data, at, 4)
        if at < 0:
            return -1
        if k < 2:
            fields[3 + k, 0], fields[3 + k, 1] = start, at
    return at


@kernel
def find_variants(
    data: NDArray[np.uint8], layout: int, n_bytes: int, bounds: NDArray[np.int64]
) -> int:
    """Find where variants end.

    Parameters
    ----------
    data
        The file, uint8 (bytes,).
    n_bytes
        Of the genotypes of each; -1 where these tell their bytes.
    bounds
        Filled but for the first, where the variants begin: int64 (variants + 1,).

    Returns
    -------
    Number of variants found before the file ends.
    """
    fields = np.empty((5, 2), np.int64)
    at = bounds[0]
    for v in range(bounds.shape[0] - 1):
        at = skip_fields(data, at, layout, fields)
        if at >= 0:
            at = skip_string(data, at, 4) if n_bytes < 0 else at + n_bytes
        if at < 0 or at > len(data):
            return v
        bounds[v + 1] = at
    return bounds.shape[0] - 1


@kernel
def find_sites(
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    layout: int,
    fields: NDArray[np.int64],
    positions: NDArray[np.int64],
    begins: NDArray[np.int64],
    n_alleles: NDArray[np.int64],
    is_plain: NDArray[np.bool_],
) -> None:
    """Find the fields of variants, where they are as most are: two alleles, in ASCII.

    Parameters
    ----------
    data
        The variants, uint8 (bytes,).
    bounds
        Of them, int64 (variants + 1,).
    fields
        Filled for these: where id, chromosome, first and second allele begin and end,
        int64 (4, 2, variants). The id is the rsid, or the variant's if there is none,
        or empty.
    positions, is_plain
        Filled: int64 and bool (variants,).
    begins, n_alleles
        Filled: where the genotypes begin, before their number of bytes if they tell
        it, and how many alleles there are, int64 (variants,).
    """
    found = np.zeros((5, 2), np.int64)
    for v in range(bounds.shape[0] - 1):
        begins[v] = skip_fields(data, bounds[v], layout, found)
        at = found[2, 1]  # after the chromosome
        positions[v] = get_number(data, at, 4)
        n_alleles[v] = get_number(data, at + 4, 2) if layout > 1 else 2
        is_plain[v] = n_alleles[v] == 2
        for k in range(5):
            for j in range(found[k, 0], found[k, 1] if is_plain[v] else 0):
                is_plain[v] &= data[j] < 128 and data[j] > 0
        if not is_plain[v]:
            fields[:, :, v] = 0
            continue
        chosen = 0 if is_lacking(data, found[1]) else 1
        fields[0, :, v] = found[chosen]
        if is_lacking(data, found[chosen]):
            fields[0, 1, v] = fields[0, 0, v]
        for k in range(1, 4):
            fields[k, :, v] = found[k + 1]


@inlined
def is_lacking(data: NDArray[np.uint8], field: NDArray[np.int64]) -> bool:
    """Return whether a text is empty, or a dot."""
    return field[1] == field[0] or (field[1] - field[0] == 1 and data[field[0]] == DOT)


@inlined
def unpack_number(packed: NDArray[np.uint8], at: int, bits: int) -> float:
    """Return the number of `bits` bits that is `at` such numbers from the start."""
    first_bit = at * bits
    shift = first_bit & 7
    number = np.uint64(0)
    for k in range((shift + bits + 7) >> 3):
        number |= np.uint64(packed[(first_bit >> 3) + k]) << np.uint64(8 * k)
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    return float((number >> np.uint64(shift)) & mask)


@kernel
def unpack_numbers(
    packed: NDArray[np.uint8], bits: int, numbers: NDArray[np.float64]
) -> None:
    """Unpack numbers of some bits each: uint8 (bytes,) to float64 (numbers,)."""
    for at in range(numbers.shape[0]):
        numbers[at] = unpack_number(packed, at, bits)


@inlined
def choose(
    none: float, single: float, double: float, total: float, threshold: float
) -> np.int8:
    """Return the most probable genotype, -1 unless it is more so than the threshold."""
    genotype, best = np.int8(0), none
    if single > best:
        genotype, best = np.int8(1), single
    if double > best:
        genotype, best = np.int8(2), double
    return genotype if best / total > threshold else np.int8(-1)


@kernel
def make_table(threshold: float) -> NDArray[np.int8]:
    """Return the genotypes of pairs of numbers of eight bits, unphased.

    Returns
    -------
    As :func:`call_genotypes` has it, int8 (65536,), by first + 256 second; INVALID
    where both sum to more than 1.
    """
    table = np.full(1 << 16, INVALID, np.int8)
    for second in range(256):
        for first in range(256 - second):
            rest = 255.0 - first - second
            genotype = choose(float(first), float(second), rest, 255.0, threshold)
            table[first + 256 * second] = genotype
    return table


@kernel
def call_blocks(
    bodies: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    threshold: float,
    table: NDArray[np.int8],
    genotypes: NDArray[np.int8],
    is_plain: NDArray[np.bool_],
) -> None:
    """Call genotypes of variants, where these are as most are: of two copies.

    Parameters
    ----------
    bodies, bounds
        Genotypes that are not compressed, uint8 (bytes,), of which each variant has a
        stretch, int64 (variants + 1,).
    table
        From :func:`make_table`.
    genotypes
        Filled for these: int8 (variants, individuals).
    is_plain
        Of which variants, bool (variants,); changed to which of them are so.
    """
    n = genotypes.shape[1]
    for v in range(genotypes.shape[0]):
        body = bodies[bounds[v] : bounds[v + 1]]
        if not is_plain[v]:
            continue
        is_plain[v] = False
        if len(body) < 10 + n or get_number(body, 0, 4) != n:
            continue
        is_phased, bits, ploidy = body[8 + n], body[9 + n], body[8 : 8 + n]
        if get_number(body, 4, 2) != 2 or is_phased > 1 or bits < 1 or bits > 32:
            continue
        n_other = 0
        for i in range(n):
            n_other += ploidy[i] & PLOIDY != 2
        if n_other or len(body) != 10 + n + (2 * n * bits + 7) // 8:
            continue
        packed = body[10 + n :]
        if bits == 8 and not is_phased:
            is_plain[v] = look_up(ploidy, packed, table, genotypes[v])
        else:
            n_read = call_genotypes(
                ploidy, packed, bits, is_phased == 1, threshold, genotypes[v]
            )
            is_plain[v] = n_read == n


@inlined
def look_up(
    ploidy: NDArray[np.uint8],
    packed: NDArray[np.uint8],
    table: NDArray[np.int8],
    genotypes: NDArray[np.int8],
) -> bool:
    """Call genotypes of numbers of eight bits by a table; return whether all are valid.

    Parameters as for :func:`call_genotypes`.
    """
    is_valid = True
    for i in range(genotypes.shape[0]):
        pair = np.uint32(packed[2 * i]) | np.uint32(packed[2 * i + 1]) << np.uint32(8)
        is_missing = ploidy[i] & IS_MISSING != 0
        genotype = table[pair]
        is_valid &= genotype != INVALID or is_missing
        genotypes[i] = np.int8(-1) if is_missing else genotype
    return is_valid


@kernel
def call_triples(
    body: NDArray[np.uint8], threshold: float, genotypes: NDArray[np.int8]
) -> int:
    """Call genotypes of BGEN 1.1: three probabilities an individual.

    Parameters
    ----------
    body
        Little-endian numbers of 16 bits, of which 32768 is 1, uint8 (bytes,).
    genotypes
        Filled: int8 (individuals,), copies of the second allele, -1 missing.

    Returns
    -------
    Number of individuals read, as for :func:`call_genotypes`.
    """
    for i in range(genotypes.shape[0]):
        none = float(body[6 * i] | body[6 * i + 1] << 8)
        single = float(body[6 * i + 2] | body[6 * i + 3] << 8)
        double = float(body[6 * i + 4] | body[6 * i + 5] << 8)
        if none + single + double > MOST_OF_THREE:
            return i
        genotypes[i] = choose(none, single, double, ONE_OF_THREE, threshold)
    return genotypes.shape[0]


@kernel
def call_all_triples(
    bodies: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    threshold: float,
    genotypes: NDArray[np.int8],
    is_plain: NDArray[np.bool_],
) -> None:
    """Call genotypes of variants of BGEN 1.1; parameters as for :func:`call_blocks`."""
    n = genotypes.shape[1]
    for v in range(genotypes.shape[0]):
        body = bodies[bounds[v] : bounds[v + 1]]
        if is_plain[v]:
            is_plain[v] = (
                len(body) == 6 * n and call_triples(body, threshold, genotypes[v]) == n
            )


@kernel
def call_genotypes(
    ploidy: NDArray[np.uint8],
    packed: NDArray[np.uint8],
    bits: int,
    is_phased: bool,
    threshold: float,
    genotypes: NDArray[np.int8],
) -> int:
    """Call the genotype that is most probable, and more so than the threshold.

    Parameters
    ----------
    ploidy
        The byte of each individual, uint8 (individuals,), of ploidy 1 or 2.
    packed
        A number for each chromosome copy of each individual, uint8 (bytes,).
    bits
        Of a number, 1 to 32.
    genotypes
        Filled: int8 (individuals,), copies of the second allele, -1 missing.

    Returns
    -------
    Number of individuals read: fewer than there are if the probabilities of the next
    one sum to more than 1.
    """
    one, at = 2.0**bits - 1, 0
    for i in range(genotypes.shape[0]):
        is_diploid = ploidy[i] & PLOIDY == 2
        first = unpack_number(packed, at, bits)
        second = unpack_number(packed, at + 1, bits) if is_diploid else 0.0
        at += 2 if is_diploid else 1
        if ploidy[i] & IS_MISSING:
            genotypes[i] = -1
            continue
        if is_diploid and is_phased:  # each is of the first allele, on its copy
            total, none = one * one, first * second
            double = (one - first) * (one - second)
            single = total - none - double
        else:  # of no second allele and of one; what remains is of all
            total, none, single, double = one, first, second, one - first - second
            if double < 0:
                return i
        genotypes[i] = choose(none, single, double, total, threshold)
    return genotypes.shape[0]
