"""All nodes of runs that go on, as they are at one moment."""

import contextlib
import threading
import time
from collections.abc import Sequence

from hpc_connector.cluster.state import RunState
from hpc_connector.errors import BadInput
from hpc_connector.telemetry.live.history import History
from hpc_connector.telemetry.live.nodes import LiveNode
from hpc_connector.telemetry.live.sources import Source
from hpc_connector.telemetry.live.view import Told, View
from hpc_connector.telemetry.records import get_order

STATE_S = 10.0  # between two looks at the state of a run, which may ask Slurm


class Board:
    """The nodes of some runs.

    Parameters
    ----------
    runs
        Those; the names of nodes of several begin with that of the run.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.runs = [LiveRun(source) for source in sources]
        self.history = History()

    def poll(self) -> None:
        """Take up what has come since the last call."""
        for run in self.runs:
            for came in run.source.poll():
                node = run.find(came.node, is_alone=len(self.runs) == 1)
                node.has_ended = came.has_ended
                self.history.add(node.name, node.add(came.rows))
            run.look()

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come of any run."""
        return all(run.is_over for run in self.runs)

    def get_view(self, told: Told) -> View:
        """Return all nodes as they are now, in the order of their names.

        Parameters
        ----------
        told
            Of the next window of nodes.
        """
        nodes = [node for run in self.runs for node in run.nodes.values()]
        nodes.sort(key=lambda node: get_order(node.name))
        return View(
            time.time(),
            [node.get_figures() for node in nodes],
            told,
            [run.state for run in self.runs if run.state],
            self.history.get_timeline(),
            self.is_over,
        )

    def close(self) -> None:
        """Close all sources."""
        for run in self.runs:
            run.source.close()


class LiveRun:
    """The nodes of one run by their own names, and its state where that is known."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes: dict[str, LiveNode] = {}
        self.state: RunState | None = None
        self._look_s, self._was_quiet = 0.0, False
        self._thread = threading.Thread()

    def find(self, node: str, *, is_alone: bool) -> LiveNode:
        """Return a node, which may be new."""
        if node not in self.nodes:
            name = node if is_alone else f"{self.source.name}/{node}"
            self.nodes[node] = LiveNode(name)
        return self.nodes[node]

    def look(self) -> None:
        """Look at the state of the run: now and then, and once its nodes are quiet.

        While rows come, a thread does so: Slurm may take its time to answer.
        """
        is_quiet = self.is_quiet
        begins = is_quiet and not self._was_quiet
        self._was_quiet = is_quiet
        if not begins and time.monotonic() < self._look_s:
            return
        self._look_s = time.monotonic() + STATE_S
        if is_quiet:
            self._ask()
        elif self.source.directory and not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()

    def _ask(self) -> None:
        """Ask for the state of the run; it stays as it was where nothing tells it."""
        with contextlib.suppress(BadInput, OSError):
            self.state = self.source.get_state()

    @property
    def is_quiet(self) -> bool:
        """Return whether no node tells anything now."""
        return all(
            node.has_ended or node.get_figures().state == "silent"
            for node in self.nodes.values()
        )

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come.

        So it is where all nodes have told their end; of a run that is over without, as
        one that was killed, where no node tells anything.
        """
        if self.state is not None:
            return self.state.is_over and self.is_quiet
        nodes = self.nodes.values()
        is_none = not nodes and not self.source.has_ended
        return not is_none and all(node.has_ended for node in nodes)
