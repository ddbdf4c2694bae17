"""Counts of a panel of complete pairs, by stretches of words that stay in the cache.

A panel is some fours of rows beside some blocks of columns. Where a block is small,
the panel is one four and one block, counted in one go while the rows and a chunk of
columns stay in the second-level cache. Where there are so many individuals that few
blocks fit there, a stretch of the words of every column is kept for all the rows.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._count_kernels import Counts, count_four_rows, get_lanes
from hpc_connector.learner.mdr._search_kernels import CACHE_BYTES
from hpc_connector.learner.mdr._simd import load, store

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
        Groups that are counted, with their sums.

    Returns
    -------
    Blocks of columns that are searched for all rows before the next ones; fours of
    rows and blocks of columns that are counted together; words of a stretch.
    """
    blocks = CACHE_BYTES // (n_words * stored * 64)
    if blocks >= FEW_BLOCKS:
        return blocks, 1, 1, n_words
    fours = PANEL_BYTES // (PANEL_BLOCKS * n_groups * 1024)
    stretch = CACHE_BYTES // (PANEL_BLOCKS * stored * 64)
    return PANEL_BLOCKS, max(4, min(fours // 4 * 4, PANEL_FOURS)), PANEL_BLOCKS, stretch


@kernel
def copy_block_rows(
    planes: NDArray[np.int32],
    block: int,
    n_words: int,
    stored: int,
    rows: NDArray[np.int32],
    to: int,
) -> None:
    """Copy two planes of sixteen variants as four fours: rows[four][word][plane][row].

    Parameters
    ----------
    planes, block
        All planes, flat, and where those of the block begin.
    stored
        Planes stored of each word.
    rows, to
        The result, at rows[to:], int32.
    """
    for word in range(n_words):
        for plane in range(2):
            for four in range(4):
                at = block + (word * stored + plane) * 16 + four * 4
                into = to + (four * n_words + word) * 8 + plane * 4
                # all loads before all stores: one load and one store of four
                a, b, c, d = planes[at], planes[at + 1], planes[at + 2], planes[at + 3]
                rows[into], rows[into + 1], rows[into + 2], rows[into + 3] = a, b, c, d


@bare
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
    some: Counts,
    n_groups: int,
) -> None:
    """Count the four cells of every pair of a panel in every group.

    Parameters
    ----------
    start
        First word of each group, int64 (groups + 1,).
    rows, fours
        Of every four, from :func:`copy_four_rows`.
    planes, first_block, blocks, stored
        Planes, flat, the blocks that are counted, and the planes stored of each word.
    counts
        The result, [four][block][group][row][cell][lane]; groups without individuals
        are left as they are.
    some
        Room for the counts of a four, a block and a group.
    n_groups
        Groups of `counts`: those that are counted, and room for sums.
    """
    n_words, size = start[-1], 16 * get_lanes(counts)
    for begin in range(0, n_words, stretch):
        end = min(begin + stretch, n_words)
        for four in range(fours):
            row = first_row + four * n_words * 8
            for block in range(blocks):
                at = (first_block + block) * n_words * stored * 16
                to = (four * blocks + block) * n_groups * size
                for group in range(start.shape[0] - 1):
                    first, last = max(start[group], begin), min(start[group + 1], end)
                    if first >= last:
                        continue
                    into = to + group * size
                    if first == start[group]:
                        count_four_rows(
                            rows, row, planes, at, first, last, counts, into, stored
                        )
                    else:
                        count_four_rows(
                            rows, row, planes, at, first, last, some, 0, stored
                        )
                        add_counts(some, counts, into)


@inlined
def add_counts(some: Counts, counts: Counts, at: int) -> None:
    """Add the counts of a four, a block and a group to counts[at:]."""
    lanes = get_lanes(counts)
    for offset in range(0, 16 * lanes, lanes):
        store(counts, at + offset, load(counts, at + offset) + load(some, offset))


@inlined
def sum_groups(counts: Counts, at: int, folds: int) -> None:
    """Append to counts[at:], [group][16][lane], the sums over folds of each class."""
    lanes = get_lanes(counts)
    size = 16 * lanes
    for offset in range(at, at + size, lanes):
        for is_control in range(2):
            first = offset + is_control * folds * size
            total = load(counts, first)
            for fold in range(1, folds):
                total = total + load(counts, first + fold * size)
            store(counts, offset + (2 * folds + is_control) * size, total)
