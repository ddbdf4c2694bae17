"""Axes of a chart: its place, its limits, the grid, the numbers and the names."""

from typing import NamedTuple

import numpy as np

from hpc_connector.report.svg import Scale, draw_line, draw_text, get_ticks, make_scale

WIDTH, HEIGHT, EDGE = 640, 400, 58  # and the margin that holds an axis, pixels

Limits = tuple[float, float]


class Frame(NamedTuple):
    """The rectangle of a picture that axes surround, pixels from above and left."""

    left: float
    top: float
    right: float
    bottom: float

    def make_x(self, low: float, high: float) -> Scale:
        """Return the scale from left to right."""
        return make_scale(low, high, self.left, self.right)

    def make_y(self, low: float, high: float) -> Scale:
        """Return the scale from the bottom up."""
        return make_scale(low, high, self.bottom, self.top)


CHART = Frame(EDGE, 16, WIDTH - 16, HEIGHT - EDGE)


def get_limits(values: np.ndarray) -> Limits:
    """Return the ends of an axis that leaves some room around the values."""
    low, high = float(values.min()), float(values.max())
    room = max(0.06 * (high - low), 0.005)
    return low - room, high + room


def get_time_unit(seconds: float) -> tuple[float, str]:
    """Return the seconds of the unit for an axis that ends at some time, and its name.

    Examples
    --------
    >>> get_time_unit(100), get_time_unit(7200)
    ((1.0, 's'), (60.0, 'min'))
    """
    units = (3600.0, "h"), (60.0, "min"), (1.0, "s")
    return next((s, unit) for s, unit in units if seconds >= 3 * s or unit == "s")


def draw_rows(
    y: Scale,
    limits: Limits,
    frame: Frame = CHART,
    *,
    about: int = 6,
    whole: bool = False,
    marked: float | None = None,
) -> str:
    """Return the grid and the numbers of the vertical axis, one line darker."""
    parts = []
    for tick in get_ticks(*limits, about):
        if whole and tick != round(tick):
            continue
        kind = "marked" if tick == marked else "grid"
        parts.append(draw_line(frame.left, y(tick), frame.right, y(tick), kind))
        parts.append(draw_text(frame.left - 8, y(tick) + 4, f"{tick:g}", "end soft"))
    return "".join(parts)


def draw_ticks(
    x: Scale,
    limits: Limits,
    frame: Frame = CHART,
    *,
    about: int = 6,
    unit: float = 1,
    has_grid: bool = False,
) -> str:
    """Return the horizontal axis and its numbers.

    Parameters
    ----------
    unit
        In which the numbers are, in units of `x` and `limits`.
    has_grid
        Whether a line goes up from each number.
    """
    parts = [draw_line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]
    for tick in get_ticks(limits[0] / unit, limits[1] / unit, about):
        at = x(tick * unit)
        if has_grid:
            parts.append(draw_line(at, frame.top, at, frame.bottom, "grid"))
        parts.append(draw_text(at, frame.bottom + 18, f"{tick:g}", "middle soft"))
    return "".join(parts)


def draw_axis_names(
    across: str, along: str, frame: Frame = CHART, *, drop: float = 44
) -> list[str]:
    """Return the names of the axes drawn, the horizontal one `drop` pixels below it."""
    middle = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
    return [
        draw_text(middle[0], frame.bottom + drop, across, "middle"),
        draw_text(14, middle[1], along, "middle", turned=True),
    ]
