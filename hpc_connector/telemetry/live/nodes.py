"""What a node does now: figures of its last samples, and whether it still tells."""

import time
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hpc_connector.telemetry.records import NODE_RANK, Row, split

SILENT_S = 10.0
PATIENCE = 3  # intervals between samples that are no silence
RATE_S = 30.0  # bytes of ranks are read once in 20 s
RATES = {  # of a second, by the counter
    "read_bytes": "read_bytes_s",
    "write_bytes": "write_bytes_s",
    "net_rx_bytes": "net_rx_bytes_s",
    "net_tx_bytes": "net_tx_bytes_s",
    "energy_j": "watts",
}
KEPT = 3600  # samples of a node, for forecasts


class Spread(NamedTuple):
    """What half, and nine of ten, of the ranks of a node do not exceed."""

    p50: float
    p90: float


@dataclass(frozen=True)
class Figures:
    """What is shown of a node; None where it is not known.

    Parameters
    ----------
    state
        "live", "silent" or "ended".
    silent_s
        Since its last row came.
    time_s
        Unix time of its last row, by its own clock.
    ranks
        That it has now.
    cores, memory_bytes
        In use on the node; and of its ranks, how they are spread.
    read_bytes_s, write_bytes_s, net_rx_bytes_s, net_tx_bytes_s, watts
        In the last half minute.
    """

    node: str
    state: str
    silent_s: float
    time_s: float
    ranks: int
    cores: float | None = None
    rank_cores: Spread | None = None
    memory_bytes: float | None = None
    rank_memory_bytes: Spread | None = None
    read_bytes_s: float | None = None
    write_bytes_s: float | None = None
    net_rx_bytes_s: float | None = None
    net_tx_bytes_s: float | None = None
    watts: float | None = None


class Step(NamedTuple):
    """The cores that a rank, or a node, used until some Unix time, and its memory."""

    rank: int
    until_s: float
    length_s: float
    cores: float
    memory_bytes: float


class LiveNode:
    """What has come of a node.

    Parameters
    ----------
    samples
        Of the whole node: Unix time, CPU time and memory, for forecasts.
    """

    def __init__(self, name: str) -> None:
        self.name, self.has_ended = name, False
        self.samples: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        self._last: dict[int, Row] = {}
        self._cores: dict[int, float] = {}
        self._totals: deque[Row] = deque()  # rows of the node in the last half minute
        self._came_s: float | None = None

    def add(self, rows: list[Row]) -> list[Step]:
        """Take up rows; return the cores that each rank and the node have used."""
        steps = []
        for sample in split(rows, "time_s", "elapsed_s").values():
            by_rank = {row["rank"]: row for row in sample}
            by_rank.setdefault(NODE_RANK, add_up(sample))
            found = [get_step(self._last.get(n), row) for n, row in by_rank.items()]
            known = [step for step in found if step]
            self._cores = {step.rank: step.cores for step in known}
            self._last = by_rank
            self._keep(by_rank[NODE_RANK])
            steps += known
        if rows:
            late_s = time.time() - rows[-1]["time_s"] if self._came_s is None else 0.0
            self._came_s = time.monotonic() - max(late_s, 0.0)
        return steps

    def _keep(self, row: Row) -> None:
        """Keep the figures of the whole node."""
        self.samples.append((row["time_s"], row["cpu_s"], row["rss_bytes"]))
        if self._totals and row["elapsed_s"] <= self._totals[-1]["elapsed_s"]:
            self._totals.clear()  # another agent
        self._totals.append(row)
        while row["elapsed_s"] - self._totals[0]["elapsed_s"] > RATE_S:
            self._totals.popleft()

    def get_figures(self) -> Figures:
        """Return what is shown of the node now."""
        came_s = time.monotonic() if self._came_s is None else self._came_s
        silent_s = time.monotonic() - came_s
        state = "silent" if silent_s >= self._get_patience_s() else "live"
        total = self._last.get(NODE_RANK, {})
        ranks = [row for number, row in self._last.items() if number != NODE_RANK]
        return Figures(
            self.name,
            "ended" if self.has_ended else state,
            silent_s,
            total.get("time_s", 0.0),
            len(ranks),
            self._cores.get(NODE_RANK),
            spread([self._cores.get(row["rank"]) for row in ranks]),
            total.get("rss_bytes"),
            spread([row["rss_bytes"] for row in ranks]),
            **{shown: self._get_rate(name) for name, shown in RATES.items()},
        )

    def _get_patience_s(self) -> float:
        """Return the seconds without a row that are silence."""
        times_s = [row["elapsed_s"] for row in self._totals][-2:]
        step_s = times_s[-1] - times_s[0] if times_s else 0.0
        return max(SILENT_S, PATIENCE * step_s)

    def _get_rate(self, name: str) -> float | None:
        """Return by how much a counter has grown in a second, of late."""
        if len(self._totals) < 2:
            return None
        first, last = self._totals[0], self._totals[-1]
        if first[name] is None or last[name] is None or last[name] < first[name]:
            return None
        grown: float = last[name] - first[name]
        length_s: float = last["elapsed_s"] - first["elapsed_s"]
        return grown / length_s


def add_up(sample: list[Row]) -> Row:
    """Return the row of a node of those of its ranks: another sampler has none."""
    total = dict(sample[0]) | {"rank": NODE_RANK, "pid": 0}
    for name in ("cpu_s", "rss_bytes", *RATES):
        known = [row[name] for row in sample if row[name] is not None]
        total[name] = sum(known) if known else None
    return total


def get_step(before: Row | None, row: Row) -> Step | None:
    """Return the cores in use between two rows, None where that cannot be told.

    So it is of another process, or of a counter that has begun again.
    """
    if before is None or before["pid"] != row["pid"]:
        return None
    length_s = row["elapsed_s"] - before["elapsed_s"]
    used_s = row["cpu_s"] - before["cpu_s"]
    if length_s <= 0 or used_s < 0:
        return None
    cores = used_s / length_s
    return Step(row["rank"], row["time_s"], length_s, cores, row["rss_bytes"])


def spread(values: list[float | None]) -> Spread | None:
    """Return how values are spread, None without any.

    Examples
    --------
    >>> spread([1.0, 2.0, None, 3.0])
    Spread(p50=2.0, p90=2.8)
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    p50, p90 = np.quantile(known, (0.5, 0.9)).tolist()
    return Spread(p50, p90)
