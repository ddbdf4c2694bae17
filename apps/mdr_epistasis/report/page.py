"""report.html of an MDR run: one page, from results.h5 and the manifest alone."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from hpc_connector.actions.counts import Row, read_counts
from hpc_connector.report.actions import list_actions
from hpc_connector.report.facts import list_facts, list_inputs
from hpc_connector.report.page import render_page, save_page
from hpc_connector.report.text import shorten
from mdr_epistasis.report import genome, summary, tables, trait
from mdr_epistasis.report.cells import draw_cells
from mdr_epistasis.report.charts import (
    WORDS,
    draw_errors,
    draw_permutations,
    draw_scatter,
    get_line,
)
from mdr_epistasis.report.network import draw_network
from mdr_epistasis.report.run_file import SearchRun, read_run
from mdr_epistasis.report.sites import list_sites

PARTS = (
    "cohort",
    "trait",
    "search",
    "parameters",
    "confidential",
    "resources",
    "software",
)
SHOWN_ROWS = 20  # as in page.css
SHOWN_CELLS = {2: 6, 3: 3}  # by order
SHOWN_ARCS = 20


class Cells(NamedTuple):
    """The genotype combinations of a model, a panel a genotype of a third variant.

    Parameters
    ----------
    ids
        Of the variants.
    alone, whole
        Balanced accuracy on all data, of each variant and of all.
    """

    ids: list[str]
    panels: list[Markup]
    alone: str
    whole: str


def save_report(directory: Path) -> Path:
    """Write ``report.html`` of a finished run, published by rename.

    Raises
    ------
    BadInput
        The folder holds no finished run, or a damaged one.
    """
    page = make_page(read_run(directory), read_counts(directory))
    return save_page(directory / "report.html", page)


def make_page(run: SearchRun, moved: list[Row] | None = None) -> str:
    """Fill ``page.html`` with what a run found, and what its actions moved."""
    values = {
        "run": run,
        "name": shorten(run.get_name(run.best), 60),
        "finished": str(run.record.get("finished", ""))[:10],
        "kind": summary.get_kind(run),
        "trait": trait.get_name(run) if run.is_scored else "",
        "trait_kind": trait.get_kind(run),
        "coefficients": trait.list_coefficients(run),
        "ratio": trait.get_ratio_name(run),
        "ranked_by": WORDS[run.rank_by],
        "facts": list_facts(run.record | trait.get_facts(run), PARTS),
        "inputs": list_inputs(run.record),
        "actions": list_actions(moved),
        "federation": list_sites(run),
    }
    parts = (_get_header(run), _get_table(run), _get_charts(run), _get_pictures(run))
    for part in parts:
        values |= part
    return render_page("mdr_epistasis.report", "page.html", **values)


def get_shown(run: SearchRun, most: int) -> list[int]:
    """Return the models to draw: the best, and the first of the list."""
    first = [m for m in range(len(run.score)) if m != run.best]
    return [run.best, *first[: most - 1]]


def _get_header(run: SearchRun) -> dict[str, Any]:
    return {
        "stands_out": summary.stands_out(run),
        "search": summary.say_search(run),
        "best": summary.get_best(run),
        "tiles": summary.list_tiles(run),
        "cautions": summary.list_cautions(run),
    }


def _get_table(run: SearchRun) -> dict[str, Any]:
    columns = tables.list_columns(run)
    set_heads, set_rows = tables.list_sets(run)
    return {
        "set_heads": set_heads,
        "set_rows": set_rows,
        "heads": {name: tables.HEADS[name] for name in columns},
        "rows": tables.list_rows(run, columns),
        "first_rows": SHOWN_ROWS,
        "most_rows": tables.MOST_ROWS,
    }


def _get_charts(run: SearchRun) -> dict[str, Any]:
    """Return accuracies and permutations drawn, None where there are none."""
    has_test = run.folds > 1 and not np.isnan(run.score).all()
    line = get_line(run)
    counts = run.get_part("all_models").get("errors", [])
    return {
        "scatter": draw_scatter(run) if has_test and len(run.score) > 1 else None,
        "permutations": draw_permutations(run) if len(run.maximum) else None,
        "line": "" if line is None else f"{line:.3f}",
        "errors": draw_errors(counts) if any(counts) else None,
        "n_models": sum(counts),
    }


def _get_pictures(run: SearchRun) -> dict[str, Any]:
    """Return models drawn, one by one and together; None of a map without places."""
    placed = genome.get_placed(run, SHOWN_ARCS)
    joined = get_shown(run, SHOWN_ARCS)
    return {
        "cells": [_make_cells(run, m) for m in get_shown(run, SHOWN_CELLS[run.order])],
        "genome": genome.draw_genome(run, placed) if placed else None,
        "n_placed": len(placed),
        "network": draw_network(run, joined) if len(joined) > 1 else None,
        "n_joined": len(joined),
    }


def _make_cells(run: SearchRun, model: int) -> Cells:
    values = summary.get_alone(run, model)
    alone = ", ".join(f"{value:.3f}" for value in values) if run.has_tables else ""
    whole = f"{run.models['balanced_accuracy'][model]:.3f}"
    return Cells(run.get_ids(model), draw_cells(run, model), alone, whole)
