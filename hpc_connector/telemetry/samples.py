"""Samples of a run: what each rank and each node had used at each time."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.counters import get_cpu_s
from hpc_connector.telemetry.records import Row, Rows, read_nodes, split

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Samples:
    """What one rank, or one whole node, had used at each sample, in order of time.

    Parameters
    ----------
    clock_s
        Unix time by a clock that does not step, shape (n,).
    cpu_s
        CPU time so far, over all processes: it does not begin again. Shape (n,).
    memory_bytes
        Resident; of a rank the kernel's high-water mark where that rose since the last
        sample, for the peak was then reached in between. Shape (n,).
    """

    node: str
    rank: int
    clock_s: np.ndarray
    cpu_s: np.ndarray
    memory_bytes: np.ndarray


def read_samples(directory: Path) -> list[Samples]:
    """Return the samples of a run, of each rank and each node.

    What is wrong with a file that can be used is a warning.

    Raises
    ------
    BadInput
        No telemetry, columns that are not there, or a clock that steps back.
    """
    nodes = read_nodes(directory)
    for note in (note for node in nodes for note in node.notes):
        logger.warning("%s", note)
    return [sample for node in nodes for sample in split_samples(node)]


def split_samples(node: Rows) -> list[Samples]:
    """Return the samples of a node, then those of each of its ranks."""
    parts = split(node.rows, "rank")
    return [make_samples(node.node, rank, parts[rank,]) for (rank,) in sorted(parts)]


def make_samples(node: str, rank: int, rows: list[Row]) -> Samples:
    """Return the rows of a rank, or of a node, as arrays.

    Raises
    ------
    BadInput
        The clock steps back.
    """
    clock_s = np.array([row["clock_s"] for row in rows])
    check_clock(clock_s, f"{node}, rank {rank}" if rank >= 0 else node)
    memory = np.array([row["rss_bytes"] for row in rows], float)
    if rank >= 0:
        memory = raise_to_peak(
            memory, np.array([row["peak_bytes"] for row in rows], float)
        )
    return Samples(node, rank, clock_s, np.array(get_cpu_s(rows)), memory)


def raise_to_peak(rss_bytes: np.ndarray, peak_bytes: np.ndarray) -> np.ndarray:
    """Return the most memory since the last sample, as far as the kernel tells.

    Examples
    --------
    >>> raise_to_peak(np.array([5.0, 6.0, 5.0]), np.array([5.0, 9.0, 9.0])).tolist()
    [5.0, 9.0, 5.0]
    """
    has_risen = np.diff(peak_bytes, prepend=np.inf) > 0
    return np.where(has_risen, np.maximum(rss_bytes, peak_bytes), rss_bytes)


def check_clock(clock_s: np.ndarray, where: str) -> None:
    """Refuse samples that are not in order of time.

    Raises
    ------
    BadInput
        Both the elapsed time and the clock step back.
    """
    back = np.flatnonzero(np.diff(clock_s) < 0)
    if len(back):
        k = int(back[0]) + 1
        raise BadInput(
            f"{where}: the clock steps back by {clock_s[k - 1] - clock_s[k]:.3f} s at "
            f"sample {k + 1}: expected samples in order of time"
        )
