"""Genotypes of BGEN variants of three or more alleles, or of odd numbers of copies.

Numbers become the probabilities that VCF's GP has, of which the order is the same:
00, 01, 11, 02, 12, 22, ... or, of a haploid individual, 0, 1, 2, ...
"""

from math import comb

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.bgen import _kernels as kernels


def get_probabilities(
    ploidy: NDArray[np.uint8],
    packed: NDArray[np.uint8],
    bits: int,
    is_phased: bool,
    n_alleles: int,
) -> NDArray[np.float64]:
    """Return the probability of each genotype of a variant.

    Parameters
    ----------
    ploidy
        The byte of each individual, uint8 (individuals,).
    packed
        The numbers, uint8 (bytes,).

    Returns
    -------
    float64 (individuals, genotypes): NaN where missing or of other ploidy than 1 and 2,
    inf after the last of a haploid individual.

    Raises
    ------
    BadInput
        Numbers of another count or sum; the message lacks the place.
    """
    copies = (ploidy & kernels.PLOIDY).astype(np.int64)
    is_given = ploidy & kernels.IS_MISSING == 0
    n_numbers = np.array([count_numbers(c, n_alleles, is_phased) for c in range(64)])
    first = np.concatenate([[0], np.cumsum(n_numbers[copies])])
    n_bytes = (int(first[-1]) * bits + 7) // 8
    if len(packed) != n_bytes:
        raise BadInput(f"{len(packed)} bytes of probabilities, expected {n_bytes}")
    numbers = np.empty(first[-1])
    kernels.unpack_numbers(packed, bits, numbers)
    numbers /= 2.0**bits - 1

    n_genotypes = comb(n_alleles + 1, 2)
    probabilities = np.full((len(ploidy), n_genotypes), np.inf)
    probabilities[:, 0] = np.nan
    for c, width in ((1, n_alleles), (2, n_genotypes)):
        chosen = np.flatnonzero((copies == c) & is_given)
        of_each = numbers[first[chosen, None] + np.arange(n_numbers[c])]
        if c == 2 and is_phased:
            probabilities[chosen] = join_copies(of_each, n_alleles)
        else:
            probabilities[chosen, :width] = complete(of_each)
    return probabilities


def count_numbers(copies: int, n_alleles: int, is_phased: bool) -> int:
    """Return how many numbers an individual has."""
    if is_phased:
        return copies * (n_alleles - 1)
    return comb(copies + n_alleles - 1, n_alleles - 1) - 1


def complete(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Append to each row what remains of 1.

    Raises
    ------
    BadInput
        Nothing remains: a row sums to more than 1.
    """
    rest = np.round(1 - numbers.sum(axis=1, keepdims=True), 12)
    if (rest < 0).any():
        raise BadInput("expected probabilities that sum to 1")
    return np.hstack([numbers, rest])


def join_copies(numbers: NDArray[np.float64], n_alleles: int) -> NDArray[np.float64]:
    """Return probabilities of genotypes from those of the alleles of two copies."""
    first = complete(numbers[:, : n_alleles - 1])
    second = complete(numbers[:, n_alleles - 1 :])
    genotypes = [(a, b) for b in range(n_alleles) for a in range(b + 1)]
    columns = [
        first[:, a] * second[:, b] + (first[:, b] * second[:, a] if a < b else 0)
        for a, b in genotypes
    ]
    return np.stack(columns, axis=1)
