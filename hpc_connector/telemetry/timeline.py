"""What ranks and nodes used over the time of a run: windows that do not overlap."""

from typing import NamedTuple

import numpy as np

from hpc_connector.telemetry.counters import get_cpu_s
from hpc_connector.telemetry.records import Row, Rows, split

MOST_WINDOWS = 120


class Timeline(NamedTuple):
    """Windows of one length over the whole run.

    Parameters
    ----------
    edges
        Seconds since the first sample, shape (n_windows + 1,).
    ranks
        Cores that each rank used, in order of their numbers, shape (n_ranks,
        n_windows); NaN where it was not seen.
    numbers
        Of the ranks.
    nodes
        Names of the nodes.
    cores
        Used by the ranks of each node, shape (n_nodes, n_windows).
    memory_bytes
        Highest of the samples of each node, shape (n_nodes, n_windows).
    """

    edges: np.ndarray
    ranks: np.ndarray
    numbers: list[int]
    nodes: list[str]
    cores: np.ndarray
    memory_bytes: np.ndarray


def make_timeline(nodes: list[Rows]) -> Timeline:
    """Return the use in windows as long as a sample or longer."""
    first_s = min(node.rows[0]["clock_s"] for node in nodes)
    parts = {
        (node.node, number): part
        for node in nodes
        for (number,), part in split(node.rows, "rank").items()
    }
    clocks = {key: get_clock(part) - first_s for key, part in parts.items()}
    n_samples = max(len(clock) for clock in clocks.values())
    end_s = max(clock[-1] for clock in clocks.values())
    edges = np.linspace(0, max(end_s, 1e-3), min(MOST_WINDOWS, max(n_samples, 2)))
    of_ranks = sorted(((r, n) for n, r in parts if r >= 0))
    names = [node.node for node in nodes]
    cores = {key: get_cores(parts[key], clocks[key], edges) for key in parts}
    none = np.full(len(edges) - 1, np.nan)
    return Timeline(
        edges,
        np.array([cores[n, r] for r, n in of_ranks]).reshape(-1, len(edges) - 1),
        [r for r, _ in of_ranks],
        names,
        np.array([cores.get((name, -1), none) for name in names]),
        np.array(
            [get_highest(parts[n, -1], clocks[n, -1], edges) for n in names]
            if all((n, -1) in parts for n in names)
            else [none for _ in names]
        ),
    )


def get_clock(rows: list[Row]) -> np.ndarray:
    """Return the times of rows; where the clock was set back, time stands still."""
    return np.maximum.accumulate([row["clock_s"] for row in rows])


def get_cores(rows: list[Row], clock_s: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return CPU time over time in each window, NaN outside and between attempts."""
    used_s = np.interp(edges, clock_s, get_cpu_s(rows))
    cores = np.diff(used_s) / np.diff(edges)
    is_seen = (edges[1:] > clock_s[0]) & (edges[:-1] < clock_s[-1])
    for k in np.flatnonzero(np.diff([row["attempt"] for row in rows])):
        is_seen &= (edges[:-1] < clock_s[k]) | (edges[1:] > clock_s[k + 1])
    return np.where(is_seen, cores, np.nan)


def get_highest(rows: list[Row], clock_s: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the most memory of a sample in each window, NaN without a sample."""
    window = np.clip(np.searchsorted(edges, clock_s, "right") - 1, 0, len(edges) - 2)
    highest = np.full(len(edges) - 1, -np.inf)
    np.maximum.at(highest, window, [float(row["rss_bytes"]) for row in rows])
    return np.where(np.isfinite(highest), highest, np.nan)
