"""report.html of a metabolite-annotation run: one page, from its files alone."""

from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from hpc_connector.report.facts import list_facts, list_inputs
from hpc_connector.report.page import render_page, save_page
from hpc_connector.report.text import shorten
from metabolite_annotation.report import summary
from metabolite_annotation.report.charts import (
    HUES,
    MOST_DOTS,
    draw_curve,
    draw_errors,
    draw_scores,
    get_level_class,
)
from metabolite_annotation.report.data import MOST_ROWS, make_data
from metabolite_annotation.report.images import (
    MOST_IONS,
    choose_grid,
    get_shown_ions,
    pack_ions,
)
from metabolite_annotation.report.run_file import (
    LEVELS,
    AnnotationRun,
    read_annotation_run,
)

PARTS = ("dataset", "annotation", "parameters", "resources", "software")
SCRIPTS = (
    "elements",
    "data",
    "colours",
    "state",
    "filters",
    "table",
    "viewer",
    "panel",
    "dataset",
    "regions",
    "main",
)


class Scores(NamedTuple):
    """The scores of an adduct and a database, drawn, and how many there are."""

    picture: Markup
    label: str
    n_targets: int
    n_decoys: int


def save_report(directory: Path) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Raises
    ------
    BadInput
        The folder holds no finished run, or a damaged one.
    """
    page = make_page(read_annotation_run(directory))
    return save_page(directory / "report.html", page)


def make_page(run: AnnotationRun) -> str:
    """Fill ``view/page.html`` with what was annotated."""
    grid = choose_grid(run, len(get_shown_ions(run)))
    images = dict(pack_ions(run, grid))
    values = {
        "run": run,
        "name": shorten(run.dataset, 60),
        "finished": str(run.record.get("finished", ""))[:10],
        "levels": {level: summary.format_level(level) for level in LEVELS},
        "data": make_data(run, grid, images),
        "images": images.items(),
        "block": grid.block,
        "scripts": SCRIPTS,
        "facts": list_facts(run.record, PARTS),
        "inputs": list_inputs(run.record),
    }
    for part in (_get_header(run), _get_browser(run), _get_charts(run)):
        values |= part
    return render_page("metabolite_annotation.report", "view/page.html", **values)


def _get_header(run: AnnotationRun) -> dict[str, Any]:
    return {
        "heading": summary.make_heading(run),
        "measured": summary.say_dataset(run),
        "ions": summary.count_ions(run),
        "sources": summary.say_sources(run),
        "tiles": summary.list_tiles(run),
        "counts": summary.count_by_database(run),
        "cautions": summary.list_cautions(run),
        "method": summary.get_method(run),
    }


def _get_browser(run: AnnotationRun) -> dict[str, Any]:
    """Return the limits of the list that the script fills, None where all is in it."""
    has_more_ions = len(set(run.rows["image"].tolist())) > MOST_IONS
    return {
        "most_ions": MOST_IONS if has_more_ions else None,
        "most_rows": MOST_ROWS if len(run) > MOST_ROWS else None,
    }


def _get_charts(run: AnnotationRun) -> dict[str, Any]:
    """Return pictures and legends of all annotations, None or empty without any."""
    has_errors = len(summary.get_trusted_errors(run)) > 0
    classes = {
        f"≤ {summary.format_level(level)} FDR": get_level_class(level)
        for level in LEVELS
    }
    adducts = list(dict.fromkeys(run.rows["adduct"]))
    return {
        "errors": draw_errors(run) if has_errors else None,
        "error_classes": classes | {"above": "level100"},
        "shift": summary.get_shift(run),
        "most_dots": MOST_DOTS if len(run) > MOST_DOTS else None,
        "adduct_classes": {a: f"hue{k % HUES}" for k, a in enumerate(adducts)},
        "curves": {
            name: draw_curve(run, name, adducts)
            for name in dict.fromkeys(run.rows["database"])
        },
        "scores": _list_scores(run),
    }


def _list_scores(run: AnnotationRun) -> list[Scores]:
    """Return the scores of each database and adduct."""
    databases, modifiers = run.scores["database"], run.scores["target_modifier"]
    found = []
    for database, modifier in sorted(set(zip(databases, modifiers, strict=True))):
        is_here = (databases == database) & (modifiers == modifier)
        label = modifier if len(run.databases) == 1 else f"{modifier}, {database}"
        targets = run.scores["score"][is_here & run.scores["target"]]
        decoys = run.scores["score"][is_here & ~run.scores["target"]]
        picture = draw_scores(targets, decoys, label)
        found.append(Scores(picture, label, len(targets), len(decoys)))
    return found
