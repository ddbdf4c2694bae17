"""The page of a comparison: counts, what was asked differently, scores, changes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from hpc_connector.report.axes import (
    CHART,
    HEIGHT,
    WIDTH,
    draw_axis_names,
    draw_rows,
    draw_ticks,
)
from hpc_connector.report.page import render_page
from hpc_connector.report.svg import draw_circle, draw_line, make_svg
from hpc_connector.report.text import shorten
from metabolite_annotation.compare.counts import count_changes
from metabolite_annotation.compare.runs import Run, list_cautions, list_differences
from metabolite_annotation.compare.table import (
    CHANGES,
    GAINED,
    LOST,
    SHARED,
    Table,
    list_texts,
    name_changes,
)

MOST_ROWS = 500  # of each kind of change
MOST_DOTS = 5000
TITLES = {
    LOST: "Lost",
    GAINED: "Gained",
    SHARED: "Shared, those first whose score changed most",
}
Row = tuple[str, ...]


class Change(NamedTuple):
    """Annotations of one kind, the first of them as rows of text."""

    title: str
    kind: str
    n: int
    rows: list[Row]


class Pair(NamedTuple):
    """The first run and another.

    Parameters
    ----------
    picture
        Scores of what both report, None without any.
    """

    name: str
    n_both: int
    picture: Markup | None
    changes: list[Change]


def make_page(runs: Sequence[Run], table: Table, fdr: float) -> str:
    """Return the page."""
    values: dict[str, Any] = {
        "first": runs[0].name,
        "names": [run.name for run in runs],
        "datasets": [get_dataset(run) for run in runs],
        "level": f"{100 * fdr:g} %",
        "counts": count_changes(runs, table),
        "n_all": int(table.counts.all(axis=0).sum()),
        "n_any": len(table.keys),
        "cautions": list_cautions(runs),
        "differences": list_differences(runs),
        "pairs": [make_pair(runs, table, n) for n in range(1, len(runs))],
        "kinds": list_kinds(runs),
        "most_rows": MOST_ROWS,
        "most_dots": MOST_DOTS,
    }
    return render_page("metabolite_annotation.compare", "compare.html", **values)


def list_kinds(runs: Sequence[Run]) -> dict[str, str]:
    """Return the names of colours, each with its class."""
    kinds = {kind: kind for kind in (SHARED, LOST, GAINED)}
    return kinds if len(runs) == 2 else kinds | {"in a third run": "neither"}


def get_dataset(run: Run) -> str:
    """Return the name of the dataset of a run, nothing where it is not recorded."""
    found = run.record.get("dataset")
    return str(found.get("name", "")) if isinstance(found, dict) else ""


def make_pair(runs: Sequence[Run], table: Table, run: int) -> Pair:
    """Return what became of the annotations of the first run in another."""
    changes = name_changes(table, run)
    scores = table.values["score"][[0, run]]
    both = np.isfinite(scores).all(axis=0)
    n_both = int(both.sum())
    label = f"Scores of {runs[0].name} and {runs[run].name}"
    dots = np.flatnonzero(both)[:MOST_DOTS]
    names = [f"{formula}{adduct}" for _, formula, adduct in table.keys]
    picture = draw_scores(
        scores[:, dots],
        changes[dots],
        [names[n] for n in dots],
        (runs[0].name, runs[run].name),
        label,
    )
    listed = [list_change(runs, table, run, changes, kind) for kind in CHANGES]
    return Pair(runs[run].name, n_both, picture if n_both else None, listed)


def list_change(
    runs: Sequence[Run], table: Table, run: int, changes: np.ndarray, kind: str
) -> Change:
    """Return the annotations of one kind of change."""
    (rows,) = np.nonzero(changes == kind)
    if kind == SHARED:
        change = table.values["score"][run] - table.values["score"][0]
        rows = rows[np.argsort(-abs(change[rows]), kind="stable")]
    molecules = list(list_texts(runs, table, "molecule_names"))
    shown = [_make_row(table, run, n, molecules[n]) for n in rows[:MOST_ROWS].tolist()]
    return Change(TITLES[kind], kind, len(rows), shown)


def _make_row(table: Table, run: int, n: int, molecules: str) -> Row:
    """Return what the page says of an annotation."""
    database, formula, adduct = table.keys[n]
    pair = [0, run]
    mz = float(np.nanmin(table.values["mz"][:, n]))
    score, fdr = table.values["score"][pair, n], table.values["fdr"][pair, n]
    return (
        f"{formula} {adduct}",
        say_molecules(molecules),
        database,
        f"{mz:.4f}",
        *(f"{v:.3f}" if np.isfinite(v) else "" for v in score),
        f"{score[1] - score[0]:+.3f}" if np.isfinite(score).all() else "",
        *(f"{100 * v:.1f} %" if np.isfinite(v) else "" for v in fdr),
    )


def say_molecules(names: str) -> str:
    """Return the first of some names, and how many more there are."""
    first, *others = names.split("; ")
    more = f" and {len(others)} more" if others else ""
    return f"{shorten(first, 60)}{more}"


def draw_scores(
    scores: np.ndarray,
    changes: np.ndarray,
    names: Sequence[str],
    axes: tuple[str, str],
    label: str,
) -> Markup:
    """Return the scores of two runs against each other.

    Parameters
    ----------
    scores
        Shape (2, n).
    changes, names
        Of the annotations, (n,).
    """
    limits = (
        min(0.0, float(scores.min(initial=0))),
        max(1.0, float(scores.max(initial=1))),
    )
    x, y = CHART.make_x(*limits), CHART.make_y(*limits)
    parts = [draw_rows(y, limits), draw_ticks(x, limits, has_grid=True)]
    parts += draw_axis_names(f"score in {axes[0]}", f"score in {axes[1]}")
    parts.append(
        draw_line(x(limits[0]), y(limits[0]), x(limits[1]), y(limits[1]), "limit")
    )
    for (before, after), kind, name in zip(
        scores.T.tolist(), changes, names, strict=True
    ):
        said = f"{name}: {before:.3f}, {after:.3f}"
        parts.append(
            draw_circle(x(before), y(after), 3, f"dot {kind or 'neither'}", said)
        )
    return make_svg(WIDTH, HEIGHT, label, "".join(parts))
