"""Exact tests and correlations of genotype counts, compiled."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel

SAME = 1 + 1e-10  # probabilities of two numbers of heterozygotes may be equal
SLIGHT = 2.0**-44  # relative; PLINK's, for frequencies and correlations that are equal


@kernel
def _sum_terms(
    n: int, rare: int, mode: int, observed: int, limit: float
) -> tuple[float, float, float]:
    """Sum the probabilities of all numbers of heterozygotes, the mode's being 1.

    Parameters
    ----------
    n, rare
        Individuals, and copies of the rarer allele among them.
    observed
        The number of heterozygotes whose probability is wanted.
    limit
        Probabilities of at most this are summed on their own.

    Returns
    -------
    Sum of all, of those within the limit, and the probability of `observed`.
    """
    total, tail, wanted = 0.0, 0.0, 0.0
    for step in (-2, 2):
        value = 1.0
        first = mode if step < 0 else mode + 2
        if step > 0:
            r, c = (rare - mode) // 2, n - mode - (rare - mode) // 2
            value *= 4.0 * r * c / ((mode + 2.0) * (mode + 1.0))
        h = first
        while 0 <= h <= rare and value > 0.0:
            total += value
            if value <= limit:
                tail += value
            if h == observed:
                wanted = value
            r = (rare - h) // 2
            c = n - h - r
            if step < 0:
                value *= h * (h - 1.0) / (4.0 * (r + 1.0) * (c + 1.0))
            else:
                value *= 4.0 * r * c / ((h + 2.0) * (h + 1.0))
            h += step
    return total, tail, wanted


@kernel
def fill_hwe_p(counts: NDArray[np.int64], p: NDArray[np.float64]) -> None:
    """Fill in the p-value of each variant; int64 (variants, 3), float64 (variants,)."""
    for v in range(counts.shape[0]):
        observed = counts[v, 1]
        n = counts[v, 0] + observed + counts[v, 2]
        rare = 2 * min(counts[v, 0], counts[v, 2]) + observed
        if rare == 0:
            p[v] = 1.0
            continue
        mode = rare * (2 * n - rare) // (2 * n)
        mode += (mode ^ rare) & 1
        _, _, wanted = _sum_terms(n, rare, mode, observed, 0.0)
        total, tail, _ = _sum_terms(n, rare, mode, observed, wanted * SAME)
        p[v] = min(1.0, tail / total)


@inlined
def _count_bits(word: np.uint64) -> np.int64:
    """Return the number of ones, in the words that LLVM knows as one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def _is_linked(carriers: NDArray[np.uint64], i: int, j: int, least_r2: float) -> bool:
    """Return whether the squared correlation of two variants exceeds a number."""
    n = sx = sxx = sy = syy = sxy = np.int64(0)
    for w in range(carriers.shape[2]):
        called = carriers[i, 0, w] & carriers[j, 0, w]
        x1, x2 = carriers[i, 1, w] & called, carriers[i, 2, w] & called
        y1, y2 = carriers[j, 1, w] & called, carriers[j, 2, w] & called
        n += _count_bits(called)
        n_x1, n_x2 = _count_bits(x1), _count_bits(x2)
        n_y1, n_y2 = _count_bits(y1), _count_bits(y2)
        sx += n_x1 + 2 * n_x2
        sxx += n_x1 + 4 * n_x2
        sy += n_y1 + 2 * n_y2
        syy += n_y1 + 4 * n_y2
        sxy += _count_bits(x1 & y1) + 4 * _count_bits(x2 & y2)
        sxy += 2 * (_count_bits(x1 & y2) + _count_bits(x2 & y1))
    covariance = float(n * sxy - sx * sy)
    variances = float(n * sxx - sx * sx) * float(n * syy - sy * sy)
    return covariance * covariance > least_r2 * variances


@kernel
def _prune_window(
    carriers: NDArray[np.uint64],
    frequency: NDArray[np.float64],
    first: int,
    last: int,
    r2: float,
    next_to: NDArray[np.int64],
    is_out: NDArray[np.bool_],
) -> None:
    """Prune the variants first .. last - 1 until no two of them are linked.

    Parameters
    ----------
    next_to
        Of each variant the next to compare it with, changed in place.
    """
    is_changed = True
    while is_changed:
        is_changed = False
        for i in range(first, last):
            j = max(next_to[i], i + 1)
            while not is_out[i] and j < last:
                j += 1
                if is_out[j - 1] or not _is_linked(carriers, i, j - 1, r2):
                    continue
                is_rarer = frequency[i] < (1 - SLIGHT) * frequency[j - 1]
                is_out[i if is_rarer else j - 1] = True
                is_changed = True
                break
            next_to[i] = j


@kernel
def prune(
    carriers: NDArray[np.uint64],
    frequency: NDArray[np.float64],
    position: NDArray[np.int64],
    window: int,
    step: int,
    r2: float,
    is_out: NDArray[np.bool_],
) -> None:
    """Mark the variants of a chromosome that pruning leaves out.

    Parameters
    ----------
    carriers
        Who is called, who has one copy, and who has two, uint64 (variants, 3, words).
    frequency
        Of the rarer allele, float64 (variants,).
    position
        A window is of so many base pairs; empty if it is of so many variants.
    is_out
        bool (variants,), changed in place: those of one genotype are marked.
    """
    n = carriers.shape[0]
    next_to = np.zeros(n, np.int64)
    first = last = 0
    while last < n and first < n:
        if position.shape[0] == 0:
            last = min(first + window, n)
        else:
            last = max(last, first + 1)
            while last < n and position[last] <= position[first] + window:
                last += 1
        _prune_window(carriers, frequency, first, last, r2, next_to, is_out)
        first += step
