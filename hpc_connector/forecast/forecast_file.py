"""What the next windows of a run will use, as ``telemetry forecast`` has written it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.forecast.windows import TARGETS
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.telemetry.records import find_folder

FILE = "forecast.json"
TITLES = {"cpu": "CPU", "memory": "Memory"}


class NodeForecast(NamedTuple):
    """The forecast of one target of a node.

    Parameters
    ----------
    ends_s
        Unix time at which each of the windows that were foretold ends.
    last
        The last window that was known; cores or bytes, as `p50` and `p90`.
    by
        What has told the first window: a model, or persistence.
    """

    node: str
    target: str
    width_s: float
    ends_s: list[float]
    last: float
    p50: list[float]
    p90: list[float]
    by: str

    @property
    def made_s(self) -> float:
        """Return the Unix time at which it was made: the end of the last window."""
        return self.ends_s[0] - self.width_s


def read_forecasts(directory: Path, nodes: Sequence[str]) -> list[NodeForecast]:
    """Return the forecasts of the nodes of a run; none where none was made.

    Raises
    ------
    BadInput
        The file is damaged.
    """
    path = find_folder(directory) / FILE
    if not path.exists():
        return []
    try:
        record = json.loads(path.read_text())
        found = [
            make_node_forecast(one, target, float(record["window_s"]))
            for one in record["forecasts"]
            if one["series"] in nodes
            for target in TARGETS
        ]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{path}: damaged, so there is no forecast: {error!r}; expected what "
            "hpc-connector telemetry forecast writes"
        ) from None
    return found


def make_node_forecast(
    one: dict[str, Any], target: str, width_s: float
) -> NodeForecast:
    """Return a forecast as it stands in the file.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError
        It is not as it should be.
    """
    found = one[target]
    ends_s, p50, p90 = (
        [float(value) for value in values]
        for values in (one["window_ends_s"], found["p50"], found["p90"])
    )
    numbers = [width_s, float(found["last"]), *ends_s, *p50, *p90]
    if not all(map(math.isfinite, numbers)) or width_s <= 0:
        raise ValueError("a number that is not finite")
    if not len(ends_s) == len(p50) == len(p90) > 0:
        raise ValueError("lists of different lengths")
    by, last = str(found["by"][0]), float(found["last"])
    return NodeForecast(str(one["series"]), target, width_s, ends_s, last, p50, p90, by)


def say_forecast(one: NodeForecast, now_s: float, first_s: float) -> str:
    """Return the next window in plain words.

    Parameters
    ----------
    now_s, first_s
        Unix time of the last and of the first sample.
    """
    size, unit = (60, "min") if one.width_s % 60 == 0 else (1, "s")
    width = f"{one.width_s / size:g} {unit}"
    when = f"in the next {width}"
    if now_s >= one.ends_s[0]:
        when = f"in the {width} after {format_duration(one.made_s - first_s)}"
    value, most = (format_value(one.target, v[0]) for v in (one.p50, one.p90))
    return (
        f"{TITLES[one.target]} of {one.node}: {value} {when}, at most {most} in "
        "nine of ten cases."
    )


def format_value(target: str, value: float) -> str:
    """Return cores or bytes with their unit.

    Examples
    --------
    >>> format_value("cpu", 3.94), format_value("memory", 1.2 * 2**30)
    ('3.9 cores', '1.20 GiB')
    """
    if target == "memory":
        return format_bytes(value)
    return f"{value:.1f} cores" if value >= 1 else f"{value:.2f} cores"
