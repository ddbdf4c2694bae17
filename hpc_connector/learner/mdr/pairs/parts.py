"""The parts of a tile of pairs: where nobody lacks a genotype, and the others."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def split_tile(
    is_complete: NDArray[np.bool_], tile: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Yield tiles that make up a tile, each with whether both its axes are complete.

    Parameters
    ----------
    is_complete
        Of each block, bool (blocks,).
    tile
        First and last row block, first and last column block.

    Examples
    --------
    >>> is_complete = np.array([True, True, False])
    >>> list(split_tile(is_complete, (0, 3, 0, 3)))  # what lies below is of no pair
    [((0, 2, 0, 2), True), ((0, 2, 2, 3), False), ((2, 3, 2, 3), False)]
    """
    for first_row, last_row in split_range(is_complete, *tile[:2]):
        for first, last in split_range(is_complete, *tile[2:]):
            if last > first_row:
                is_whole = bool(is_complete[first_row] and is_complete[first])
                yield (first_row, last_row, first, last), is_whole


def split_range(
    is_complete: NDArray[np.bool_], first: int, last: int
) -> Iterator[tuple[int, int]]:
    """Yield the runs of equal blocks of a range, first and last + 1."""
    changes = np.flatnonzero(np.diff(is_complete[first:last])) + first + 1
    ends = [first, *changes.tolist(), last]
    yield from pairwise(ends)
