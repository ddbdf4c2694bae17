"""The part of a run's page that says and draws what its next windows will use."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from hpc_connector.errors import BadInput
from hpc_connector.forecast.forecast_file import TITLES, NodeForecast, say_forecast
from hpc_connector.forecast.windows import TARGETS, make_windows
from hpc_connector.report.axes import Frame, draw_rows, draw_ticks, get_time_unit
from hpc_connector.report.svg import (
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    join_steps,
    make_svg,
)
from hpc_connector.report.text import say_count, shorten
from hpc_connector.telemetry.records import NODE_RANK, Rows
from hpc_connector.telemetry.samples import Samples, split_samples

WIDTH, HEIGHT = 520, 230
FRAME = Frame(52, 26, WIDTH - 12, HEIGHT - 44)
SEEN = 24  # windows before the forecast that are drawn
MOST = 8  # nodes that are drawn
BY = {  # as the guard names them
    "model": "Told by the model.",
    "persistence": "Told by persistence: the last window again.",
    "median of 3": "Told by the median of the last 3 windows.",
}
LINES = {
    "measured": "truth",
    "foretold: P50": "told",
    "up to P90": "band",
    "as the last window (persistence)": "same",
}


class TargetChart(NamedTuple):
    """The chart of one target of a node, and below it what it says."""

    picture: Markup
    said: str


class Forecast(NamedTuple):
    """The part of the page.

    Parameters
    ----------
    error
        Why there is no chart; empty where there are.
    classes
        Of the lines of the charts, by name.
    more
        How many nodes there are beyond those drawn, in words; empty where all are.
    """

    has_ended: bool
    error: str
    classes: dict[str, str]
    charts: list[TargetChart]
    more: str


def get_forecast(
    told: Sequence[NodeForecast],
    nodes: Sequence[Rows],
    first_s: float,
    *,
    has_ended: bool,
) -> Forecast | None:
    """Draw what was foretold, a chart a node and target; None without a forecast."""
    if not told:
        return None
    try:
        found = [sample for node in nodes for sample in split_samples(node)]
    except BadInput as error:  # a clock that steps back
        return Forecast(has_ended, str(error), {}, [], "")
    samples = {sample.node: sample for sample in found if sample.rank == NODE_RANK}
    told = [one for one in told if one.node in samples]
    names = list(dict.fromkeys(one.node for one in told))
    charts = [
        make_chart(one, samples[one.node], first_s)
        for one in told
        if one.node in names[:MOST]
    ]
    more = len(names) - MOST
    said = say_count(more, "more node") if more > 0 else ""
    return Forecast(has_ended, "", LINES, charts, said)


def make_chart(told: NodeForecast, samples: Samples, first_s: float) -> TargetChart:
    """Draw one target of a node, and say what it says and who foretold it."""
    name = f"{TITLES[told.target]} of {shorten(told.node)}"
    said = say_forecast(told, float(samples.clock_s[-1]), first_s)
    by = BY.get(told.by, f"Told by {told.by}.")
    return TargetChart(draw_forecast(told, samples, first_s, name), f"{said} {by}")


def draw_forecast(
    told: NodeForecast, samples: Samples, first_s: float, name: str
) -> Markup:
    """Return the chart: the windows that were measured, and those that are foretold."""
    size, unit = (2.0**30, "GiB") if told.target == "memory" else (1.0, "cores")
    width_s = told.width_s
    begins_s, used = get_measured(told, samples)
    begins_s, used, made_s = begins_s - first_s, used / size, told.made_s - first_s
    ahead_s = np.array(told.ends_s) - width_s - first_s
    p50, p90 = np.array(told.p50) / size, np.array(told.p90) / size
    span = (
        float(min([*begins_s, *ahead_s])),
        float(max([*begins_s, *ahead_s]) + width_s),
    )
    high = 1.08 * max([*used[~np.isnan(used)], *p90, told.last / size]) or 1.0
    x, y = FRAME.make_x(*span), FRAME.make_y(0, high)
    seconds, time_name = get_time_unit(span[1])
    parts = [draw_rows(y, (0, high), FRAME, about=4)]
    for at, low, top in zip(ahead_s, p50, p90, strict=True):
        edges = x(at), x(at + width_s)
        box = edges[0], y(top), edges[1] - edges[0], max(y(low) - y(top), 1)
        said = f"{low:.3g} {unit}, at most {top:.3g} in nine of ten cases"
        parts.append(draw_rect(*box, "band", said))
    same = y(told.last / size)
    parts += [
        draw_path(join_steps(x, y, begins_s, width_s, used), "truth"),
        draw_path(join_steps(x, y, ahead_s, width_s, p50), "told"),
        draw_line(x(made_s), same, x(ahead_s[-1] + width_s), same, "same"),
        draw_line(x(made_s), FRAME.top, x(made_s), FRAME.bottom, "now"),
        draw_ticks(x, span, FRAME, about=6, unit=seconds),
        draw_text(FRAME.left, 14, f"{name}, {unit}", "strong"),
        draw_text(
            (FRAME.left + FRAME.right) / 2,
            HEIGHT - 8,
            f"time since the first sample, {time_name}",
            "middle soft",
        ),
    ]
    return make_svg(WIDTH, HEIGHT, f"{name}: measured and foretold", "".join(parts))


def get_measured(told: NodeForecast, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Return begin and value of the last windows before the forecast, and of since.

    The windows lie as those of the forecast do.
    """
    s = samples
    values = make_windows(s.clock_s, s.cpu_s, s.memory_bytes, width_s=told.width_s)
    begins_s = s.clock_s[0] + told.width_s * np.arange(len(values))
    first_s = told.made_s - SEEN * told.width_s
    is_near = (begins_s >= first_s - 1e-6) & (begins_s < told.ends_s[-1] - 1e-6)
    return begins_s[is_near], values[is_near, TARGETS.index(told.target)]
