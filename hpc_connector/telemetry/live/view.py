"""What is shown at one moment of runs that go on, wherever it is shown."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from hpc_connector.cluster.state import RunState
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.text import clean, say_count
from hpc_connector.telemetry.live.nodes import RATES, Figures, Spread
from hpc_connector.telemetry.timeline import Timeline

HEADS = {  # of the columns of a table, by name
    "node": "node",
    "state": "state",
    "ranks": "ranks",
    "cores": "cores",
    "rank_cores": "of a rank*",
    "memory": "memory",
    "rank_memory": "of a rank*",
    "read": "read/s",
    "written": "written/s",
    "next_cores": "next cores*",
    "next_memory": "next memory*",
    "received": "received/s",
    "sent": "sent/s",
    "watts": "W",
}
LABELS = HEADS | {  # where there are no columns
    "rank_cores": "P50 / P90 of its ranks",
    "rank_memory": "P50 / P90 of its ranks",
    "next_cores": "next P50 / P90 of cores",
    "next_memory": "next P50 / P90 of memory",
}
STARS = "* P50 / P90: what half, and nine of ten, do not exceed"
NONE = "-"

Told = Mapping[str, Mapping[str, Spread]]  # by node and target


@dataclass(frozen=True)
class View:
    """All nodes at one moment.

    Parameters
    ----------
    time_s
        Unix time.
    told
        Of the next window, by node and target, as far as that is foretold.
    states
        Of runs, where they are known.
    timeline
        Of the last minutes; None before anything has come.
    """

    time_s: float
    figures: Sequence[Figures]
    told: Told
    states: Sequence[RunState]
    timeline: Timeline | None
    is_over: bool


def list_objects(view: View) -> list[dict[str, Any]]:
    """Return an object for each node, as JSON has it."""
    return [
        {"at_s": round(view.time_s, 3)}
        | {name: name_parts(value) for name, value in asdict(one).items()}
        | {"next": name_parts(view.told.get(one.node, {}))}
        for one in view.figures
    ]


def name_parts(value: Any) -> Any:
    """Return a spread as an object, and those in a mapping; anything else as it is."""
    if isinstance(value, Spread):
        return value._asdict()
    if isinstance(value, Mapping):
        return {name: name_parts(part) for name, part in value.items()}
    return value


def list_cells(one: Figures, told: Mapping[str, Spread]) -> dict[str, str]:
    """Return the words in the line of a node, by column."""
    return {
        "node": one.node,
        "state": say_state(one),
        "ranks": str(one.ranks),
        "cores": show(one.cores, format_cores),
        "rank_cores": show_spread(one.rank_cores, format_cores),
        "memory": show(one.memory_bytes, format_bytes),
        "rank_memory": show_spread(one.rank_memory_bytes, format_bytes),
        "read": show(one.read_bytes_s, format_bytes),
        "written": show(one.write_bytes_s, format_bytes),
        "next_cores": show_spread(told.get("cpu"), format_cores),
        "next_memory": show_spread(told.get("memory"), format_bytes),
        "received": show(one.net_rx_bytes_s, format_bytes),
        "sent": show(one.net_tx_bytes_s, format_bytes),
        "watts": show(one.watts, "{:.0f}".format),
    }


def list_recent(view: View, n_windows: int) -> dict[str, list[float]]:
    """Return the cores that each node used in the last windows, oldest first.

    They are NaN where nothing came.
    """
    if view.timeline is None:
        return {}
    cores = view.timeline.cores[:, -n_windows:].tolist()
    return dict(zip(view.timeline.nodes, cores, strict=True))


def say_state(one: Figures) -> str:
    """Return the state of a node, and since when it is silent."""
    since = f" {format_duration(int(one.silent_s))}" if one.state == "silent" else ""
    return f"{one.state}{since}"


def show(value: float | None, form: Callable[[float], str]) -> str:
    """Return a value in words; a dash where it is not known."""
    return NONE if value is None else form(value)


def show_spread(spread: Spread | None, form: Callable[[float], str]) -> str:
    """Return P50 and P90; a dash where they are not known.

    Examples
    --------
    >>> show_spread(Spread(0.5, 1.0), format_cores)
    '0.50 / 1.00'
    """
    return NONE if spread is None else " / ".join(map(form, spread))


def format_cores(cores: float) -> str:
    """Return cores with as many digits as tell something."""
    return f"{cores:.2f}" if cores < 10 else f"{cores:.1f}"


def add_up(figures: Sequence[Figures], name: str) -> Figures:
    """Return the figures of live nodes together, under a name."""
    live = [one for one in figures if one.state == "live"]
    total = Figures(name, say_states(figures), 0.0, 0.0, sum(n.ranks for n in live))
    sums = ("cores", "memory_bytes", *RATES.values())
    known: dict[str, Any] = {}
    for key in sums:
        values = [v for one in live if (v := getattr(one, key)) is not None]
        known[key] = sum(values) if values else None
    return replace(total, **known)


def say_states(figures: Sequence[Figures]) -> str:
    """Return how many nodes are in each state.

    Examples
    --------
    >>> say_states([Figures("n1", "live", 0, 0, 1), Figures("n2", "ended", 0, 0, 1)])
    '1 live, 1 ended'
    """
    counts = Counter(one.state for one in figures)
    known = [state for state in ("live", "silent", "ended") if counts[state]]
    return ", ".join(f"{counts[state]} {state}" for state in known)


def format_lines(view: View) -> list[str]:
    """Return a line for each node, of what is known."""
    at = datetime.fromtimestamp(view.time_s).astimezone().isoformat(timespec="seconds")
    lines = []
    for one in view.figures:
        cells = list_cells(one, view.told.get(one.node, {}))
        node, state = cells.pop("node"), cells.pop("state")
        known = [f"{LABELS[k]} {text}" for k, text in cells.items() if text != NONE]
        lines.append(f"{at} {clean(node)} {state}: {', '.join(known)}")
    return lines


def say_run(state: RunState) -> str:
    """Return what a run does, in a line."""
    words = [state.program or state.run, state.state]
    words += [f"job {state.job}"] if state.job else []
    if state.tasks is not None:
        words.append(f"{state.tasks_done:,} of {say_count(state.tasks, 'task')}")
    if state.left_s is not None:
        words.append(f"{format_duration(state.left_s)} left")
    return ", ".join(words)
