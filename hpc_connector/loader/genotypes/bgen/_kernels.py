"""Where the variants of a BGEN file lie, and genotypes from its packed numbers."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel

IS_MISSING = 0x80  # of the byte that tells an individual's ploidy
PLOIDY = 0x3F


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


@kernel
def find_variants(data: NDArray[np.uint8], at: int, ends: NDArray[np.int64]) -> int:
    """Find where variants end, of which the first begins at `at`.

    Parameters
    ----------
    data
        The file, uint8 (bytes,).
    ends
        Filled: int64 (variants,).

    Returns
    -------
    Number of variants found before the file ends.
    """
    for v in range(ends.shape[0]):
        for _ in range(3):  # variant id, rsid, chromosome
            at = skip_string(data, at, 2)
        n_alleles = get_number(data, at + 4, 2) if at >= 0 else -1
        if n_alleles < 0:
            return v
        at += 6
        for _ in range(n_alleles):
            at = skip_string(data, at, 4)
            if at < 0:
                return v
        at = skip_string(data, at, 4)  # the genotypes
        if at < 0 or at > len(data):
            return v
        ends[v] = at
    return ends.shape[0]


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
        genotype, best = 0, none
        if single > best:
            genotype, best = 1, single
        if double > best:
            genotype, best = 2, double
        genotypes[i] = genotype if best / total > threshold else -1
    return genotypes.shape[0]
