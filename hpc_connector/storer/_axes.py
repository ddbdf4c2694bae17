"""Axes of a chart: its size, its limits, the grid and the numbers."""

import numpy as np

from hpc_connector.storer._svg import Scale, draw_line, draw_text, get_ticks

WIDTH, HEIGHT, EDGE = 640, 400, 58  # and the margin that holds an axis, pixels

Limits = tuple[float, float]


def get_limits(values: np.ndarray) -> Limits:
    """Return the ends of an axis that leaves some room around the values."""
    low, high = float(values.min()), float(values.max())
    room = max(0.06 * (high - low), 0.005)
    return low - room, high + room


def draw_rows(
    y: Scale, limits: Limits, *, whole: bool = False, marked: float | None = None
) -> str:
    """Return the grid and the numbers of the vertical axis, one line darker."""
    ticks = get_ticks(*limits)
    parts = []
    for tick in ticks:
        if whole and tick != round(tick):
            continue
        kind = "marked" if tick == marked else "grid"
        parts.append(draw_line(EDGE, y(tick), WIDTH - 16, y(tick), kind))
        parts.append(draw_text(EDGE - 8, y(tick) + 4, f"{tick:g}", "end soft"))
    return "".join(parts)


def draw_ticks(x: Scale, limits: Limits) -> str:
    """Return the horizontal axis and its numbers."""
    parts = [draw_line(EDGE, HEIGHT - EDGE, WIDTH - 16, HEIGHT - EDGE, "axis")]
    for tick in get_ticks(*limits):
        words = draw_text(x(tick), HEIGHT - EDGE + 18, f"{tick:g}", "middle soft")
        parts.append(words)
    return "".join(parts)


def draw_axis_names(across: str, along: str) -> list[str]:
    """Return what the axes are."""
    return [
        draw_text((WIDTH + EDGE) / 2, HEIGHT - 14, across, "middle"),
        draw_text(14, (HEIGHT - EDGE) / 2, along, "middle", turned=True),
    ]
