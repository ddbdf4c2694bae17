"""report.html of a metabolite-annotation run: one page, from its files alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from hpc_connector.actions.counts import Row, read_counts
from hpc_connector.report.actions import list_actions
from hpc_connector.report.facts import list_facts, list_inputs
from hpc_connector.report.page import render_page, save_page
from hpc_connector.report.text import shorten
from metabolite_annotation.options import PageOptions
from metabolite_annotation.report import summary
from metabolite_annotation.report.acquiring import get_acquiring
from metabolite_annotation.report.charts import (
    HUES,
    draw_curve,
    draw_scores,
    get_level_class,
)
from metabolite_annotation.report.columns import MOST_ROWS
from metabolite_annotation.report.data import make_data
from metabolite_annotation.report.extras import Extras, add_extras
from metabolite_annotation.report.failure import list_checks, list_steps
from metabolite_annotation.report.images import (
    Packed,
    choose_pictures,
    pack_ions,
)
from metabolite_annotation.report.run_file import (
    LEVELS,
    AnnotationRun,
    read_annotation_run,
)
from metabolite_annotation.report.search import list_search
from metabolite_annotation.report.words import WORDS

PARTS = (
    "dataset",
    "annotation",
    "parameters",
    "confidential",
    "resources",
    "software",
)
SCRIPTS = (
    "elements",
    "data",
    "names",
    "colours",
    "state",
    "groups",
    "lazy",
    "filters",
    "table",
    "gallery",
    "list",
    "stage",
    "viewer",
    "overlay",
    "controls",
    "optical",
    "download",
    "panel",
    "molecules",
    "isotopes",
    "errors",
    "scores",
    "related",
    "axes",
    "spectrum",
    "calibration",
    "dataset",
    "regions",
    "main",
    "acquiring",
)

TOLD = ("polarity", "instrument", "resolving power", "pixel size", "form of spectra")


class Scores(NamedTuple):
    """The scores of an adduct and a database, drawn, and how many there are."""

    picture: Markup
    label: str
    n_targets: int
    n_decoys: int


def save_report(
    directory: Path,
    options: PageOptions | None = None,
    pictures: Mapping[int, Packed] | None = None,
) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Parameters
    ----------
    options
        What the page is to have beyond what it has.
    pictures
        Of the ions that are shown, where ranks have packed them already; else they are
        read of the run's files, and are the same.

    Raises
    ------
    BadInput
        The folder holds no finished run, or a damaged one; or options that cannot be.
    """
    run, extras = add_extras(read_annotation_run(directory), options)
    page = make_page(run, extras, pictures, read_counts(directory))
    return save_page(directory / "report.html", page)


def make_page(
    run: AnnotationRun,
    extras: Extras = Extras(),  # noqa: B008
    pictures: Mapping[int, Packed] | None = None,
    moved: list[Row] | None = None,
) -> str:
    """Fill ``view/page.html`` with what was annotated; see :func:`save_report`."""
    x, y = run.pixels["x"], run.pixels["y"]
    chosen = choose_pictures(run.rows["image"], x, y, (run.width, run.height))
    images = (
        dict(pack_ions(run, chosen))
        if pictures is None
        else {ion: pictures[ion] for ion in chosen.ions}
    )
    acquiring = get_acquiring(run)
    values = {
        "run": run,
        "name": shorten(run.dataset, 60),
        "finished": str(run.record.get("finished", ""))[:10],
        "levels": {level: summary.format_level(level) for level in LEVELS},
        "data": make_data(run, chosen.grid, images, extras),
        "images": images.items(),
        "block": chosen.grid.block,
        "acquiring": acquiring,
        "scripts": [s for s in SCRIPTS if acquiring or s != "acquiring"],
        "facts": list_facts(run.record, PARTS, WORDS),
        "inputs": list_inputs(run.record),
        "actions": list_actions(moved),
    }
    for part in (_get_header(run), _get_browser(run, len(images)), _get_charts(run)):
        values |= part
    return render_page("metabolite_annotation.report", "view/page.html", **values)


def _get_header(run: AnnotationRun) -> dict[str, Any]:
    return {
        "heading": summary.make_heading(run),
        "search": list_search(run),
        "tiles": summary.list_tiles(run),
        "counts": summary.count_by_database(run),
        "cautions": summary.list_cautions(run, TOLD),
        "method": summary.get_method(run),
        "steps": [] if len(run) else list_steps(run),
        "checks": [] if len(run) else list_checks(run),
    }


def _get_browser(run: AnnotationRun, n_images: int) -> dict[str, Any]:
    """Return what the browser of annotations says of what it leaves out."""
    has_more_ions = len(set(run.rows["image"].tolist())) > n_images
    return {
        "most_ions": n_images if has_more_ions else None,
        "most_rows": MOST_ROWS if len(run) > MOST_ROWS else None,
    }


def _get_charts(run: AnnotationRun) -> dict[str, Any]:
    """Return pictures and legends of all annotations, None or empty without any."""
    classes = {
        f"≤ {summary.format_level(level)} FDR": get_level_class(level)
        for level in LEVELS
    }
    adducts = list(dict.fromkeys(run.rows["adduct"]))
    return {
        "level_classes": classes | {"above": "level100"},
        "shift": summary.get_shift(run),
        "adduct_counts": summary.count_by_adduct(run),
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
