"""Pictures of a run over its time: how busy each rank was, what each node used."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from hpc_connector.report.axes import Frame, draw_rows, draw_ticks, get_time_unit
from hpc_connector.report.svg import (
    Scale,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    join_steps,
    make_svg,
)
from hpc_connector.report.text import shorten
from hpc_connector.telemetry.timeline import Timeline

WIDTH, HEIGHT, LEFT, FOOT = 1060, 240, 84, 48  # pixels; LEFT and FOOT hold words
MOST_RANKS = 256  # drawn, and in the table
MOST_NODES = 12  # lines in a chart: each has a colour, or a dash, of its own
HUES = 6
SHADES = 10
LABEL = 13  # pixels that a name needs
STEPS = (1, 2, 4, 8, 16, 32, 64)  # ranks from name to name
FAR = 4  # times what was used: more would flatten the lines
NARROW = 0.5  # pixels by which cells overlap, or seams would show


def draw_ranks(timeline: Timeline, threads: float) -> Markup:
    """Return a row for each rank, a cell for each window, the darker the busier."""
    shown = timeline.ranks[:MOST_RANKS]
    row = float(np.clip(480 / len(shown), 2, 22))
    frame = Frame(LEFT, 8, WIDTH - 16, 8 + row * len(shown) + 4)
    x = frame.make_x(timeline.edges[0], timeline.edges[-1])
    every = next((n for n in STEPS if n * row >= LABEL), STEPS[-1])
    parts = []
    for k, cores in enumerate(shown):
        top = frame.top + k * row
        if k % every == 0:
            name = f"rank {timeline.numbers[k]}"
            parts.append(draw_text(LEFT - 8, top + row / 2 + 4, name, "end soft"))
        name = f"rank {timeline.numbers[k]}"
        parts += draw_cells(x, timeline.edges, cores / threads, top, row, name)
    parts += draw_time(x, timeline, frame)
    label = "how busy each rank was over time"
    height = frame.bottom + FOOT - 8
    return make_svg(WIDTH, height, label, "".join(parts), "wide")


def draw_cells(
    x: Scale, edges: np.ndarray, shares: np.ndarray, top: float, row: float, name: str
) -> list[str]:
    """Return the windows of a rank in which it was seen."""
    gap = 1 if row >= 4 else 0
    cells = []
    for k in np.flatnonzero(np.isfinite(shares)):
        begin, end, share = edges[k], edges[k + 1], float(shares[k])
        said = f"{name}, {begin:.1f} to {end:.1f} s: {share:.0%}"
        shade = f"busy{round(SHADES * float(np.clip(share, 0, 1)))}"
        width = x(end) - x(begin) + NARROW
        cells.append(draw_rect(x(begin), top, width, row - gap, shade, said))
    return cells


def draw_nodes(
    timeline: Timeline, values: np.ndarray, unit: str, held: float = 0.0
) -> Markup:
    """Return a line for each node over the time of the run.

    Parameters
    ----------
    values
        In `unit`, shape (n_nodes, n_windows).
    held
        By the job on a node, 0 if not known: drawn unless it is far above.
    """
    shown = values[:MOST_NODES]
    high = float(np.nanmax(shown, initial=0)) * 1.08 or 1.0
    is_near = 0 < held <= FAR * high
    high = max(high, 1.08 * held) if is_near else high
    frame = Frame(LEFT, 12, WIDTH - 16, HEIGHT - FOOT)
    x = frame.make_x(timeline.edges[0], timeline.edges[-1])
    y = frame.make_y(0, high)
    parts = [draw_rows(y, (0, high), frame, about=5)]
    width_s = float(timeline.edges[1] - timeline.edges[0])
    for k, line in enumerate(shown):
        steps = join_steps(x, y, timeline.edges[:-1], width_s, line)
        parts.append(draw_path(steps, get_line(k), timeline.nodes[k]))
    if is_near:
        parts.append(draw_line(frame.left, y(held), frame.right, y(held), "limit"))
        words = f"{held:.3g} held by the job"
        parts.append(draw_text(frame.right, y(held) - 5, words, "end soft"))
    parts += draw_time(x, timeline, frame)
    middle = (frame.top + frame.bottom) / 2
    parts.append(draw_text(14, middle, unit, "middle soft", turned=True))
    label = f"{unit} in use on each node over time"
    return make_svg(WIDTH, HEIGHT, label, "".join(parts), "wide")


def get_line(number: int) -> str:
    """Return the classes of the line of a node."""
    dashed = " dashed" if number >= HUES else ""
    return f"line{number % HUES}{dashed}"


def list_node_classes(names: Sequence[str]) -> dict[str, str]:
    """Return the classes of the lines by the node that each is of."""
    shown = enumerate(names[:MOST_NODES])
    return {shorten(name): get_line(k) for k, name in shown}


def draw_time(x: Scale, timeline: Timeline, frame: Frame) -> list[str]:
    """Return the axis of time, its numbers and their unit.

    Times of a run that goes on are below 0: before now.
    """
    limits = float(timeline.edges[0]), float(timeline.edges[-1])
    size, unit = get_time_unit(limits[1] - limits[0])
    since = "before now" if limits[0] < 0 else "since the first sample"
    return [
        draw_ticks(x, limits, frame, about=10, unit=size),
        draw_text(
            (frame.left + frame.right) / 2,
            frame.bottom + 36,
            f"time {since}, {unit}",
            "middle soft",
        ),
    ]
