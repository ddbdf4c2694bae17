"""``hpc-connector inspect``: what a run used, as text or as a page."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from hpc_connector.cluster.accounting import complete, list_attempts
from hpc_connector.cluster.state import RunState, get_end, say_goes_on
from hpc_connector.errors import BadInput
from hpc_connector.forecast.forecast_file import Told, read_told, say_told
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.page import fill_page, make_section, read_part
from hpc_connector.report.telemetry.attempts_section import make_attempts
from hpc_connector.report.telemetry.forecast_section import make_forecast
from hpc_connector.report.telemetry.timeline_picture import (
    MOST_RANKS,
    draw_nodes,
    draw_ranks,
)
from hpc_connector.report.text import clean, say_count
from hpc_connector.telemetry.records import Rows
from hpc_connector.telemetry.timeline import Timeline, make_timeline

SHORT_S = 0.01  # between first and last sample: too short to draw
PACKAGE = "hpc_connector.report.telemetry"
NAMES = {"cores": "Cores", "memory": "Memory", "time": "Time"}
OPTION = re.compile(r"--[\w-]+(?:=\w+)?")


def find_state(
    directory: Path, record: dict[str, Any], summary: dict[str, Any]
) -> RunState | None:
    """Return what a run has come to, None of a bare folder; note one that goes on."""
    if not record:
        return None
    state = get_end(directory)
    if not state.is_over:
        summary["notes"].insert(0, say_goes_on(state))
    return state


def find_told(
    directory: Path, nodes: list[Rows], summary: dict[str, Any]
) -> list[Told]:
    """Return the forecasts of a run, said in its summary; a damaged file is noted."""
    try:
        told = read_told(directory, [node.node for node in nodes])
    except BadInput as error:
        summary["notes"].append(str(error))
        return []
    first_s, now_s = get_span(nodes)
    summary["forecast"] = [say_told(one, now_s, first_s) for one in told]
    return told


def get_span(nodes: list[Rows]) -> tuple[float, float]:
    """Return the Unix times of the first and of the last sample of a run."""
    return (
        min(node.rows[0]["clock_s"] for node in nodes),
        max(node.rows[-1]["clock_s"] for node in nodes),
    )


def list_figures(summary: dict[str, Any]) -> list[tuple[str, str]]:
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


def make_page(
    record: dict[str, Any],
    summary: dict[str, Any],
    nodes: list[Rows],
    threads: int,
    told: list[Told],
    state: RunState | None,
) -> str:
    """Return the whole page."""
    timeline = make_timeline(nodes)
    program = escape(clean(str(record.get("program", "a run"))))
    finished = escape(clean(str(record.get("finished", ""))[:16].replace("T", " ")))
    attempts = max(row["attempt"] for node in nodes for row in node.rows)
    words = [program, finished, say_count(attempts, "attempt") if attempts > 1 else ""]
    n_ranks, n_nodes = len(summary["ranks"]), len(summary["nodes"])
    tiles = [
        f"<div><dd>{escape(value)}</dd><dt>{escape(name)}</dt></div>"
        for name, value in list_figures(summary)
    ]
    sections = [
        make_section(
            "efficiency",
            "Efficiency",
            "",
            make_meters(summary["efficiency"])
            + make_differences(summary["differences"]),
        ),
        make_attempts(record),
        *make_pictures(timeline, threads, get_held(record)),
        make_forecast(
            told, nodes, get_span(nodes)[0], has_ended=record.get("status") == "done"
        ),
        make_section("table", "Ranks", "", make_table(summary["ranks"])),
    ]
    about = Template(read_part("page.html", PACKAGE)).substitute(
        advice=make_list(summary["advice"]),
        notes=make_list(summary["notes"], "cautions"),
    )
    return fill_page(
        style=read_part("page.css", PACKAGE),
        title=f"Telemetry: {program}",
        kicker=" · ".join(filter(None, words)),
        lead=make_about(record, state, summary["efficiency"]),
        heading=f"{say_count(n_ranks, 'rank')} on {say_count(n_nodes, 'node')}",
        tiles="".join(tiles),
        about=about,
        sections=sections,
    )


def make_about(
    record: dict[str, Any],
    state: RunState | None,
    efficiency: dict[str, dict[str, Any]],
) -> str:
    """Return which run this is: its job, its command, and how it ended."""
    if state is None:
        return ""
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
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(clean(text))}</dd>"
        for name, text in facts.items()
        if text
    )
    return f'<dl class="about">{rows}</dl>'


def say_used(
    found: dict[str, Any] | None, show: Callable[[float], str], whose: str
) -> str:
    """Return what was used of what was asked for, empty where it is not known."""
    if not found or not found["held"]:
        return ""
    share = format_share(found["share"])
    return f"{show(found['used'])} of {show(found['held'])} {whose} ({share})"


def get_held(record: dict[str, Any]) -> tuple[float, float]:
    """Return cores and bytes that the last job held on a node, 0 if not known."""
    jobs = list_attempts(record)
    if not jobs:
        return 0.0, 0.0
    last = complete(jobs[-1])
    return last["cores"] / max(last["n_nodes"], 1), last["node_mem_bytes"]


def make_pictures(
    timeline: Timeline, threads: int, held: tuple[float, float]
) -> list[str]:
    """Return the parts that show the time of the run."""
    if timeline.edges[-1] < SHORT_S:
        said = "There is one sample of each rank: no time to draw."
        return [make_section("ranks", "Ranks over time", said, "")]
    parts = {
        "Ranks over time": draw_ranks(timeline, threads),
        "Cores in use": draw_nodes(timeline, timeline.cores, "cores", held[0]),
        "Memory in use": draw_nodes(
            timeline, timeline.memory_bytes / 2**30, "GiB", held[1] / 2**30
        ),
    }
    return [
        make_section(title.partition(" ")[0].lower(), title, "", body)
        for title, body in parts.items()
    ]


def make_list(lines: list[str], kind: str = "advice") -> str:
    """Return a list of sentences; empty without any."""
    shown = [OPTION.sub(r"<code>\g<0></code>", escape(clean(line))) for line in lines]
    items = "".join(f"<li>{line}</li>" for line in shown)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def make_differences(lines: list[str]) -> str:
    """Return why figures that should agree do not; empty where all do."""
    return f"<h3>Why figures differ</h3>{make_list(lines)}" if lines else ""


def make_meters(efficiency: dict[str, dict[str, Any]]) -> str:
    """Return a bar for each share that is known, and what it is a share of."""
    parts = []
    for name, found in efficiency.items():
        share = found["share"]
        width = 0 if share is None else 100 * min(share, 1)
        bar = f'<div class="meter"><div style="width:{width:.1f}%"></div></div>'
        head = f"<b>{NAMES[name]}</b> {format_share(share)}"
        said = escape(clean(found["said"]))
        shown = bar if share is not None else ""
        parts.append(f"<div><p>{head}</p>{shown}<p class=intro>{said}</p></div>")
    return f'<div class="meters">{"".join(parts)}</div>'


def make_table(ranks: list[dict[str, Any]]) -> str:
    """Return what each rank used, in numbers."""
    heads = ("rank", "node", "CPU time", "peak memory", "read", "written")
    names = ("cpu_s", "peak_bytes", "read_bytes", "write_bytes")
    formats = (format_duration, format_bytes, format_bytes, format_bytes)
    rows = []
    for rank in ranks[:MOST_RANKS]:
        cells = [escape(clean(rank["node"]))]
        for name, show in zip(names, formats, strict=True):
            cells.append("-" if rank[name] is None else show(rank[name]))
        tail = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{rank["rank"]}</th>{tail}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>'
