"""Genotypes as bit planes: the one layout that loader and learner share.

A plane holds one bit an individual: plane g says who carries genotype g. Words have
32 bits, and sixteen variants are interleaved word by word, so that one vector
register holds the same 32 individuals of sixteen variants:

    planes[block of 16 variants][word][genotype][variant in the block]

Individuals are ordered by class and fold, and every (class, fold) group starts on a
word of its own: counting a group is counting a run of words, with no mask.
Genotype 2 has no plane where nobody is missing: it is what the others leave.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel

LANES = 16
WORD_BITS = 32
ONES = np.uint64(0x0101010101010101)  # a bit of each of eight bytes
JOIN = np.uint64(0x0102040810204080)  # times such bits: these, in the highest byte
COUNTED_BLOCKS = 64  # whose bits are counted at once


@dataclass(frozen=True)
class Arrangement:
    """Where the bits of the individuals lie.

    Parameters
    ----------
    slot
        Bit of each individual, int64 (individuals,).
    group_start
        First word of each group, int64 (2 * folds + 1,): the folds of the cases,
        then the folds of the controls.
    group_size
        Individuals of each group, int64 (2 * folds,).
    """

    slot: NDArray[np.int64]
    group_start: NDArray[np.int64]
    group_size: NDArray[np.int64]

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.group_size) // 2

    @property
    def n_words(self) -> int:
        """Number of words of one plane of one variant."""
        return int(self.group_start[-1])


def make_arrangement(
    is_case: NDArray[np.integer[Any]],
    fold: NDArray[np.int64],
    folds: int | None = None,
) -> Arrangement:
    """Deal individuals to groups by class and fold.

    Parameters
    ----------
    is_case
        1 for a case, 0 for a control, shape (individuals,).
    fold
        Fold of each individual, 0 .. folds - 1, shape (individuals,).
    folds
        Of them, where the last may have nobody; up to the last that has if None.
    """
    folds = int(fold.max(initial=0)) + 1 if folds is None else folds
    group = np.where(np.asarray(is_case, bool), 0, folds) + fold
    size = np.bincount(group, minlength=2 * folds)
    start = np.concatenate([[0], np.cumsum(-(-size // WORD_BITS))])
    order = np.argsort(group, kind="stable")
    within = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    slot = np.empty(len(group), np.int64)
    slot[order] = start[group[order]] * WORD_BITS + within
    return Arrangement(slot, start.astype(np.int64), size.astype(np.int64))


def mark_slots(slot: NDArray[np.int64], n_words: int) -> NDArray[np.uint32]:
    """Return words whose bits are set where some individuals lie.

    Parameters
    ----------
    slot
        Bit of each of them, from an arrangement.

    Returns
    -------
    uint32 (words,).
    """
    words = np.zeros(n_words, np.uint32)
    bit = np.uint32(1) << (slot % WORD_BITS).astype(np.uint32)
    np.bitwise_or.at(words, slot // WORD_BITS, bit)
    return words


def get_source(
    arrangement: Arrangement, column: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the column of a file that each bit comes from, -1 for padding.

    Parameters
    ----------
    column
        Position in the file of each individual, int64 (individuals,).
    """
    source = np.full(arrangement.n_words * WORD_BITS, -1, np.int64)
    source[arrangement.slot] = column
    return source


