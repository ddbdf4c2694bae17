"""What nodes that are watched will use next, by a model or by what was foretold."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.forecast.forecast_file import read_forecasts
from hpc_connector.forecast.model_folder import load_model
from hpc_connector.forecast.outlook import forecast, get_next
from hpc_connector.forecast.predictor import Predictor
from hpc_connector.forecast.windows import TARGETS, Series, make_windows
from hpc_connector.telemetry.live.board import Board
from hpc_connector.telemetry.live.nodes import LiveNode, Spread
from hpc_connector.telemetry.live.view import Told


class LiveOutlook:
    """Foretells the next window of nodes by a model, once a window.

    Parameters
    ----------
    model
        From ``telemetry train``.
    """

    def __init__(self, model: Path) -> None:
        self.predictor, self.card = load_model(model)
        self._told: dict[str, dict[str, Spread]] = {}
        self._due_s = 0.0

    def __call__(self, board: Board) -> Told:
        """Return the next window of nodes, told anew once one has passed."""
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + self.predictor.width_s
            series = list_series(board, self.predictor.width_s)
            self._told = foretell(series, self.predictor, self.card)
        return self._told


def list_series(board: Board, width_s: float) -> list[Series]:
    """Return the windows of the nodes that go on.

    A model is trusted at once on the programs that it was trained on: where the state
    of a run is known, so is its program.
    """
    return [
        make_series(node, run.state.program if run.state else "", width_s)
        for run in board.runs
        for node in run.nodes.values()
        if not node.has_ended and node.samples
    ]


def make_series(node: LiveNode, program: str, width_s: float) -> Series:
    """Return the windows of a node that end with its last sample."""
    clock_s, cpu_s, memory = np.array(node.samples, float).T
    clock_s = np.maximum.accumulate(clock_s)  # where it was set back, time stands still
    values = make_windows(clock_s, cpu_s, memory, width_s=width_s)
    return Series(node.name, node.name, program, float(clock_s[0]), width_s, values)


def foretell(
    series: list[Series], predictor: Predictor, card: Mapping[str, Any]
) -> dict[str, dict[str, Spread]]:
    """Return the next window of each series that is long enough, and has no gap."""
    try:
        outlooks = forecast(series, predictor, card)
    except BadInput:  # none is
        return {}
    found = {}
    for outlook in outlooks:
        following = get_next(outlook)
        found[outlook.series.name] = {
            target: Spread(following[target]["p50"][0], following[target]["p90"][0])
            for target in TARGETS
        }
    return found


def read_told(board: Board) -> Told:
    """Return what ``telemetry forecast`` has told of the windows that are now.

    Of a run whose forecast is damaged, or of times that are past, there is none.
    """
    told: dict[str, dict[str, Spread]] = {}
    for run in board.runs:
        if run.source.directory is None:
            continue
        try:
            found = read_forecasts(run.source.directory, list(run.nodes))
        except BadInput:
            continue
        for one in found:
            if (k := find_window(one.ends_s, time.time())) is not None:
                spread = Spread(one.p50[k], one.p90[k])
                told.setdefault(run.nodes[one.node].name, {})[one.target] = spread
    return told


def find_window(ends_s: list[float], now_s: float) -> int | None:
    """Return which window is now, None where all are past.

    Examples
    --------
    >>> find_window([10.0, 20.0, 30.0], 15.0)
    1
    """
    return next((k for k, end_s in enumerate(ends_s) if end_s > now_s), None)
