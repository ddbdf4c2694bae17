"""Counts of a panel of complete pairs, by stretches of words that stay in the cache.

A panel is some fours of rows beside some blocks of columns. Where a block is small,
the panel is one four and one block, counted in one go while the rows and a chunk of
columns stay in the second-level cache. Where there are so many individuals that few
blocks fit there, it is a stretch of the words of many rows that stays, for all columns.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._count_kernels import add_four
from hpc_connector.learner.mdr._search_kernels import CACHE_BYTES
from hpc_connector.learner.mdr._simd import Vector, load, spread, store, store_fours

Counts = NDArray[np.int32] | NDArray[np.int16]

FEW_BLOCKS = 4  # columns that repay copying a row
PANEL_FOURS, PANEL_BLOCKS = 16, 16
PANEL_BYTES = 1 << 22  # of the counts of a panel


@inlined
def cut_tile(n_words: int, stored: int, n_groups: int) -> tuple[int, int, int, int]:
    """Return how a tile is searched: chunk, fours and blocks of a panel, stretch.

    Parameters
    ----------
    n_words, stored
        Words of a vector of variants, and planes stored of each.
    n_groups
        Groups that are counted.

    Returns
    -------
    Blocks of columns that are searched for all rows before the next ones; fours of
    rows and blocks of columns that are counted together; words of a stretch.
    """
    blocks = CACHE_BYTES // (n_words * stored * 64)
    if blocks >= FEW_BLOCKS:
        return blocks, 1, 1, n_words
    fours = PANEL_BYTES // (PANEL_BLOCKS * n_groups * 1024) // 4 * 4
    fours = max(4, min(fours, PANEL_FOURS))
    return PANEL_BLOCKS, fours, PANEL_BLOCKS, CACHE_BYTES // (fours * 64)


@kernel
def copy_rows(
    planes: NDArray[np.int32],
    block: int,
    n_words: int,
    stored: int,
    rows: NDArray[np.int32],
    to: int,
) -> None:
    """Copy two planes of sixteen variants as four fours.

    Parameters
    ----------
    planes, block
        All planes, flat, and where those of the block begin.
    stored
        Planes stored of each word.
    rows, to
        The result, at rows[to:], int32 [four][word][plane][row].
    """
    for word in range(n_words):
        for plane in range(2):
            variants = load(planes, block + (word * stored + plane) * 16)
            store_fours(rows, to + word * 8 + plane * 4, n_words * 8, variants)


@inlined
def count_panel(
    start: NDArray[np.int64],
    rows: NDArray[np.int32],
    first_row: int,
    fours: int,
    planes: NDArray[np.int32],
    first_block: int,
    blocks: int,
    stored: int,
    stretch: int,
    counts: Counts,
) -> None:
    """Count the four cells of every pair of a panel, up to the end of every group.

    Parameters
    ----------
    start
        First word of each group, int64 (groups + 1,).
    rows, first_row, fours
        From :func:`copy_rows`, where the first of the fours begins, and how many.
    planes, first_block, blocks, stored
        Planes, flat, the blocks that are counted, and the planes stored of each word.
    stretch
        Words that are counted for the whole panel before the next ones.
    counts
        The result, [four][block][group][row][cell][lane], a group with all before it.
    """
    n_words, n_groups = start[-1], start.shape[0] - 1
    size = n_groups * 16 * get_lanes(counts)
    for begin in range(0, n_words, stretch):
        end = min(begin + stretch, n_words)
        for block in range(blocks):
            at = (first_block + block) * n_words * stored * 16
            for four in range(fours):
                row = first_row + four * n_words * 8
                to = (four * blocks + block) * size
                if begin == 0:  # known to the compiler: a tenth of the time
                    count_groups(start, end, rows, row, planes, at, stored, counts, to)
                else:
                    count_groups(
                        start, end, rows, row, planes, at, stored, counts, to, begin
                    )


@kernel
def count_groups(
    start: NDArray[np.int64],
    end: int,
    rows: NDArray[np.int32],
    row: int,
    planes: NDArray[np.int32],
    block: int,
    stored: int,
    counts: Counts,
    at: int,
    begin: int = 0,
) -> None:
    """Count the four cells of four rows with a block over the words begin .. end - 1.

    Sixteen accumulators stay in registers through all groups: two loads and eight
    broadcasts feed sixteen AND + population count + add.

    Parameters
    ----------
    rows, row
        From :func:`copy_rows`, and where this four begins. With counts of 16 bits its
        words are of 16 bits, and there twice.
    planes, block, stored
        All planes, flat, where the block begins, and the planes stored of each word.
    counts, at
        At counts[at:], [group][row][cell][lane]: what was counted in the words before
        the end of each group. Where `begin` is not 0, those before it are there.
    """
    n_groups, step, size = start.shape[0] - 1, stored * 16, 16 * get_lanes(counts)
    group = 0
    zero = spread(counts.dtype.type(0))
    a00 = a01 = a10 = a11 = zero
    b00 = b01 = b10 = b11 = zero
    c00 = c01 = c10 = c11 = zero
    d00 = d01 = d10 = d11 = zero
    if begin > 0:
        while start[group + 1] <= begin:
            group += 1
        a00, a01, a10, a11 = _load_row(counts, at + group * size, 0)
        b00, b01, b10, b11 = _load_row(counts, at + group * size, 1)
        c00, c01, c10, c11 = _load_row(counts, at + group * size, 2)
        d00, d01, d10, d11 = _load_row(counts, at + group * size, 3)
    word = begin
    while group < n_groups and start[group] <= end:
        last = min(start[group + 1], end)
        for w in range(word, last):
            x, y = load(planes, block + w * step), load(planes, block + w * step + 16)
            r = row + w * 8
            a00, a01, a10, a11 = add_four(
                a00, a01, a10, a11, rows[r], rows[r + 4], x, y
            )
            b00, b01, b10, b11 = add_four(
                b00, b01, b10, b11, rows[r + 1], rows[r + 5], x, y
            )
            c00, c01, c10, c11 = add_four(
                c00, c01, c10, c11, rows[r + 2], rows[r + 6], x, y
            )
            d00, d01, d10, d11 = add_four(
                d00, d01, d10, d11, rows[r + 3], rows[r + 7], x, y
            )
        word = last
        _store_row(counts, at + group * size, 0, a00, a01, a10, a11)
        _store_row(counts, at + group * size, 1, b00, b01, b10, b11)
        _store_row(counts, at + group * size, 2, c00, c01, c10, c11)
        _store_row(counts, at + group * size, 3, d00, d01, d10, d11)
        group += 1


@inlined
def get_lanes(counts: Counts) -> int:
    """Return the lanes of counts: sixteen of 32 bits, or twice as many of 16 bits."""
    return 64 // counts.itemsize


@inlined
def _load_row(counts: Counts, at: int, row: int) -> tuple[Vector, ...]:
    """Return the four cells of one row of four."""
    lanes = get_lanes(counts)
    cell = at + 4 * row * lanes
    return (
        load(counts, cell),
        load(counts, cell + lanes),
        load(counts, cell + 2 * lanes),
        load(counts, cell + 3 * lanes),
    )


@inlined
def _store_row(
    counts: Counts,
    at: int,
    row: int,
    c00: Vector,
    c01: Vector,
    c10: Vector,
    c11: Vector,
) -> None:
    """Write the four cells of one row of four."""
    lanes = get_lanes(counts)
    cell = at + 4 * row * lanes
    store(counts, cell, c00)
    store(counts, cell + lanes, c01)
    store(counts, cell + 2 * lanes, c10)
    store(counts, cell + 3 * lanes, c11)
