"""The part of a run's page that draws what its job held beside what it used."""

from collections.abc import Callable
from html import escape
from typing import Any

from hpc_connector.cluster.accounting import complete, list_attempts, rate
from hpc_connector.report.axes import Frame, draw_rows, draw_ticks, get_time_unit
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.page import make_legend, make_section
from hpc_connector.report.svg import draw_rect, draw_text, make_svg
from hpc_connector.report.text import clean

WIDTH, HEIGHT = 520, 220
FRAME = Frame(52, 26, WIDTH - 12, HEIGHT - 44)
MOST = 50  # attempts that are drawn, the last ones
LEGEND = {"held by the job": "held", "used": "used"}
SAID = (
    "As Slurm accounts for each attempt: cores times the time that they were held, and "
    "the CPU time of all steps; the memory of a node, and that of the rank that had "
    "most, for each of its ranks there."
)
HEADS = ("attempt", "job", "end", "nodes", "time", "CPU time", "memory of a node")

Attempt = dict[str, Any]


def make_attempts(record: dict[str, Any]) -> str:
    """Return the part of the page; empty without an account."""
    attempts = [complete(attempt) for attempt in list_attempts(record)][-MOST:]
    if not attempts:
        return ""
    figures = [
        draw_held("cores", attempts, lambda one: one["cores"], get_mean_cores),
        draw_held(
            "memory of a node, GiB",
            attempts,
            lambda one: one["node_mem_bytes"] / 2**30,
            lambda one: get_node_bytes(one) / 2**30,
        ),
    ]
    drawn = "".join(f"<figure>{figure}</figure>" for figure in figures if figure)
    charts = f'{make_legend(LEGEND)}<div class="halves">{drawn}</div>' if drawn else ""
    title = "What the job held"
    return make_section("attempts", title, SAID, charts + make_table(attempts))


def get_mean_cores(attempt: Attempt) -> float:
    """Return the cores that an attempt used in the mean."""
    return attempt["cpu_s"] / attempt["elapsed_s"] if attempt["elapsed_s"] else 0.0


def get_node_bytes(attempt: Attempt) -> float:
    """Return the memory that an attempt used on a node, as seff counts it."""
    tasks, nodes = max(attempt["max_rss_tasks"], 1), max(attempt["n_nodes"], 1)
    return attempt["max_rss_bytes"] * tasks / nodes


def draw_held(
    name: str,
    attempts: list[Attempt],
    get_held: Callable[[Attempt], float],
    get_used: Callable[[Attempt], float],
) -> str:
    """Return areas over the time of all attempts; empty where none has any."""
    end_s = float(sum(one["elapsed_s"] for one in attempts))
    values = [(get_held(one), get_used(one)) for one in attempts]
    high = 1.08 * max(map(max, values))
    if not end_s or not high:
        return ""
    x, y = FRAME.make_x(0, end_s), FRAME.make_y(0, high)
    size, unit = get_time_unit(end_s)
    parts = [draw_rows(y, (0, high), FRAME, about=4)]
    begin_s = 0.0
    for one, pair in zip(attempts, values, strict=True):
        left, right = x(begin_s), x(begin_s + one["elapsed_s"])
        begin_s += one["elapsed_s"]
        for value, kind in zip(pair, LEGEND.values(), strict=True):
            said = f"attempt of job {one.get('job')}: {value:.3g} {kind}"
            box = left, y(value), max(right - left - 1, 1), FRAME.bottom - y(value)
            parts.append(draw_rect(*box, kind, clean(said)))
    middle = (FRAME.left + FRAME.right) / 2
    parts += [
        draw_ticks(x, (0, end_s), FRAME, about=6, unit=size),
        draw_text(FRAME.left, 14, name, "strong"),
        draw_text(middle, HEIGHT - 8, f"time held, {unit}", "middle soft"),
    ]
    return make_svg(WIDTH, HEIGHT, f"{name}: held and used", "".join(parts))


def make_table(attempts: list[Attempt]) -> str:
    """Return each attempt in numbers, with the share of what was held."""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEADS)
    rows = "".join(make_row(k, one) for k, one in enumerate(attempts, 1))
    return (
        f'<div class="scroll"><table class="held"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def make_row(number: int, attempt: Attempt) -> str:
    """Return the row of an attempt."""
    shares = rate(attempt)
    held_s = attempt["cores"] * attempt["elapsed_s"]
    pairs = {
        "time_efficiency": (attempt["elapsed_s"], attempt["limit_s"], format_duration),
        "cpu_efficiency": (attempt["cpu_s"], held_s, format_duration),
        "memory_efficiency": (
            get_node_bytes(attempt),
            attempt["node_mem_bytes"],
            format_bytes,
        ),
    }
    texts = [str(attempt.get(name) or "-") for name in ("job", "state", "nodes")]
    cells = [f"<td>{escape(clean(text))}</td>" for text in texts]
    cells += [
        f"<td>{make_cell(show, used, held, shares[name])}</td>"
        for name, (used, held, show) in pairs.items()
    ]
    return f'<tr><th scope="row">{number}</th>{"".join(cells)}</tr>'


def make_cell(
    show: Callable[[float], str], used: float, held: float, share: float | None
) -> str:
    """Return what was used of what was held, and a bar."""
    if share is None:
        return show(used)
    width = 100 * min(share, 1)
    bar = f'<div class="meter"><div style="width:{width:.1f}%"></div></div>'
    return f"{show(used)} of {show(held)} <b>{share:.0%}</b>{bar}"
