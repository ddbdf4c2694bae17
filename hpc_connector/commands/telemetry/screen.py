"""Where ``telemetry follow`` shows nodes: a table on a terminal, or lines."""

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hpc_connector.report.text import clean, say_count, shorten
from hpc_connector.telemetry.live.view import (
    HEADS,
    NONE,
    STARS,
    View,
    add_up,
    format_lines,
    list_cells,
    list_objects,
    list_recent,
    say_run,
)

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

logger = logging.getLogger(__name__)

GROUPS = (  # of columns, the first ones are shown first where there is no room for all
    ("node", "state", "cores", "memory"),
    ("ranks",),
    ("rank_cores",),
    ("rank_memory",),
    ("read", "written"),
    ("next_cores",),
    ("next_memory",),
    ("received", "sent"),
    ("watts",),
    ("recent",),
)
LEFT = ("node", "state", "recent")
BARS = "▁▂▃▄▅▆▇█"
RECENT = 24  # windows of 5 s
AROUND = 6  # lines that are no nodes
STYLES = {"live": "green", "silent": "bold red", "ended": "dim"}


@contextlib.contextmanager
def open_screen(as_json: bool) -> Iterator[Callable[[View], None]]:
    """Give what shows all nodes: as a table in place on a terminal, else as lines."""
    if as_json:
        yield lambda view: print_lines(map(json.dumps, list_objects(view)))
        return
    console = open_console()
    if console is None:
        yield lambda view: print_lines(format_lines(view))
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda view: live.update(draw(view, console), refresh=True)


def print_lines(lines: Any) -> None:
    """Print lines at once, whoever reads them."""
    for line in lines:
        print(line)
    sys.stdout.flush()


def open_console() -> "Console | None":
    """Return the terminal; None where there is none that moves its cursor."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console  # of an extra
    except ImportError:
        logger.info("a table needs rich: pip install 'hpc_connector[telemetry]'")
        return None
    console = Console()
    return None if console.is_dumb_terminal else console


def draw(view: View, console: "Console") -> "Group":
    """Return all that is shown: what runs do, and a table that fits the terminal."""
    from rich.console import Group
    from rich.text import Text

    lines = [Text(clean(say_run(state)), no_wrap=True) for state in view.states]
    if not view.figures:
        return Group(*lines, Text("no rows yet", style="dim"))
    rows = list_rows(view, max(1, console.height - AROUND - len(lines)))
    names = choose_columns(rows, console.width)
    has_stars = any("*" in HEADS.get(name, "") for name in names)
    foot = [Text(STARS, style="dim")] if has_stars else []
    return Group(*lines, draw_table(rows, names), *foot)


def draw_table(rows: list[dict[str, str]], names: list[str]) -> "Table":
    """Return a table of some columns; what a silent node has last told is dim."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in names:
        align: Any = "left" if name in LEFT else "right"
        table.add_column(HEADS.get(name, name), justify=align, no_wrap=True)
    for row in rows:
        style = STYLES.get(row["state"].split(" ")[0], "")
        dim = "dim" if style and style != STYLES["live"] else ""
        table.add_row(
            *(Text(row[name], style if name == "state" else dim) for name in names)
        )
    return table


def choose_columns(rows: list[dict[str, str]], width: int) -> list[str]:
    """Return the columns that say something, as many as fit."""
    chosen: list[str] = []
    for group in GROUPS:
        said = [n for n in group if any(row[n] != NONE for row in rows)]
        if get_width(rows, [*chosen, *said]) > width:
            break
        chosen += said
    order = [*HEADS, "recent"]
    return sorted(chosen or GROUPS[0], key=order.index)


def get_width(rows: list[dict[str, str]], names: list[str]) -> int:
    """Return the width of a table of some columns."""
    widths = [max(len(HEADS.get(n, n)), *(len(row[n]) for row in rows)) for n in names]
    return sum(widths) + 2 * len(names)


def list_rows(view: View, most: int) -> list[dict[str, str]]:
    """Return the words of each line: nodes, then the others and all of them together.

    Where there is no room for all nodes, silent ones are before the others.
    """
    nodes, rest = list(view.figures), []
    if len(nodes) > most:
        nodes.sort(key=lambda one: one.state != "silent")
        nodes, rest = nodes[:most], nodes[most:]
    recent = list_recent(view, RECENT)
    high = max((v for line in recent.values() for v in line if v == v), default=0.0)
    rows = []
    for one in nodes:
        cells = list_cells(one, view.told.get(one.node, {}))
        name = shorten(clean(one.node))
        rows.append(
            cells | {"node": name, "recent": draw_bars(recent.get(one.node, []), high)}
        )
    if rest:
        more = add_up(rest, f"and {say_count(len(rest), 'more node')}")
        rows.append(list_cells(more, {}) | {"recent": ""})
    if len(view.figures) > 1:
        total = add_up(view.figures, f"all {len(view.figures)}")
        rows.append(list_cells(total, {}) | {"recent": ""})
    return rows


def draw_bars(values: list[float], high: float) -> str:
    """Return a bar for each value, of eighths of a line; a space where there is none.

    Examples
    --------
    >>> draw_bars([0.0, 2.0, float("nan"), 4.0], 4.0)
    '▁▅ █'
    """
    top = len(BARS) - 1
    return "".join(
        BARS[round(top * value / high)] if value == value and high > 0 else " "
        for value in values
    )
