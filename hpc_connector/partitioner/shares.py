"""Work into tasks and shares: arithmetic that every rank repeats alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def make_distribution(cost: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Cut a sequence of tasks into contiguous shares of near-equal cost.

    Returns
    -------
    First task of each share and the number of tasks, int64 (size + 1,).

    Examples
    --------
    >>> make_distribution(np.array([1, 1, 4, 1, 1]), 3).tolist()
    [0, 2, 3, 5]
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    end = np.cumsum(cost, dtype=np.float64)
    total = end[-1] if len(end) else 0.0
    middle = end - np.asarray(cost) / 2
    inner = np.searchsorted(middle, total * np.arange(1, size) / size)
    return np.concatenate([[0], inner, [len(end)]]).astype(np.int64)


def get_comb_files(n_files: int) -> NDArray[np.int64]:
    """Return every pair of files i <= j, as D2.2 combines sample files.

    Returns
    -------
    int64 (pairs, 2), in order of i, then j.

    Examples
    --------
    >>> get_comb_files(2).tolist()
    [[0, 0], [0, 1], [1, 1]]
    """
    return np.stack(np.triu_indices(n_files), axis=1)


def make_tiles(
    n_blocks: int, edge: int, order: int, *, n_first_blocks: int | None = None
) -> NDArray[np.int64]:
    """Cut the pair triangle or the triple simplex into tiles of blocks.

    Every combination of `order` blocks i <= j (<= k) lies in exactly one tile.

    Parameters
    ----------
    n_blocks, edge
        Number of blocks of variants; blocks along the edge of a tile.
    n_first_blocks
        Only combinations whose first block is one of these; None for all.

    Returns
    -------
    First and last block along each axis, int64 (tiles, 2 * order).
    """
    limit = n_blocks if n_first_blocks is None else n_first_blocks
    n_edges = -(-n_blocks // edge)
    axes = np.indices((-(-limit // edge),) + (n_edges,) * (order - 1))
    tiles = axes.reshape(order, -1).T
    tiles = tiles[(np.diff(tiles, axis=1) >= 0).all(axis=1)]
    first = tiles * edge
    last = np.minimum(first + edge, n_blocks)
    last[:, 0] = np.minimum(last[:, 0], limit)
    return np.stack([first, last], axis=2).reshape(len(tiles), 2 * order)
