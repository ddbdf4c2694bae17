"""``hpc-connector inspect``: what a run used, as text or as a page."""

import argparse
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from hpc_connector import cli
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.publish import publish
from hpc_connector.storer._facts import format_bytes, format_duration
from hpc_connector.storer._page import make_section, read_part
from hpc_connector.storer._svg import (
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    get_ticks,
    make_scale,
    make_svg,
)
from hpc_connector.storer._text import clean, shorten
from hpc_connector.telemetry.advice import make_advice
from hpc_connector.telemetry.collect import read_nodes, summarise
from hpc_connector.telemetry.functions import read_calls, summarise_calls
from hpc_connector.telemetry.timeline import Timeline, make_timeline

WIDTH, EDGE, LEFT = 1060, 34, 84  # pixels; LEFT holds names
MOST_RANKS = 256  # drawn, and in the table
MOST_NODES = 12  # lines in a chart
SHADES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("directory", type=Path, metavar="DIR", help="folder of a run with --telemetry")
    add("--html", type=Path, metavar="FILE", help="write a page")
    add("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what a run used and what to do next time, or write a page of it."""
    nodes = read_nodes(args.directory)
    record = {}
    if (args.directory / NAME).exists():
        record = read_manifest(args.directory)
    threads = record.get("resources", {}).get("threads", 1)
    summary = summarise(nodes, threads)
    summary |= summarise_calls(read_calls(args.directory))
    summary["advice"] = make_advice(summary)
    if args.html:
        page = make_page(record, summary, make_timeline(nodes), threads)
        with publish(args.html) as stream:
            stream.write(page.encode(errors="xmlcharrefreplace"))
        print(args.html)
    elif args.json:
        print(json.dumps(summary))
    else:
        lines = [f"{value:>12}  {name}" for name, value in list_figures(summary)]
        print("\n".join(lines + summary["advice"] + summary["notes"]))
    return cli.DONE


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
        name = f"CPU time of {count(calls['calls'], 'call')} of functions, peak {peak}"
        figures.append((name, format_duration(calls["cpu_s"])))
    return figures


def format_share(share: float | None) -> str:
    """Return a share as a percentage; a dash where it is not known."""
    return "-" if share is None else f"{share:.0%}"


def make_page(
    record: dict[str, Any], summary: dict[str, Any], timeline: Timeline, threads: int
) -> str:
    """Return the whole page."""
    page = Template(read_own("dashboard.html"))
    program = clean(str(record.get("program", "a run")))
    n_ranks, n_nodes = len(summary["ranks"]), len(summary["nodes"])
    tiles = [
        f"<div><dd>{escape(value)}</dd><dt>{escape(name)}</dt></div>"
        for name, value in list_figures(summary)
    ]
    sections = [
        make_section(
            "ranks",
            "Ranks over time",
            "Each row is a rank, dark where its cores were busy.",
            draw_ranks(timeline, threads),
        ),
        make_section("cores", "Cores in use", "", draw_nodes(timeline, "cores")),
        make_section("memory", "Memory", "", draw_nodes(timeline, "memory")),
        make_section("table", "Ranks", "", make_table(summary["ranks"])),
    ]
    return page.substitute(
        style=read_part("common.css") + read_own("dashboard.css"),
        title=f"Telemetry: {escape(program)}",
        kicker=f"{escape(program)} · {escape(clean(str(record.get('finished', ''))))}",
        heading=f"{count(n_ranks, 'rank')} on {count(n_nodes, 'node')}",
        tiles="".join(tiles),
        advice=make_list(summary["advice"]),
        notes=make_list(summary["notes"], "cautions"),
        sections="".join(sections),
    )


def read_own(name: str) -> str:
    """Return a template or a style sheet of this package."""
    return (files("hpc_connector.telemetry") / name).read_text(encoding="utf-8")


def count(number: int, name: str) -> str:
    """Return a number with the name of what it counts."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def make_list(lines: list[str], kind: str = "advice") -> str:
    """Return a list of sentences; empty without any."""
    items = "".join(f"<li>{escape(clean(line))}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def draw_ranks(timeline: Timeline, threads: int) -> str:
    """Return a row for each rank, a cell for each window, the darker the busier."""
    shown = timeline.ranks[:MOST_RANKS]
    if not shown.size:
        return "<p>No rank was seen.</p>"
    row, top = float(np.clip(480 / len(shown), 2, 22)), 8
    x = make_scale(0, timeline.edges[-1], LEFT, WIDTH - 16)
    parts = []
    for k, cores in enumerate(shown):
        if row >= 10 or k % 16 == 0:
            name = f"rank {timeline.numbers[k]}"
            parts.append(
                draw_text(LEFT - 8, top + (k + 0.5) * row + 4, name, "end soft")
            )
        for start, end, busy in zip(
            timeline.edges, timeline.edges[1:], cores / threads, strict=False
        ):
            if np.isfinite(busy):
                said = f"rank {timeline.numbers[k]}, {start:.1f} s: {busy:.0%}"
                shade = f"busy{round(SHADES * float(np.clip(busy, 0, 1)))}"
                width = x(end) - x(start)
                parts.append(
                    draw_rect(x(start), top + k * row, width, row - 1, shade, said)
                )
    height = top + len(shown) * row + EDGE
    parts.append(draw_time(x, timeline.edges[-1], height - EDGE))
    body = "".join(parts)
    picture = make_svg(WIDTH, height, "how busy each rank was over time", body, "wide")
    more = len(timeline.ranks) - len(shown)
    note = f"<p>{count(more, 'rank')} more are not drawn.</p>" if more else ""
    return f'<div class="scroll">{picture}</div>{note}'


def draw_time(x: Any, end_s: float, y: float) -> str:
    """Return the axis of time with its numbers."""
    parts = [draw_line(LEFT, y, WIDTH - 16, y, "axis")]
    for tick in get_ticks(0, end_s, 10):
        parts.append(draw_text(x(tick), y + 16, f"{tick:g}", "middle soft"))
    parts.append(draw_text(WIDTH - 16, y + 30, "seconds", "end soft"))
    return "".join(parts)


def draw_nodes(timeline: Timeline, what: str) -> str:
    """Return the lines of all nodes: the cores that they used, or their memory."""
    values = timeline.cores if what == "cores" else timeline.memory_bytes / 2**30
    unit = "cores" if what == "cores" else "GiB"
    shown = values[:MOST_NODES]
    high = float(np.nanmax(shown, initial=0)) * 1.05 or 1.0
    height = 240
    x = make_scale(0, timeline.edges[-1], LEFT, WIDTH - 16)
    y = make_scale(0, high, height - EDGE, 12)
    parts = []
    for tick in get_ticks(0, high, 5):
        parts.append(draw_line(LEFT, y(tick), WIDTH - 16, y(tick), "grid"))
        parts.append(draw_text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end soft"))
    middle = (timeline.edges[1:] + timeline.edges[:-1]) / 2
    for k, line in enumerate(shown):
        steps = make_steps(middle, line, x, y)
        parts.append(draw_path(steps, f"line{k % 4}", timeline.nodes[k]))
    parts += [
        draw_time(x, timeline.edges[-1], height - EDGE),
        draw_text(14, height / 2, unit, "middle", turned=True),
    ]
    names = ", ".join(
        f'<b class="name{k % 4}">{escape(clean(shorten(name)))}</b>'
        for k, name in enumerate(timeline.nodes[: len(shown)])
    )
    more = len(values) - len(shown)
    names += f" and {more} more that are not drawn" if more else ""
    label = f"{unit} in use on each node over time"
    picture = make_svg(WIDTH, height, label, "".join(parts), "wide")
    caption = f"<figcaption>{names}</figcaption>"
    return f'<figure class="scroll">{picture}{caption}</figure>'


def make_steps(middle: np.ndarray, line: np.ndarray, x: Any, y: Any) -> str:
    """Return a path through the windows that were seen, broken where one was not."""
    steps, is_open = [], False
    for time_s, value in zip(middle, line, strict=True):
        if np.isfinite(value):
            steps.append(f"{'L' if is_open else 'M'}{x(time_s):.1f} {y(value):.1f}")
        is_open = bool(np.isfinite(value))
    return "".join(steps)


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
