"""The best models of a search in short: for a terminal, and for a notebook."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpc_connector.report.page import render_table

SHOWN = 10
HEADS = {
    "test_balanced_accuracy": "test BA",
    "train_balanced_accuracy": "train BA",
    "cv_consistency": "CVC",
    "balanced_accuracy": "whole BA",
    "odds_ratio": "odds ratio",
    "effect": "effect",
    "p_value": "p",
    "p_value_within_sites": "p within sites",
}


def list_top(table: Mapping[str, Any], order: int) -> list[dict[str, Any]]:
    """Return the first models of a table: rank, ids of variants, and some statistics.

    Parameters
    ----------
    table
        Columns of ``models.tsv``.
    order
        Variants of a model.
    """
    return [
        {"rank": int(table["rank"][row]), "variants": get_ids(table, order, row)}
        | {name: to_number(table[name][row]) for name in HEADS if name in table}
        for row in range(min(SHOWN, len(table["rank"])))
    ]


def get_ids(table: Mapping[str, Any], order: int, row: int) -> list[str]:
    """Return the ids of the variants of a model."""
    return [str(table[f"variant_{k + 1}"][row]) for k in range(order)]


def format_top(top: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of models."""
    models = [" x ".join(row["variants"]) for row in top]
    width = max(map(len, models), default=0)
    shown = [name for name in HEADS if not top or name in top[0]]
    heads = "  ".join(f"{HEADS[name]:>10}" for name in shown)
    lines = [f"{'rank':>4}  {'model':<{width}}  {heads}"]
    for model, row in zip(models, top, strict=True):
        values = "  ".join(f"{format_short(row[name]):>10}" for name in shown)
        lines.append(f"{row['rank']:>4}  {model:<{width}}  {values}")
    return lines


def make_html(top: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return a table of models in HTML."""
    shown = [name for name in HEADS if not top or name in top[0]]
    rows = [
        [str(row["rank"]), " x ".join(row["variants"])]
        + [format_short(row[name]) for name in shown]
        for row in top
    ]
    heads = ["rank", "model", *(HEADS[name] for name in shown)]
    return render_table(heads, rows, caption)


def to_number(value: Any) -> float | int | None:
    """Return a plain number; None for NaN."""
    if math.isnan(value):
        return None
    return int(value) if isinstance(value, int | np.integer) else float(value)


def format_short(value: float | int | None) -> str:
    """Return a number in a few digits."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
