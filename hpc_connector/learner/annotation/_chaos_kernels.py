"""Kernel of the measure of chaos: one sweep over grey levels instead of thirty images.

The sets of pixels above each level are nested, and dilation and erosion keep that; so
they are done once, on levels. Over all levels, the connected components are the pixels
less the merges of a union-find that takes pixels from the highest level down.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare

MARGIN = 2  # rows and columns kept about occupied ones
CROPPED_BELOW = 0.9  # of the rows, or columns, kept; else nothing is cut out
MOST_LEVELS = 255  # a pixel's level is a byte
CLOSE_TO_ONE = 1e-5 + 1e-8  # as numpy.isclose


class Room(NamedTuple):
    """Arrays to work in: for rows, columns, levels, and pixels of a cropped image."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    level: NDArray[np.uint8]
    other: NDArray[np.uint8]
    order: NDArray[np.int32]
    parent: NDArray[np.int32]
    start: NDArray[np.int32]


def make_room(height: int, width: int, n_pixels: int, n_levels: int) -> Room:
    """Return the arrays for images of at most so many pixels after cropping."""
    if not 1 <= n_levels <= MOST_LEVELS:
        raise ValueError(f"n_levels must be 1 to {MOST_LEVELS}, got {n_levels}")
    return Room(
        np.zeros(height, np.int64),
        np.zeros(width, np.int64),
        np.zeros(n_pixels, np.uint8),
        np.zeros(n_pixels, np.uint8),
        np.zeros(n_pixels, np.int32),
        np.zeros(n_pixels, np.int32),
        np.zeros(n_levels + 1, np.int32),
    )


@bare
def crop(
    position: NDArray[np.integer[Any]], n: int, size: int, place: NDArray[np.int64]
) -> int:
    """Fill the numbers of rows (or columns) that stay about n pixels; return how many.

    `place` receives the number of each, -1 for one that is cut out. As in the engine,
    the last row keeps the one two before it, but not its neighbour.
    """
    place[:size] = -1
    for i in range(n):
        for near in range(-MARGIN, MARGIN + 1):
            is_kept = near != -1 or position[i] + 1 < size
            if is_kept and 0 <= position[i] + near < size:
                place[position[i] + near] = 0
    n_kept = 0
    for k in range(size):
        if place[k] == 0:
            place[k] = n_kept
            n_kept += 1
    if n_kept < CROPPED_BELOW * size:
        return n_kept
    for k in range(size):
        place[k] = k
    return size


@bare
def get_level(value: np.float32, highest: np.float32, n_levels: int) -> int:
    """Return how many levels, from 0 up, lie below a value; all in single precision."""
    guess = int(value / highest * np.float32(n_levels))
    level = min(max(guess, 0), n_levels)
    while level < n_levels and value > np.float32(highest * np.float32(level)) / (
        np.float32(n_levels)
    ):
        level += 1
    while level > 0 and not value > np.float32(highest * np.float32(level - 1)) / (
        np.float32(n_levels)
    ):
        level -= 1
    return level


@bare
def dilate(
    level: NDArray[np.uint8], out: NDArray[np.uint8], height: int, width: int
) -> None:
    """Give each pixel the highest level of itself and its four neighbours."""
    for y in range(height):
        for x in range(width):
            at = y * width + x
            best = level[at]
            if x > 0:
                best = max(best, level[at - 1])
            if x + 1 < width:
                best = max(best, level[at + 1])
            if y > 0:
                best = max(best, level[at - width])
            if y + 1 < height:
                best = max(best, level[at + width])
            out[at] = best


@bare
def erode(
    level: NDArray[np.uint8], out: NDArray[np.uint8], height: int, width: int
) -> None:
    """Give each pixel the lowest level of itself and its eight neighbours, in place.

    Those outside the image do not count. `out` holds the lowest of each row's three.
    """
    for y in range(height):
        row = y * width
        for x in range(width):
            least = level[row + x]
            if x > 0:
                least = min(least, level[row + x - 1])
            if x + 1 < width:
                least = min(least, level[row + x + 1])
            out[row + x] = least
    for y in range(height):
        row = y * width
        above = row - width if y > 0 else row
        below = row + width if y + 1 < height else row
        for x in range(width):
            level[row + x] = min(out[row + x], out[above + x], out[below + x])


@bare
def find_root(parent: NDArray[np.int32], at: int) -> int:
    """Return the root of a pixel, halving the path to it."""
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


@bare
def count_components(
    level: NDArray[np.uint8], height: int, width: int, n_levels: int, room: Room
) -> int:
    """Return the number of 4-connected components, summed over all levels."""
    n_pixels = height * width
    order, parent = room.order, room.parent
    n_sorted = sort_by_level(level, n_pixels, n_levels, room.start, order)
    parent[:n_pixels] = -1
    total = 0
    for i in range(n_sorted):
        at = order[i]
        here = level[at]
        parent[at] = at
        total += here
        x = at % width
        for side in range(4):
            if (side == 0 and x == 0) or (side == 1 and x + 1 == width):
                continue
            step = -1 if side == 0 else 1 if side == 1 else -width
            other = at + step if side < 3 else at + width
            if other < 0 or other >= n_pixels or parent[other] < 0:
                continue
            a, b = find_root(parent, at), find_root(parent, other)
            if a != b:
                parent[a] = b
                total -= here
    return total


@bare
def sort_by_level(
    level: NDArray[np.uint8],
    n_pixels: int,
    n_levels: int,
    start: NDArray[np.int32],
    order: NDArray[np.int32],
) -> int:
    """Order the pixels above level 0 from the highest level down; return how many."""
    start[:] = 0
    for at in range(n_pixels):
        start[n_levels - level[at]] += 1
    n_sorted = 0
    for k in range(n_levels):
        n_sorted, start[k] = n_sorted + start[k], n_sorted
    for at in range(n_pixels):
        if level[at] > 0:
            k = n_levels - level[at]
            order[start[k]] = at
            start[k] += 1
    return n_sorted


@bare
def get_chaos(
    x: NDArray[np.integer[Any]],
    y: NDArray[np.integer[Any]],
    value: NDArray[np.float32],
    n: int,
    height: int,
    width: int,
    room: Room,
) -> float:
    """Return the measure of chaos of n pixels above 0, given by column, row and value.

    The image is as large as `height` and `width` say; `room` is from ``make_room``.
    """
    if n == 0:
        return 0.0
    n_levels = len(room.start) - 1
    height = crop(y, n, height, room.row)
    width = crop(x, n, width, room.column)
    highest = np.float32(0.0)
    for i in range(n):
        highest = max(highest, value[i])
    room.level[: height * width] = 0
    for i in range(n):
        at = room.row[y[i]] * width + room.column[x[i]]
        room.level[at] = get_level(value[i], highest, n_levels)
    dilate(room.level, room.other, height, width)
    erode(room.other, room.level, height, width)
    total = count_components(room.other, height, width, n_levels, room)
    chaos = 1.0 - total / n_levels / n
    return 0.0 if abs(chaos - 1.0) <= CLOSE_TO_ONE else chaos
