"""The last minutes of ranks and nodes, in windows of one length, for pictures."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector.telemetry.live.nodes import Step
from hpc_connector.telemetry.records import NODE_RANK, get_order
from hpc_connector.telemetry.timeline import Timeline

WIDTH_S = 5.0
WINDOWS = 120
MORE = 64  # series for which there is room at first

Key = tuple[str, int]  # node and rank


class History:
    """What each rank and node used in the last windows.

    Window n begins n times its width after 1970. It stands in column n modulo their
    number, and takes the place of the one that many before.
    """

    def __init__(self, width_s: float = WIDTH_S, n_windows: int = WINDOWS) -> None:
        self.width_s, self.n_windows = width_s, n_windows
        self.rows: dict[Key, int] = {}
        shape = (3, MORE, n_windows)  # CPU time, time, and most memory
        self._values: NDArray[np.float64] = np.zeros(shape)
        self._window = np.full(n_windows, -1, np.int64)

    def add(self, node: str, steps: list[Step]) -> None:
        """Take up the steps of a node."""
        for step in steps:
            window = int((step.until_s - 1e-6) // self.width_s)
            column = window % self.n_windows
            if window < self._window[column]:
                continue  # older than all that is kept
            if window > self._window[column]:
                self._window[column] = window
                self._values[:, :, column] = 0
            row = self._find((node, step.rank))  # it may make room
            used_s, seen_s, most = self._values[:, row]
            used_s[column] += step.cores * step.length_s
            seen_s[column] += step.length_s
            most[column] = max(most[column], step.memory_bytes)

    def _find(self, key: Key) -> int:
        """Return the row of a rank or node, which may be new."""
        row = self.rows.setdefault(key, len(self.rows))
        if row == self._values.shape[1]:
            more = np.zeros_like(self._values)
            self._values = np.concatenate([self._values, more], axis=1)
        return row

    def get_timeline(self) -> Timeline | None:
        """Return the windows so far, None without any; edges are seconds before now.

        Now is the end of the last window in which something came.
        """
        last = int(self._window.max())
        if last < 0:
            return None
        first = max(
            int(self._window[self._window >= 0].min()), last - self.n_windows + 1
        )
        windows = np.arange(first, last + 1)
        columns = windows % self.n_windows
        is_there = self._window[columns] == windows
        used_s, seen_s, most = np.where(is_there, self._values[:, :, columns], 0)
        is_seen = seen_s > 0
        cores = np.divide(
            used_s, seen_s, out=np.full(used_s.shape, np.nan), where=is_seen
        )
        memory = np.where(is_seen, most, np.nan)
        edges = self.width_s * (np.arange(first, last + 2) - (last + 1))
        ranks = sorted((r, get_order(n), n) for n, r in self.rows if r != NODE_RANK)
        nodes = sorted((n for n, r in self.rows if r == NODE_RANK), key=get_order)
        of_ranks = [self.rows[n, r] for r, _, n in ranks]
        of_nodes = [self.rows[n, NODE_RANK] for n in nodes]
        numbers = [r for r, _, _ in ranks]
        return Timeline(
            edges, cores[of_ranks], numbers, nodes, cores[of_nodes], memory[of_nodes]
        )
