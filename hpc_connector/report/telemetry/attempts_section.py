"""The part of a run's page that draws what its job held beside what it used."""

from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup

from hpc_connector.cluster.accounting import complete, list_attempts, rate
from hpc_connector.report.axes import Frame, draw_rows, draw_ticks, get_time_unit
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.svg import draw_rect, draw_text, make_svg
from hpc_connector.run_record import Attempt, RunRecord

WIDTH, HEIGHT = 520, 220
FRAME = Frame(52, 26, WIDTH - 12, HEIGHT - 44)
MOST = 50  # attempts that are drawn, the last ones
LEGEND = {"held by the job": "held", "used": "used"}


class Use(NamedTuple):
    """What was used of what was held; without a share, what was held is not known."""

    used: str
    held: str
    share: float | None


class AttemptRow(NamedTuple):
    """An attempt in numbers: what Slurm says of it, and what it used."""

    said: list[str]
    uses: list[Use]


class Attempts(NamedTuple):
    """The part of the page.

    Parameters
    ----------
    pictures
        Of cores and of memory, each only where there is some.
    classes
        Of what they show.
    """

    pictures: list[Markup]
    classes: dict[str, str]
    rows: list[AttemptRow]


def get_attempts(record: RunRecord) -> Attempts | None:
    """Return the last attempts, by what they held and used; None without any."""
    attempts = [complete(attempt) for attempt in list_attempts(record)][-MOST:]
    if not attempts:
        return None
    pictures = [
        draw_held("cores", attempts, lambda one: one["cores"], get_mean_cores),
        draw_held(
            "memory of a node, GiB",
            attempts,
            lambda one: one["node_mem_bytes"] / 2**30,
            lambda one: get_node_bytes(one) / 2**30,
        ),
    ]
    rows = [make_row(attempt) for attempt in attempts]
    return Attempts([drawn for drawn in pictures if drawn], LEGEND, rows)


def get_mean_cores(attempt: Attempt) -> float:
    """Return the cores that an attempt used in the mean."""
    return attempt["cpu_s"] / attempt["elapsed_s"] if attempt["elapsed_s"] else 0.0


def get_node_bytes(attempt: Attempt) -> float:
    """Return the memory that an attempt used on a node, as seff counts it."""
    tasks, nodes = max(attempt["max_rss_tasks"], 1), max(attempt["n_nodes"], 1)
    return float(attempt["max_rss_bytes"]) * tasks / nodes


def draw_held(
    name: str,
    attempts: list[Attempt],
    get_held: Callable[[Attempt], float],
    get_used: Callable[[Attempt], float],
) -> Markup | None:
    """Return areas over the time of all attempts, None where none has any."""
    end_s = float(sum(one["elapsed_s"] for one in attempts))
    values = [(get_held(one), get_used(one)) for one in attempts]
    high = 1.08 * max(map(max, values))
    if not end_s or not high:
        return None
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
            parts.append(draw_rect(*box, kind, said))
    middle = (FRAME.left + FRAME.right) / 2
    parts += [
        draw_ticks(x, (0, end_s), FRAME, about=6, unit=size),
        draw_text(FRAME.left, 14, name, "strong"),
        draw_text(middle, HEIGHT - 8, f"time held, {unit}", "middle soft"),
    ]
    return make_svg(WIDTH, HEIGHT, f"{name}: held and used", "".join(parts))


def make_row(attempt: Attempt) -> AttemptRow:
    """Return an attempt in numbers."""
    shares = rate(attempt)
    time_s, held_s = attempt["elapsed_s"], attempt["cores"] * attempt["elapsed_s"]
    node_bytes, limit_bytes = get_node_bytes(attempt), attempt["node_mem_bytes"]
    time, limit = format_duration(time_s), format_duration(attempt["limit_s"])
    cpu, held = format_duration(attempt["cpu_s"]), format_duration(held_s)
    memory, most = format_bytes(node_bytes), format_bytes(limit_bytes)
    return AttemptRow(
        [str(attempt.get(name) or "-") for name in ("job", "state", "nodes")],
        [
            Use(time, limit, shares["time_efficiency"]),
            Use(cpu, held, shares["cpu_efficiency"]),
            Use(memory, most, shares["memory_efficiency"]),
        ],
    )
