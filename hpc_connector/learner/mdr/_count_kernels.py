"""Contingency counts of pairs of variants: AND, population count, add.

Lanes are the sixteen variants of a block; a few rows (other variants) are counted
against them at once, so that a word of the block is loaded once for all of them.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Genotypes
from hpc_connector.learner.mdr._simd import Vector, add_common_bits, load, spread, store


@kernel
def copy_rows(
    planes: NDArray[np.int32],
    block: int,
    n_words: int,
    n_planes: int,
    first: int,
    n_rows: int,
    rows: NDArray[np.int32],
) -> None:
    """Copy some variants of a block next to each other: rows[word][plane][row].

    Parameters
    ----------
    planes, block
        All planes, flat, and where those of the block begin.
    rows
        The result, int32 (words * planes * n_rows,).
    """
    for at in range(n_words * n_planes):
        for row in range(n_rows):
            rows[at * n_rows + row] = planes[block + at * 16 + first + row]


@inlined
def add_four(
    c00: Vector,
    c01: Vector,
    c10: Vector,
    c11: Vector,
    row_0: np.int32,
    row_1: np.int32,
    block_0: Vector,
    block_1: Vector,
) -> tuple[Vector, ...]:
    """Add the cells (0,0), (0,1), (1,0), (1,1) of one row over one word."""
    x, y = spread(row_0), spread(row_1)
    c00 = add_common_bits(c00, x, block_0)
    c01 = add_common_bits(c01, x, block_1)
    c10 = add_common_bits(c10, y, block_0)
    c11 = add_common_bits(c11, y, block_1)
    return c00, c01, c10, c11


@inlined
def _store_four(
    counts: NDArray[np.int32],
    at: int,
    c00: Vector,
    c01: Vector,
    c10: Vector,
    c11: Vector,
) -> None:
    store(counts, at, c00)
    store(counts, at + 16, c01)
    store(counts, at + 32, c10)
    store(counts, at + 48, c11)


@kernel
def count_four_rows(
    rows: NDArray[np.int32],
    row: int,
    planes: NDArray[np.int32],
    block: int,
    first: int,
    last: int,
    counts: NDArray[np.int32],
    at: int,
) -> None:
    """Count the four cells of 4 x 16 pairs over the words first .. last - 1.

    Sixteen accumulators stay in registers: two loads and eight broadcasts feed
    sixteen AND + population count + add.

    Parameters
    ----------
    rows, row
        From :func:`copy_rows`, int32, and where these rows begin.
    planes, block
        All planes, flat, and where those of the sixteen variants begin.
    counts
        The result, at counts[at:], int32 [row][cell][lane].
    """
    zero = spread(np.int32(0))
    a00 = a01 = a10 = a11 = zero
    b00 = b01 = b10 = b11 = zero
    c00 = c01 = c10 = c11 = zero
    d00 = d01 = d10 = d11 = zero
    for w in range(first, last):
        x, y = load(planes, block + w * 32), load(planes, block + w * 32 + 16)
        r = row + w * 8
        a00, a01, a10, a11 = add_four(a00, a01, a10, a11, rows[r], rows[r + 4], x, y)
        b00, b01, b10, b11 = add_four(
            b00, b01, b10, b11, rows[r + 1], rows[r + 5], x, y
        )
        c00, c01, c10, c11 = add_four(
            c00, c01, c10, c11, rows[r + 2], rows[r + 6], x, y
        )
        d00, d01, d10, d11 = add_four(
            d00, d01, d10, d11, rows[r + 3], rows[r + 7], x, y
        )
    _store_four(counts, at, a00, a01, a10, a11)
    _store_four(counts, at + 64, b00, b01, b10, b11)
    _store_four(counts, at + 128, c00, c01, c10, c11)
    _store_four(counts, at + 192, d00, d01, d10, d11)


@inlined
def count_one_row(
    rows: NDArray[np.int32],
    row: int,
    planes: NDArray[np.int32],
    block: int,
    first: int,
    last: int,
    counts: NDArray[np.int32],
    at: int,
) -> None:
    """Count the four cells of one of four rows; arguments of the four-row kernel."""
    c00 = c01 = c10 = c11 = spread(np.int32(0))
    for w in range(first, last):
        x, y = load(planes, block + w * 32), load(planes, block + w * 32 + 16)
        r = row + w * 8
        c00, c01, c10, c11 = add_four(c00, c01, c10, c11, rows[r], rows[r + 4], x, y)
    _store_four(counts, at, c00, c01, c10, c11)


@inlined
def _add_three(
    c0: Vector,
    c1: Vector,
    c2: Vector,
    row: np.int32,
    block_0: Vector,
    block_1: Vector,
    block_2: Vector,
) -> tuple[Vector, ...]:
    """Add the three cells of one genotype of one row over one word."""
    x = spread(row)
    c0 = add_common_bits(c0, x, block_0)
    c1 = add_common_bits(c1, x, block_1)
    c2 = add_common_bits(c2, x, block_2)
    return c0, c1, c2


@inlined
def _store_three(
    counts: NDArray[np.int32], at: int, c0: Vector, c1: Vector, c2: Vector
) -> None:
    store(counts, at, c0)
    store(counts, at + 16, c1)
    store(counts, at + 32, c2)


@inlined
def count_two_rows(
    rows: NDArray[np.int32],
    row: int,
    planes: NDArray[np.int32],
    block: int,
    first: int,
    last: int,
    counts: NDArray[np.int32],
    at: int,
) -> None:
    """Count all nine cells of 2 x 16 pairs over the words first .. last - 1.

    For planes of three genotypes, where the cells do not follow from marginals.

    Parameters
    ----------
    counts
        The result, at counts[at:], int32 [row][cell][lane].

    The others as in :func:`count_four_rows`.
    """
    zero = spread(np.int32(0))
    a00 = a01 = a02 = a10 = a11 = a12 = a20 = a21 = a22 = zero
    b00 = b01 = b02 = b10 = b11 = b12 = b20 = b21 = b22 = zero
    for w in range(first, last):
        x = load(planes, block + w * 48)
        y = load(planes, block + w * 48 + 16)
        z = load(planes, block + w * 48 + 32)
        r = row + w * 6
        a00, a01, a02 = _add_three(a00, a01, a02, rows[r], x, y, z)
        b00, b01, b02 = _add_three(b00, b01, b02, rows[r + 1], x, y, z)
        a10, a11, a12 = _add_three(a10, a11, a12, rows[r + 2], x, y, z)
        b10, b11, b12 = _add_three(b10, b11, b12, rows[r + 3], x, y, z)
        a20, a21, a22 = _add_three(a20, a21, a22, rows[r + 4], x, y, z)
        b20, b21, b22 = _add_three(b20, b21, b22, rows[r + 5], x, y, z)
    _store_three(counts, at, a00, a01, a02)
    _store_three(counts, at + 48, a10, a11, a12)
    _store_three(counts, at + 96, a20, a21, a22)
    _store_three(counts, at + 144, b00, b01, b02)
    _store_three(counts, at + 192, b10, b11, b12)
    _store_three(counts, at + 240, b20, b21, b22)


@inlined
def sum_folds(counts: NDArray[np.int32], folds: int, width: int) -> None:
    """Append to counts[group][...] the sums over folds of cases and of controls."""
    for offset in range(0, 2 * width, 16):
        is_control = offset // width
        first = is_control * folds * width + offset % width
        total = load(counts, first)
        for fold in range(1, folds):
            total = total + load(counts, first + fold * width)
        store(counts, 2 * folds * width + offset, total)


@inlined
def count_rows(
    genotypes: Genotypes,
    planes: NDArray[np.int32],
    rows: NDArray[np.int32],
    n_sets: int,
    block: int,
    counts: NDArray[np.int32],
    step: int,
) -> None:
    """Count sets of rows with a block in every group, and the sums over folds.

    Parameters
    ----------
    planes
        Those of `genotypes`, flat.
    rows
        int32 (sets * words * planes * rows of a set,).
    counts
        The result, int32 [group][row][cell][lane], `step` values a group.
    """
    start, folds = genotypes.group_start, genotypes.folds
    n_rows, n_cells = rows.shape[0] // n_sets, step // n_sets
    for k in range(n_sets):
        for group in range(2 * folds):
            first, last = start[group], start[group + 1]
            row, at = k * n_rows, group * step + k * n_cells
            if genotypes.planes.shape[2] == 2:
                count_four_rows(rows, row, planes, block, first, last, counts, at)
            else:
                count_two_rows(rows, row, planes, block, first, last, counts, at)
    if folds > 1:
        sum_folds(counts, folds, step)


@kernel
def get_carriers(genotypes: Genotypes, first: int, last: int) -> NDArray[np.int32]:
    """Return the carriers of every genotype with a plane, as :func:`count_carriers`."""
    return count_carriers(genotypes, first, last, genotypes.planes.shape[2])


@kernel
def count_carriers(
    genotypes: Genotypes, first: int, last: int, n_planes: int
) -> NDArray[np.int32]:
    """Return the carriers of the first genotypes in each group, for some blocks.

    Returns
    -------
    int32 (blocks, groups * planes * 16): the groups and their sums over folds.
    """
    stored, start = genotypes.planes.shape[2] * 16, genotypes.group_start
    width = n_planes * 16
    carriers = np.zeros((last - first, genotypes.size.shape[0] * width), np.int32)
    for block in range(first, last):
        planes, into = genotypes.planes[block].reshape(-1), carriers[block - first]
        for group in range(2 * genotypes.folds):
            for plane in range(0, width, 16):
                total = spread(np.int32(0))
                for w in range(start[group], start[group + 1]):
                    x = load(planes, w * stored + plane)
                    total = add_common_bits(total, x, x)
                store(into, group * width + plane, total)
        if genotypes.folds > 1:
            sum_folds(into, genotypes.folds, width)
    return carriers
