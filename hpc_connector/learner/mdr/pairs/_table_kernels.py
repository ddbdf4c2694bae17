"""Tables of pairs as they are, for whoever adds them to those of others.

A batch is sixteen pairs: a row with the sixteen variants of a block. Its table has a
count of every group and cell: four cells, (0,0), (0,1), (1,0), (1,1), where the others
follow from marginals, or all nine.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._count_kernels import add_four, count_two_rows
from hpc_connector.learner.mdr._count_kernels import copy_rows as copy_some_rows
from hpc_connector.learner.mdr._simd import (
    Vector,
    add_common_bits,
    load,
    load_counts,
    spread,
    store,
    store_lower,
)
from hpc_connector.learner.mdr.pairs._panel_kernels import copy_rows

Numbers = NDArray[np.int16] | NDArray[np.int32]


@kernel
def count_batches(tile: tuple[int, ...]) -> int:
    """Return the batches of a tile: all rows of a block with each block not before it.

    Parameters
    ----------
    tile
        First and last row block, first and last column block.
    """
    first_row, last_row, first_column, last_column = tile
    n = 0
    for block in range(first_row, last_row):
        n += 16 * max(0, last_column - max(first_column, block))
    return n


@kernel
def add_tables(
    planes: NDArray[np.int32],
    start: NDArray[np.int64],
    tile: tuple[int, ...],
    n_cells: int,
    tables: Numbers,
) -> None:
    """Add the tables of the pairs of a tile to numbers, modulo 2^16 or 2^32.

    Parameters
    ----------
    planes
        int32 (blocks, words, 2 or 3, 16), see ``bitplanes``; 3 for nine cells.
    start
        First word of each group, int64 (groups + 1,).
    tile
        First and last row block, first and last column block.
    n_cells
        4 or 9.
    tables
        What they are added to, int16 or int32 (batches * groups * cells * 16,), of the
        bits of unsigned numbers: [batch][group][cell][pair]; batches as
        :func:`count_batches` counts them, row by row.
    """
    n_words = start[-1]
    if n_cells == 4:
        rows = np.empty(4 * n_words * 8, np.int32)
        _add_four(planes, planes.reshape(-1), start, tile, rows, tables)
    else:
        rows = np.empty(n_words * 6, np.int32)
        counts = np.empty((start.shape[0] - 1) * 288, np.int32)
        _add_nine(planes.reshape(-1), start, tile, rows, counts, tables)


@bare
def _add_four(
    stored_planes: NDArray[np.int32],
    planes: NDArray[np.int32],
    start: NDArray[np.int64],
    tile: tuple[int, ...],
    rows: NDArray[np.int32],
    tables: Numbers,
) -> None:
    """Add four cells of a tile with what :func:`add_tables` has allocated."""
    first_row, last_row, first_column, last_column = tile
    n_groups, n_words = start.shape[0] - 1, start[-1]
    stored = stored_planes.shape[2]
    block_size, size, base = n_words * stored * 16, n_groups * 64, 0
    for block_i in range(first_row, last_row):
        first = max(first_column, block_i)
        n_columns = last_column - first
        if n_columns <= 0:
            continue
        copy_rows(planes, block_i * block_size, n_words, stored, rows, 0)
        for column in range(n_columns):
            for four in range(4):
                _count_four_rows(
                    start,
                    rows,
                    four * n_words * 8,
                    planes,
                    (first + column) * block_size,
                    stored * 16,
                    tables,
                    (base + four * 4 * n_columns + column) * size,
                    n_columns * size,
                )
        base += 16 * n_columns


@inlined
def _add(tables: Numbers, at: int, count: Vector) -> None:
    """Add sixteen counts, of which tables of 16 bits hold the lower ones."""
    total = load_counts(tables, at) + count
    if tables.itemsize == 2:
        store_lower(tables, at, total)
    else:
        store(tables, at, total)


@inlined
def _add_group(
    tables: Numbers, at: int, c00: Vector, c01: Vector, c10: Vector, c11: Vector
) -> None:
    """Add the four cells of a group."""
    _add(tables, at, c00)
    _add(tables, at + 16, c01)
    _add(tables, at + 32, c10)
    _add(tables, at + 48, c11)


@bare
def _count_four_rows(
    start: NDArray[np.int64],
    rows: NDArray[np.int32],
    row: int,
    planes: NDArray[np.int32],
    block: int,
    step: int,
    tables: Numbers,
    to: int,
    size: int,
) -> None:
    """Add the tables of four rows with the sixteen variants of a block.

    Sixteen counts stay in registers through a group: two loads and eight broadcasts
    feed sixteen AND + population count + add.

    Parameters
    ----------
    rows, row
        From ``copy_rows``, and where this four begins.
    planes, block, step
        All planes, flat, where the block begins, and the values of a word.
    tables, to, size
        Where the table of the first row begins, and how far that of the next one is.
    """
    for group in range(start.shape[0] - 1):
        zero = spread(np.int32(0))
        a00 = a01 = a10 = a11 = zero
        b00 = b01 = b10 = b11 = zero
        c00 = c01 = c10 = c11 = zero
        d00 = d01 = d10 = d11 = zero
        for w in range(start[group], start[group + 1]):
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
        at = to + group * 64
        _add_group(tables, at, a00, a01, a10, a11)
        _add_group(tables, at + size, b00, b01, b10, b11)
        _add_group(tables, at + 2 * size, c00, c01, c10, c11)
        _add_group(tables, at + 3 * size, d00, d01, d10, d11)


@bare
def _add_nine(
    planes: NDArray[np.int32],
    start: NDArray[np.int64],
    tile: tuple[int, ...],
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    tables: Numbers,
) -> None:
    """Add nine cells of a tile with what :func:`add_tables` has allocated."""
    first_row, last_row, first_column, last_column = tile
    n_groups, n_words = start.shape[0] - 1, start[-1]
    block_size, size, base = n_words * 48, n_groups * 144, 0
    for block_i in range(first_row, last_row):
        first = max(first_column, block_i)
        n_columns = last_column - first
        if n_columns <= 0:
            continue
        for lane in range(0, 16, 2):
            copy_some_rows(planes, block_i * block_size, n_words, 3, lane, 2, rows)
            for column in range(n_columns):
                at = (first + column) * block_size
                for group in range(n_groups):
                    begin, end = start[group], start[group + 1]
                    count_two_rows(rows, 0, planes, at, begin, end, counts, group * 288)
                for row in range(2):
                    to = (base + (lane + row) * n_columns + column) * size
                    for group in range(n_groups):
                        here = group * 288 + row * 144
                        for cell in range(0, 144, 16):
                            count = load(counts, here + cell)
                            _add(tables, to + group * 144 + cell, count)
        base += 16 * n_columns


@kernel
def count_listed(
    planes: NDArray[np.int32],
    start: NDArray[np.int64],
    pairs: NDArray[np.int64],
    tables: NDArray[np.int32],
) -> None:
    """Count the nine cells of some pairs.

    Parameters
    ----------
    planes
        int32 (blocks, words, 3, 16).
    pairs
        Places of their variants, int64 (pairs, 2).
    tables
        The result, int32 (pairs, groups, 9).
    """
    n_words, n_groups = start[-1], start.shape[0] - 1
    flat = planes.reshape(-1)
    size = n_words * 48
    rows, counts = np.empty(n_words * 6, np.int32), np.empty(288, np.int32)
    for pair in range(pairs.shape[0]):
        i, j = pairs[pair]
        copy_some_rows(flat, i // 16 * size, n_words, 3, i % 16 // 2 * 2, 2, rows)
        for group in range(n_groups):
            begin, end = start[group], start[group + 1]
            count_two_rows(rows, 0, flat, j // 16 * size, begin, end, counts, 0)
            for cell in range(9):
                tables[pair, group, cell] = counts[i % 2 * 144 + cell * 16 + j % 16]


@kernel
def count_all_carriers(
    planes: NDArray[np.int32], start: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return the carriers of each genotype with a plane, int32 (blocks, groups, n, 16).

    Parameters
    ----------
    planes
        int32 (blocks, words, n, 16).
    """
    n_blocks, stored = planes.shape[0], planes.shape[2]
    n_groups = start.shape[0] - 1
    carriers = np.zeros((n_blocks, n_groups, stored, 16), np.int32)
    for block in range(n_blocks):
        flat, into = planes[block].reshape(-1), carriers[block].reshape(-1)
        for group in range(n_groups):
            for plane in range(stored):
                _count_plane(
                    flat,
                    start[group],
                    start[group + 1],
                    stored * 16,
                    plane * 16,
                    into,
                    (group * stored + plane) * 16,
                )
    return carriers


@bare
def _count_plane(
    words: NDArray[np.int32],
    first: int,
    last: int,
    step: int,
    at: int,
    into: NDArray[np.int32],
    to: int,
) -> None:
    """Count the bits of sixteen variants in some words."""
    total = spread(np.int32(0))
    for word in range(first, last):
        bits = load(words, word * step + at)
        total = add_common_bits(total, bits, bits)
    store(into, to, total)