@kernel
def pack_genotypes(
    genotypes: NDArray[np.int8], source: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Pack a block of genotypes to two bits each, and count them.

    Parameters
    ----------
    genotypes
        0, 1, 2 or -1 for missing, int8 (variants, individuals of the file).
    source
        From :func:`get_source`, int64 (words * 32,).

    Returns
    -------
    codes, counts
        int32 (variants, 2, words): low and high bit of genotype + 1, 0 where missing
        or padding; int64 (variants, 4): carriers of 0, 1, 2, and missing.
    """
    n_variants, n_words = genotypes.shape[0], source.shape[0] // 32
    codes = np.empty((n_variants, 2, n_words), np.int32)
    counts = np.zeros((n_variants, 4), np.int64)
    used = np.flatnonzero(source >= 0)
    slots, columns = used.astype(np.uint32), source[used].astype(np.uint32)
    line = np.zeros(source.shape[0], np.uint8)  # genotype + 1 of each bit
    eights = line.view(np.uint64)
    for v in range(n_variants):
        for k in range(slots.shape[0]):
            line[slots[k]] = np.uint8(genotypes[v, columns[k]] + 1)
        for w in range(n_words):
            low = high = n_low = n_high = n_both = np.uint64(0)
            for k in range(4):
                lows = eights[4 * w + k] & ONES
                highs = (eights[4 * w + k] >> np.uint64(1)) & ONES
                low |= join_bits(lows) << np.uint64(8 * k)
                high |= join_bits(highs) << np.uint64(8 * k)
                n_low += lows
                n_high += highs
                n_both += lows & highs
            codes[v, 0, w], codes[v, 1, w] = np.int32(low), np.int32(high)
            counts[v, 0] += add_bytes(n_low) - add_bytes(n_both)
            counts[v, 1] += add_bytes(n_high) - add_bytes(n_both)
            counts[v, 2] += add_bytes(n_both)
        counts[v, 3] = len(used) - counts[v, 0] - counts[v, 1] - counts[v, 2]
    return codes, counts


@inlined
def join_bits(eight: np.uint64) -> np.uint64:
    """Return the lowest bits of eight bytes as one byte."""
    return (eight * JOIN) >> np.uint64(56)


@inlined
def add_bytes(eight: np.uint64) -> np.int64:
    """Return the sum of eight bytes, up to 255."""
    return np.int64((eight * ONES) >> np.uint64(56))


@kernel
def place_codes(
    codes: NDArray[np.int32], place: NDArray[np.int64], planes: NDArray[np.int32]
) -> None:
    """Write packed variants to their places in the planes.

    Parameters
    ----------
    codes
        From :func:`pack_genotypes`, int32 (variants, 2, words).
    place
        Index of each of them among all variants, int64 (variants,).
    planes
        int32 (blocks, words, 2 or 3, 16), changed in place.
    """
    for v in range(codes.shape[0]):
        block, lane = place[v] // 16, place[v] % 16
        for w in range(codes.shape[2]):
            low, high = codes[v, 0, w], codes[v, 1, w]
            planes[block, w, 0, lane] = low & ~high
            planes[block, w, 1, lane] = high & ~low
            if planes.shape[2] == 3:
                planes[block, w, 2, lane] = low & high


def make_planes(n_variants: int, n_words: int, *, missing: bool) -> NDArray[np.int32]:
    """Return empty planes for a number of variants.

    Returns
    -------
    Zeros, int32 (blocks, words, 3 if genotypes are missing else 2, 16).
    """
    return np.zeros(get_planes_shape(n_variants, n_words, missing=missing), np.int32)


def get_planes_shape(
    n_variants: int, n_words: int, *, missing: bool
) -> tuple[int, int, int, int]:
    """Return the shape of the planes of a number of variants."""
    return -(-n_variants // LANES), n_words, 3 if missing else 2, LANES


def find_complete(
    planes: NDArray[np.int32], n_variants: int, n_individuals: int
) -> NDArray[np.bool_]:
    """Return the blocks of whose variants nobody lacks a genotype, bool (blocks,).

    A genotype without a plane is what the others leave: then none is missing.
    """
    if planes.shape[2] == 2:
        return np.ones(len(planes), bool)
    is_complete = np.zeros((len(planes), LANES), bool)
    for at in range(0, len(planes), COUNTED_BLOCKS):
        bits = np.bitwise_count(planes[at : at + COUNTED_BLOCKS].view(np.uint32))
        called = bits.sum(axis=(1, 2), dtype=np.int64)
        is_complete[at : at + COUNTED_BLOCKS] = called == n_individuals
    is_complete.reshape(-1)[n_variants:] = True  # lanes of no variant
    of_blocks: NDArray[np.bool_] = np.logical_and.reduce(is_complete, axis=1)
    return of_blocks
