"""The picture of a forecast: what a run used, what was foretold, what comes."""

import numpy as np

from hpc_connector.forecast.features import HORIZONS
from hpc_connector.forecast.outlook import UNITS, Outlook
from hpc_connector.report.axes import Frame, draw_rows, draw_ticks, get_time_unit
from hpc_connector.report.svg import (
    Scale,
    draw_circle,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    join_points,
    make_picture,
)

WIDTH, PANEL, TOP, LEFT, RIGHT, FOOT = 960, 230, 86, 64, 24, 46
GAP = 56  # between the panels, pixels
MOST = 180  # windows drawn, the last ones: more would hide what comes
LETTER = 6.0  # mean width of a letter of the legend, pixels
TITLES = {"cpu": "CPU, cores", "memory": "Memory, GiB"}
STYLE = """.name { font-weight: 650; } .seen { fill: #eef1f4; }
.now { stroke: #1c2630; stroke-dasharray: 3 3; }
.truth { stroke: #1c2630; stroke-width: 1.1; }
.told { stroke: #e4687a; stroke-width: 2.4; }
.before { stroke: #a68cc4; stroke-width: 2.4; }
.band { fill: #d1495b; fill-opacity: .16; } .dot { fill: #d1495b; }
"""


def draw_forecast(outlook: Outlook) -> str:
    """Return an SVG of its own: CPU above, memory below, over the time of the run."""
    one = outlook.series
    height = TOP + len(TITLES) * (PANEL + GAP) + FOOT - GAP
    count = len(one.values)
    span_s = one.width_s * max(count - MOST, 0), one.width_s * (count + HORIZONS)
    scale, unit = get_time_unit(span_s[1])
    body = _draw_head(outlook)
    for k, target in enumerate(TITLES):
        top = TOP + k * (PANEL + GAP)
        frame = Frame(LEFT, top, WIDTH - RIGHT, top + PANEL)
        x = frame.make_x(*span_s)
        body.append(_draw_panel(outlook, target, frame, x))
        body.append(draw_ticks(x, span_s, frame, about=8, unit=scale))
    middle = (LEFT + WIDTH - RIGHT) / 2
    words = f"time since the start, {unit}"
    body.append(draw_text(middle, height - 8, words, "middle soft"))
    label = f"CPU and memory of {one.name}, and their forecast"
    return make_picture(WIDTH, height, label, "".join(body), STYLE) + "\n"


def _draw_head(outlook: Outlook) -> list[str]:
    """Return the title and the legend."""
    one = outlook.series
    count = len(one.values)
    which = f"the last {MOST} of {count}" if count > MOST else f"{count}"
    title = f"{one.group or one.run}: {one.name}, {which} windows of {one.width_s:g} s"
    parts = [draw_text(LEFT, 24, title, "title")]
    entries = [
        ("truth", "used"),
        ("told", "foretold one window before (test)"),
        ("band", "up to P90"),
    ]
    if outlook.seen_until_s > _get_drawn_s(outlook):
        entries.insert(2, ("before", "the same where it learned (train)"))
    x = float(LEFT)
    for kind, words in entries:
        if kind == "band":
            parts.append(draw_rect(x, 40, 20, 10, kind))
        else:
            parts.append(draw_line(x, 45, x + 20, 45, kind))
        parts.append(draw_text(x + 26, 49, words))
        x += 26 + LETTER * len(words) + 16
    return parts


def _get_drawn_s(outlook: Outlook) -> float:
    """Return the Unix time at which the picture starts."""
    one = outlook.series
    return one.start_s + one.width_s * max(len(one.values) - MOST, 0)


def _draw_panel(outlook: Outlook, target: str, frame: Frame, x: Scale) -> str:
    """Return one target over time; a window is drawn at its end."""
    one, rows, served = outlook.series, outlook.rows[target], outlook.served[target]
    size, unit = UNITS[target]
    first = max(len(one.values) - MOST, 0)
    used = one.values[first:, list(TITLES).index(target)] / size
    used_s = one.width_s * np.arange(first + 1, len(one.values) + 1)
    now_s = float(rows.end_s[-1] - one.start_s)
    told_s = rows.end_s - one.start_s + one.width_s
    is_drawn = told_s[:-1] > one.width_s * first
    ahead_s = now_s + one.width_s * np.arange(1, HORIZONS + 1)
    at_s = np.concatenate([told_s[:-1][is_drawn], ahead_s])
    low, high = (
        np.concatenate([told[:-1, 0][is_drawn], told[-1]]) / size
        for told in (served.p50, served.p90)
    )
    most = 1.06 * max(np.nanmax(used), high.max(), 1e-6)
    y = frame.make_y(0, most)
    seen_s = outlook.seen_until_s - one.start_s
    n_seen = int((at_s[:-HORIZONS] <= seen_s + 1e-6).sum())
    return "".join(
        [
            _draw_seen(x, seen_s, one.width_s * first, frame),
            draw_rows(y, (0, most), frame, about=5),
            _draw_band(x, y, at_s, low, high),
            _draw_steps(x, y, at_s[: n_seen + 1], low[: n_seen + 1], "before"),
            _draw_steps(x, y, at_s[n_seen:], low[n_seen:], "told"),
            _draw_steps(x, y, used_s, used, "truth"),
            draw_line(x(now_s), frame.top, x(now_s), frame.bottom, "now"),
            _draw_dots(x, y, ahead_s, low[-HORIZONS:]),
            draw_text(LEFT, frame.top - 7, TITLES[target], "name"),
            draw_text(
                WIDTH - RIGHT,
                frame.top - 7,
                f"next: {_join(low[-HORIZONS:])} {unit}, P90 {_join(high[-HORIZONS:])}",
                "end soft",
            ),
        ]
    )


def _join(values: np.ndarray) -> str:
    return " / ".join(f"{value:.3g}" for value in values)


def _draw_seen(x: Scale, seen_s: float, first_s: float, frame: Frame) -> str:
    """Return the shade over what was trained on."""
    if seen_s <= first_s:
        return ""
    width = min(x(seen_s), frame.right) - frame.left
    return draw_rect(frame.left, frame.top, width, frame.bottom - frame.top, "seen")


def _draw_dots(x: Scale, y: Scale, at: np.ndarray, values: np.ndarray) -> str:
    """Return the part of the picture that is to come."""
    pairs = zip(at.tolist(), values.tolist(), strict=True)
    return "".join(draw_circle(x(t), y(v), 3, "dot", f"{v:.3g}") for t, v in pairs)


def _split(at: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """Return the places of values that follow one another without a gap."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 2:
        return [known]
    steps = np.diff(at[known])
    return np.split(known, np.flatnonzero(steps > 1.5 * steps.min()) + 1)


def _draw_steps(
    x: Scale, y: Scale, at: np.ndarray, values: np.ndarray, kind: str
) -> str:
    """Return a line that is broken where a window is missing."""
    parts = [join_points(x, y, at[k], values[k]) for k in _split(at, values) if len(k)]
    return "".join(draw_path(part, kind) for part in parts)


def _draw_band(
    x: Scale, y: Scale, at: np.ndarray, low: np.ndarray, high: np.ndarray
) -> str:
    """Return the area between P50 and P90."""
    parts = []
    for k in _split(at, low):
        there, back = at[k], at[k][::-1]
        ends = np.concatenate([there, back]), np.concatenate([high[k], low[k][::-1]])
        parts.append(draw_path(f"{join_points(x, y, *ends)}Z", "band"))
    return "".join(parts)
