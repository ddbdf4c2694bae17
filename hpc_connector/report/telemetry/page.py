"""What a run used, as figures and as a page."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from hpc_connector.cluster.accounting import complete, list_attempts
from hpc_connector.cluster.state import RunState, get_end, say_goes_on
from hpc_connector.errors import BadInput
from hpc_connector.forecast.forecast_file import (
    NodeForecast,
    read_forecasts,
    say_forecast,
)
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.page import render_page
from hpc_connector.report.telemetry.attempts_section import get_attempts
from hpc_connector.report.telemetry.forecast_section import get_forecast
from hpc_connector.report.telemetry.timeline_picture import (
    MOST_NODES,
    MOST_RANKS,
    SHADES,
    draw_nodes,
    draw_ranks,
    list_node_classes,
)
from hpc_connector.report.text import say_count
from hpc_connector.run_record import RankUse, RunRecord, Share, Summary
from hpc_connector.telemetry.records import Rows
from hpc_connector.telemetry.timeline import Timeline, make_timeline

SHORT_S = 0.01  # between first and last sample: too short to draw
NAMES = {"cores": "Cores", "memory": "Memory", "time": "Time"}
OPTION = re.compile(r"(--[\w-]+(?:=\w+)?)")


def find_state(directory: Path, record: RunRecord, summary: Summary) -> RunState | None:
    """Return the state of a run, None of a bare folder; note one that goes on."""
    if not record:
        return None
    state = get_end(directory)
    if not state.is_over:
        summary["notes"].insert(0, say_goes_on(state))
    return state


def find_told(
    directory: Path, nodes: list[Rows], summary: Summary
) -> list[NodeForecast]:
    """Return the forecasts of a run, said in its summary; a damaged file is noted."""
    try:
        told = read_forecasts(directory, [node.node for node in nodes])
    except BadInput as error:
        summary["notes"].append(str(error))
        return []
    first_s, now_s = get_span(nodes)
    summary["forecast"] = [say_forecast(one, now_s, first_s) for one in told]
    return told


def get_span(nodes: list[Rows]) -> tuple[float, float]:
    """Return the Unix times of the first and of the last sample of a run."""
    return (
        min(node.rows[0]["clock_s"] for node in nodes),
        max(node.rows[-1]["clock_s"] for node in nodes),
    )


def list_figures(summary: Summary) -> list[tuple[str, str]]:
    """Return name and value of the figures that matter."""
    nodes, ranks = summary["nodes"], summary["ranks"]
    known = [node["energy_j"] for node in nodes if node["energy_j"] is not None]
    figures = [
        ("watched", format_duration(max(node["wall_s"] for node in nodes))),
        ("CPU time", format_duration(sum(rank["cpu_s"] for rank in ranks))),
        ("utilisation of cores", format_share(summary["utilisation"])),
        ("imbalance of ranks", format_share(summary["imbalance"])),
        ("peak of a node", format_bytes(summary["peak_bytes"])),
    ]
    figures += [("energy of nodes", f"{sum(known):,.0f} J")] if known else []
    if calls := summary.get("functions"):
        peak = format_bytes(calls["peak_bytes"] or 0)
        name = (
            f"CPU time of {say_count(calls['calls'], 'call')} of functions, peak {peak}"
        )
        figures.append((name, format_duration(calls["cpu_s"])))
    return figures


def format_share(share: float | None) -> str:
    """Return a share as a percentage; a dash where it is not known."""
    return "-" if share is None else f"{share:.0%}"


class Meter(NamedTuple):
    """A share that is known, or not, of what the job held."""

    name: str
    share: float | None
    said: str


class Chart(NamedTuple):
    """What nodes used over the time of a run.

    Parameters
    ----------
    name
        Of the part of the page.
    classes
        Of the lines, by node.
    """

    name: str
    title: str
    picture: Markup
    classes: dict[str, str]


def make_page(
    record: RunRecord,
    summary: Summary,
    nodes: list[Rows],
    threads: int,
    told: list[NodeForecast],
    state: RunState | None,
) -> str:
    """Fill ``page.html`` with what a run used."""
    attempts = max(row["attempt"] for node in nodes for row in node.rows)
    finished = str(record.get("finished", ""))[:16].replace("T", " ")
    efficiency, has_ended = summary["efficiency"], record.get("status") == "done"
    return render_page(
        "hpc_connector.report.telemetry",
        "page.html",
        program=str(record.get("program", "a run")),
        words=[finished, say_count(attempts, "attempt") if attempts > 1 else ""],
        n_ranks=say_count(len(summary["ranks"]), "rank"),
        n_nodes=say_count(len(summary["nodes"]), "node"),
        about=list_about(record, state, efficiency),
        figures=list_figures(summary),
        advice=split_options(summary["advice"]),
        notes=split_options(summary["notes"]),
        differences=split_options(summary["differences"]),
        meters=[
            Meter(NAMES[k], one["share"], one["said"]) for k, one in efficiency.items()
        ],
        attempts=get_attempts(record),
        forecast=get_forecast(told, nodes, get_span(nodes)[0], has_ended=has_ended),
        **get_pictures(make_timeline(nodes), threads, get_held(record)),
        ranks=list_ranks(summary["ranks"]),
    )


def list_about(
    record: RunRecord,
    state: RunState | None,
    efficiency: dict[str, Share],
) -> dict[str, str]:
    """List the facts that tell which run this is, and how it ended."""
    if state is None:
        return {}
    version = str(record.get("version", ""))
    how = f" in attempt {state.attempts}" if state.attempts > 1 else ""
    told = f", as {state.told_by} has it" if state.told_by else ""
    facts = {
        "Run": str(Path(state.run).resolve()),
        "Program": " ".join(filter(None, (state.program, version))),
        "Job": state.job,
        "Command": str(record.get("command", "")),
        "End": f"{state.state}{how}{told}",
        "Time": say_used(efficiency.get("time"), format_duration, "asked"),
        "Memory": say_used(efficiency["memory"], format_bytes, "asked on a node"),
    }
    return {name: text for name, text in facts.items() if text}


def say_used(found: Share | None, show: Callable[[float], str], whose: str) -> str:
    """Return the use of what was asked for, empty where it is not known."""
    if not found or not found["held"]:
        return ""
    share = format_share(found["share"])
    return f"{show(found['used'])} of {show(found['held'])} {whose} ({share})"


def get_held(record: RunRecord) -> tuple[float, float]:
    """Return cores and bytes that the last job held on a node, 0 if not known."""
    jobs = list_attempts(record)
    if not jobs:
        return 0.0, 0.0
    last = complete(jobs[-1])
    return last["cores"] / max(last["n_nodes"], 1), last["node_mem_bytes"]


def get_pictures(
    timeline: Timeline, threads: int, held: tuple[float, float]
) -> dict[str, Any]:
    """Return the time of the run drawn, None and nothing where it is too short."""
    is_short = timeline.edges[-1] < SHORT_S
    n_ranks, n_nodes = len(timeline.ranks), len(timeline.nodes)
    return {
        "is_short": is_short,
        "shades": range(SHADES + 1),
        "busy": draw_ranks(timeline, threads) if n_ranks and not is_short else None,
        "more_ranks": say_more(n_ranks - MOST_RANKS, "more rank"),
        "charts": [] if is_short else draw_charts(timeline, held),
        "more_nodes": say_more(n_nodes - MOST_NODES, "more node"),
    }


def draw_charts(timeline: Timeline, held: tuple[float, float]) -> list[Chart]:
    """Draw the cores and the memory in use on each node."""
    gib = 2.0**30
    cores = draw_nodes(timeline, timeline.cores, "cores", held[0])
    memory = draw_nodes(timeline, timeline.memory_bytes / gib, "GiB", held[1] / gib)
    classes = list_node_classes(timeline.nodes)
    return [
        Chart("cores", "Cores in use", cores, classes),
        Chart("memory", "Memory in use", memory, classes),
    ]


def say_more(number: int, name: str) -> str:
    """Say how many there are beyond those drawn, empty where all are."""
    return say_count(number, name) if number > 0 else ""


def split_options(lines: list[str]) -> list[list[str]]:
    """Return sentences cut at the options they name, which are every other piece.

    Examples
    --------
    >>> split_options(["Ask for --mem=3G."])
    [['Ask for ', '--mem=3G', '.']]
    """
    return [OPTION.split(line) for line in lines]


def list_ranks(ranks: list[RankUse]) -> list[list[str]]:
    """Return the use of each rank: its number, its node, and its figures."""
    formats = {
        "cpu_s": format_duration,
        "peak_bytes": format_bytes,
        "read_bytes": format_bytes,
        "write_bytes": format_bytes,
    }
    shown: Sequence[Mapping[str, Any]] = ranks[:MOST_RANKS]
    return [
        [str(rank["rank"]), rank["node"]]
        + [
            "-" if rank[name] is None else show(rank[name])
            for name, show in formats.items()
        ]
        for rank in shown
    ]
