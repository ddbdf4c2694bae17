"""Sums of the scores of individuals in the cells of models.

Genotypes are read fifteen individuals a 16-bit word, and each word is three indexes of
five bits (or five of three, see ``_words``). A table holds the sum of the
scores of every set of five individuals, and a row (a variant, or what two share) takes
from it the sums of those who carry its genotype. So a sum takes one lookup and one
addition for five individuals of thirty-two models, whatever the bits of a score: by
slices, each bit would take an AND, a population count and an addition.

Scores have one digit of eight bits, or two. Those of 255 individuals add up to less
than 2 ** 16; then they go to counts of 32 bits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.gmdr._words import (
    CHUNKS,
    SETS,
    WORD_BITS,
    Words,
    add_entries,
    load_table,
    load_words,
    next_chunk,
    no_words,
    pick_entries,
    spread_word,
    store_half,
    widen_first,
    widen_last,
)
from hpc_connector.learner.mdr._arguments import Genotypes
from hpc_connector.learner.mdr._count_kernels import sum_folds
from hpc_connector.learner.mdr._simd import load, spread, store

DIGIT_BITS = 8  # of a score
FLUSH = 17  # words, 255 individuals, whose digits add up to less than 2 ** 16
SUPERS = 4  # of 32 variants, that a row is counted with at once
Three = tuple[Words, Words, Words]
Four = tuple[Words, Words, Words, Words]
LEAST = np.int32((1 << WORD_BITS) - 1)


class Scored(NamedTuple):
    """Genotypes of individuals who count as much as their score.

    Parameters
    ----------
    genotypes
        Its sizes are sums of scores, where those of MDR are numbers of individuals.
    start
        First word of fifteen individuals of each group, int64 (groups + 1,).
    entries
        Sums of the digits of every set of a few individuals, uint16
        [digit][word][chunk][set], flat.
    """

    genotypes: Genotypes
    start: NDArray[np.int64]
    entries: NDArray[np.uint16]


@kernel
def gather_words(
    scored: Scored, first: int, last: int, n_supers: int
) -> NDArray[np.uint16]:
    """Return the genotypes of some blocks, fifteen individuals a word.

    Returns
    -------
    uint16 [super of two blocks][word][plane][32], flat; zeros after the last block.
    """
    genotypes, start = scored.genotypes, scored.start
    n_planes, n_groups = genotypes.planes.shape[2], start.shape[0] - 1
    width = start[n_groups] * n_planes * 32
    words = np.zeros(n_supers * width, np.uint16)
    for block in range(first, last):
        planes = genotypes.planes[block].reshape(-1)
        base = (block - first) // 2 * width + (block - first) % 2 * 16
        for group in range(n_groups):
            bit, end = (
                genotypes.group_start[group] * 32,
                genotypes.group_start[group + 1],
            )
            for w in range(start[group], start[group + 1]):
                for plane in range(n_planes):
                    at, shift = bit >> 5, bit & 31
                    word = load(planes, (at * n_planes + plane) * 16) >> spread(shift)
                    if shift > 32 - WORD_BITS and at + 1 < end:
                        after = load(planes, ((at + 1) * n_planes + plane) * 16)
                        word = word | (after << spread(32 - shift))
                    to = base + (w * n_planes + plane) * 32
                    store_half(words, to, word & spread(LEAST))
                bit += WORD_BITS
    return words


@inlined
def copy_row(
    words: NDArray[np.uint16],
    width: int,
    variant: int,
    rows: NDArray[np.uint16],
) -> None:
    """Copy the words of a variant, its number among those gathered: [word][plane]."""
    at = variant // 32 * width + variant % 32
    for w in range(rows.shape[0]):
        rows[w] = words[at + w * 32]


@inlined
def _flush(
    total: Words, counts: NDArray[np.int32], at: int, apart: int, shift: int, keep: bool
) -> None:
    """Add words, as a digit, to the counts of two blocks, or put them there."""
    low = widen_first(total) << spread(shift)
    high = widen_last(total) << spread(shift)
    if keep:
        low, high = low + load(counts, at), high + load(counts, at + apart)
    store(counts, at, low)
    store(counts, at + apart, high)


@inlined
def _add_four(total: Four, s: Words, t: Words, x: Words, y: Words) -> Four:
    """Add the entries of four cells."""
    return (
        add_entries(total[0], s, x),
        add_entries(total[1], s, y),
        add_entries(total[2], t, x),
        add_entries(total[3], t, y),
    )


@inlined
def _flush_four(
    total: Four,
    counts: NDArray[np.int32],
    at: int,
    apart: int,
    shift: int,
    keep: bool,
) -> None:
    _flush(total[0], counts, at, apart, shift, keep)
    _flush(total[1], counts, at + 16, apart, shift, keep)
    _flush(total[2], counts, at + 32, apart, shift, keep)
    _flush(total[3], counts, at + 48, apart, shift, keep)


@bare
def _sum_four_cells(
    scored: Scored,
    table: int,
    rows: NDArray[np.uint16],
    row: int,
    words: NDArray[np.uint16],
    at: int,
    counts: NDArray[np.int32],
    to: int,
    apart: int,
    shift: int,
) -> None:
    """Sum the four cells of a row with 128 variants in each group.

    Parameters
    ----------
    table
        Where the entries of the digit begin.
    rows, row
        From :func:`copy_row`, and where the words of the row begin.
    words, at
        From :func:`gather_words`, and where the four supers begin.
    counts, to
        The result, at counts[to:], int32 [group][block of 8][cell][lane], `apart` a
        block.
    shift
        Bits below the digit; a second digit is added to what is there.
    """
    none, start, entries = no_words(), scored.start, scored.entries
    n_groups = start.shape[0] - 1
    width = start[n_groups] * 64
    for group in range(n_groups):
        first, last = start[group], start[group + 1]
        keep = shift > 0
        while True:
            a = b = c = d = none, none, none, none
            end = min(first + FLUSH, last)
            for w in range(first, end):
                x = at + w * 64
                a0, a1 = load_words(words, x), load_words(words, x + 32)
                x += width
                b0, b1 = load_words(words, x), load_words(words, x + 32)
                x += width
                c0, c1 = load_words(words, x), load_words(words, x + 32)
                x += width
                d0, d1 = load_words(words, x), load_words(words, x + 32)
                at_row = row + w * 2
                g, h = spread_word(rows, at_row), spread_word(rows, at_row + 1)
                for k in range(CHUNKS):
                    of_all = load_table(entries, table + (w * CHUNKS + k) * SETS)
                    s, t = pick_entries(of_all, g), pick_entries(of_all, h)
                    a = _add_four(a, s, t, a0, a1)
                    b = _add_four(b, s, t, b0, b1)
                    c = _add_four(c, s, t, c0, c1)
                    d = _add_four(d, s, t, d0, d1)
                    a0, a1 = next_chunk(a0), next_chunk(a1)
                    b0, b1 = next_chunk(b0), next_chunk(b1)
                    c0, c1 = next_chunk(c0), next_chunk(c1)
                    d0, d1 = next_chunk(d0), next_chunk(d1)
                    g, h = next_chunk(g), next_chunk(h)
            _flush_four(a, counts, to, apart, shift, keep)
            _flush_four(b, counts, to + 2 * apart, apart, shift, keep)
            _flush_four(c, counts, to + 4 * apart, apart, shift, keep)
            _flush_four(d, counts, to + 6 * apart, apart, shift, keep)
            first, keep = end, True
            if first >= last:
                break
        to += 2 * SUPERS * apart


@inlined
def _add_three(total: Three, t: Words, x: Words, y: Words, z: Words) -> Three:
    """Add the entries of the three cells of one genotype of the row."""
    return (
        add_entries(total[0], t, x),
        add_entries(total[1], t, y),
        add_entries(total[2], t, z),
    )


@inlined
def _flush_three(
    total: Three,
    counts: NDArray[np.int32],
    at: int,
    apart: int,
    shift: int,
    keep: bool,
) -> None:
    _flush(total[0], counts, at, apart, shift, keep)
    _flush(total[1], counts, at + 16, apart, shift, keep)
    _flush(total[2], counts, at + 32, apart, shift, keep)


@bare
def _sum_nine_cells(
    scored: Scored,
    table: int,
    rows: NDArray[np.uint16],
    row: int,
    words: NDArray[np.uint16],
    at: int,
    counts: NDArray[np.int32],
    to: int,
    apart: int,
    shift: int,
) -> None:
    """Sum all nine cells of a row with 64 variants, where genotypes are missing.

    Parameters as in :func:`_sum_four_cells`.
    """
    none, start, entries = no_words(), scored.start, scored.entries
    n_groups = start.shape[0] - 1
    width = start[n_groups] * 96
    for group in range(n_groups):
        first, last = start[group], start[group + 1]
        keep = shift > 0
        while True:
            a = b = c = d = e = f = none, none, none
            end = min(first + FLUSH, last)
            for w in range(first, end):
                p = at + w * 96
                x, y = load_words(words, p), load_words(words, p + 32)
                z, u = load_words(words, p + 64), load_words(words, p + width)
                p += width
                v, q = load_words(words, p + 32), load_words(words, p + 64)
                at_row = row + w * 3
                g, h = spread_word(rows, at_row), spread_word(rows, at_row + 1)
                m = spread_word(rows, at_row + 2)
                for k in range(CHUNKS):
                    of_all = load_table(entries, table + (w * CHUNKS + k) * SETS)
                    r = pick_entries(of_all, g)
                    a, d = _add_three(a, r, x, y, z), _add_three(d, r, u, v, q)
                    r = pick_entries(of_all, h)
                    b, e = _add_three(b, r, x, y, z), _add_three(e, r, u, v, q)
                    r = pick_entries(of_all, m)
                    c, f = _add_three(c, r, x, y, z), _add_three(f, r, u, v, q)
                    x, y, z = next_chunk(x), next_chunk(y), next_chunk(z)
                    u, v, q = next_chunk(u), next_chunk(v), next_chunk(q)
                    g, h, m = next_chunk(g), next_chunk(h), next_chunk(m)
            _flush_three(a, counts, to, apart, shift, keep)
            _flush_three(b, counts, to + 48, apart, shift, keep)
            _flush_three(c, counts, to + 96, apart, shift, keep)
            _flush_three(d, counts, to + 2 * apart, apart, shift, keep)
            _flush_three(e, counts, to + 2 * apart + 48, apart, shift, keep)
            _flush_three(f, counts, to + 2 * apart + 96, apart, shift, keep)
            first, keep = end, True
            if first >= last:
                break
        to += 2 * SUPERS * apart


@bare
def sum_rows(
    scored: Scored,
    rows: NDArray[np.uint16],
    n_sets: int,
    words: NDArray[np.uint16],
    super_: int,
    counts: NDArray[np.int32],
) -> None:
    """Sum the scores in the cells of a row with 128 variants, and over folds.

    Parameters
    ----------
    rows
        The words of the row of each set, uint16 [set][word][plane], flat.
    words, super_
        From :func:`gather_words`, and the first of four supers.
    counts
        The result, int32 [group][block of 8][set][cell][lane], flat: the groups and
        their sums over folds.
    """
    n_planes = scored.genotypes.planes.shape[2]
    n_words = scored.start[scored.start.shape[0] - 1]
    cells, of_digit = n_planes * n_planes * 16, n_words * CHUNKS * SETS
    apart, width = n_sets * cells, n_words * n_planes * 32
    for k in range(n_sets):
        row, to = k * n_words * n_planes, k * cells
        for digit in range(scored.entries.shape[0] // of_digit):
            table, shift, at = digit * of_digit, digit * DIGIT_BITS, super_ * width
            if n_planes == 2:
                _sum_four_cells(
                    scored, table, rows, row, words, at, counts, to, apart, shift
                )
                continue
            _sum_nine_cells(
                scored, table, rows, row, words, at, counts, to, apart, shift
            )
            at, to_last = at + 2 * width, to + 4 * apart
            _sum_nine_cells(
                scored, table, rows, row, words, at, counts, to_last, apart, shift
            )
    if scored.genotypes.folds > 1:
        sum_folds(counts, scored.genotypes.folds, 2 * SUPERS * apart)


@kernel
def sum_carriers(
    scored: Scored, words: NDArray[np.uint16], n_supers: int
) -> NDArray[np.int32]:
    """Return the scores of the carriers of each genotype in each group.

    As ``get_carriers`` of MDR counts them: int32 (2 * supers, groups * planes * 16),
    the groups and their sums over folds.
    """
    genotypes, start = scored.genotypes, scored.start
    n_planes = genotypes.planes.shape[2]
    n_groups, n_words = start.shape[0] - 1, start[start.shape[0] - 1]
    step, apart = n_planes * 16, genotypes.size.shape[0] * n_planes * 16
    carriers = np.zeros((2 * n_supers, apart), np.int32)
    for super_ in range(n_supers):
        for digit in range(scored.entries.shape[0] // (n_words * CHUNKS * SETS)):
            for group in range(n_groups):
                for plane in range(n_planes):
                    to = 2 * super_ * apart + group * step + plane * 16
                    for first in range(start[group], start[group + 1], FLUSH):
                        total = no_words()
                        for w in range(first, min(first + FLUSH, start[group + 1])):
                            at = (super_ * n_words + w) * n_planes + plane
                            x = load_words(words, at * 32)
                            for k in range(CHUNKS):
                                entry = ((digit * n_words + w) * CHUNKS + k) * SETS
                                table = load_table(scored.entries, entry)
                                total = add_entries(total, table, x)
                                x = next_chunk(x)
                        shift = digit * DIGIT_BITS
                        _flush(total, carriers.reshape(-1), to, apart, shift, True)
    if genotypes.folds > 1:
        for block in range(2 * n_supers):
            sum_folds(carriers[block], genotypes.folds, step)
    return carriers
