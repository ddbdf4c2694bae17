"""The page of runs that go on, which loads itself again until they are over."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.report.page import render_page, save_page
from hpc_connector.report.telemetry.page import draw_charts, say_more
from hpc_connector.report.telemetry.timeline_picture import (
    MOST_NODES,
    SHADES,
    draw_ranks,
)
from hpc_connector.report.text import say_count
from hpc_connector.telemetry.live.view import (
    HEADS,
    NONE,
    View,
    add_up,
    list_cells,
    say_run,
)
from hpc_connector.telemetry.timeline import Timeline

MOST_RANKS = 64  # drawn: a page is loaded every few seconds
TILES = {  # what stands in large, by column
    "cores": "cores in use",
    "memory": "memory in use",
    "read": "read a second",
    "written": "written a second",
    "watts": "watts",
}


def save_live_page(path: Path, view: View, every_s: float) -> None:
    """Write the page of a moment, published by rename; the last one stays as it is.

    Parameters
    ----------
    every_s
        After which it loads itself again.
    """
    save_page(path, make_live_page(view, every_s))


def make_live_page(view: View, every_s: float) -> str:
    """Fill ``live.html`` with what runs use now."""
    rows = [list_cells(one, view.told.get(one.node, {})) for one in view.figures]
    names = [n for n in HEADS if any(row[n] != NONE for row in rows)]
    total = list_cells(add_up(view.figures, "all"), {})
    at = datetime.fromtimestamp(view.time_s).astimezone()
    n_ranks = sum(one.ranks for one in view.figures)
    return render_page(
        "hpc_connector.report.telemetry",
        "live.html",
        every_s=0 if view.is_over else max(1, round(every_s)),
        at=at.strftime("%Y-%m-%d %H:%M:%S"),
        n_nodes=say_count(len(rows), "node"),
        n_ranks=say_count(n_ranks, "rank"),
        runs=[say_run(state) for state in view.states],
        figures=[(said, total[k]) for k, said in TILES.items() if k in names],
        silent=[row["node"] for row in rows if row["state"].startswith("silent")],
        heads=[HEADS[name] for name in names],
        rows=[[row[name] for name in names] for row in rows],
        states=[one.state for one in view.figures],
        **get_pictures(view.timeline),
    )


def get_pictures(timeline: Timeline | None) -> dict[str, Any]:
    """Return the last minutes drawn, None and nothing where nothing has come."""
    if timeline is None:
        return {"busy": None, "charts": [], "shades": (), "more": []}
    shown = timeline._replace(ranks=timeline.ranks[:MOST_RANKS])
    most = max(1.0, float(np.nanmax(shown.ranks, initial=0)))
    more = [
        say_more(len(timeline.ranks) - MOST_RANKS, "more rank"),
        say_more(len(timeline.nodes) - MOST_NODES, "more node"),
    ]
    return {
        "busy": draw_ranks(shown, most) if len(shown.ranks) else None,
        "charts": draw_charts(timeline, (0.0, 0.0)),
        "shades": range(SHADES + 1),
        "more": more,
    }
