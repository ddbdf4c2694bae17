"""How many of all models have which error: counted by tasks, added up on each node."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.storer import Shards
from mdr_epistasis.tasks import ERROR_BINS, Tasks, count_errors


def count_earlier(shards: Shards, tiles: Iterable[int]) -> NDArray[np.int64]:
    """Return the counts of tiles that earlier attempts have stored, int64 (bins,)."""
    counts = np.zeros(ERROR_BINS, np.int64)
    for tile in tiles:
        counts += count_errors(shards.read(tile))
    return counts


def list_earlier(tasks: Tasks, todo: Sequence[int] | NDArray[np.int64]) -> list[int]:
    """Return the tiles that need not be searched again, for they are stored."""
    done = np.setdiff1d(np.arange(len(tasks)), np.asarray(todo))
    return [n for n in done.tolist() if not tasks[n].permutations]


def describe_errors(counts: NDArray[np.int64]) -> dict[str, Any]:
    """Return the counts for the manifest: bins of error, as wide as another, 0 .. 1."""
    return {"models": int(counts.sum()), "errors": counts.tolist()}
