"""What the script of an annotation report works on."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metabolite_annotation.report.images import (
    Packed,
    ReducedGrid,
    pack_mask,
    pack_total,
)
from metabolite_annotation.report.run_file import NUMBERS, AnnotationRun

MOST_ROWS = 5000
MOST_NAMES = 100  # of the molecules of one annotation
DIGITS = {
    "mz": 5,
    "fdr": 5,
    "fdr_level": 2,
    "mz_err_abs": 6,
    "mz_err_rel": 6,
    "total_intensity": 0,
    "max_intensity": 0,
}
SIGNS = {"positive": "+", "negative": "-", "+": "+", "-": "-"}
TEXTS = ("formula", "adduct", "ion", "database", "isomers", "isobars")


def make_data(
    run: AnnotationRun, grid: ReducedGrid, images: Mapping[int, Packed]
) -> dict[str, Any]:
    """Return columns, peaks and pictures of the annotations that the page lists."""
    return {
        "columns": make_columns(run),
        "peaks": make_peaks(run),
        "tops": {ion: _shorten(packed.tops) for ion, packed in images.items()},
        "total": pack_total(run, grid)._asdict(),
        "box": {
            "width": grid.width,
            "height": grid.height,
            "block": grid.block,
            "mask": pack_mask(grid),
        },
        "sign": SIGNS.get(run.polarity.lower(), ""),
    }


def _shorten(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def make_columns(run: AnnotationRun) -> dict[str, list[Any]]:
    """Return the annotations column by column."""
    rows = {name: column[:MOST_ROWS] for name, column in run.rows.items()}
    columns: dict[str, list[Any]] = {name: rows[name].tolist() for name in TEXTS}
    for name in NUMBERS:
        columns[name] = _round(rows[name], DIGITS.get(name, 4))
    columns["ppm_error"] = _round(run.ppm_errors[:MOST_ROWS], 3)
    columns["names"] = [_cut(text.split("; ")) for text in rows["molecule_names"]]
    columns["ids"] = [_cut(text.split(";")) for text in rows["molecule_ids"]]
    return columns


def _round(values: np.ndarray, digits: int) -> list[Any]:
    """Return numbers that JSON can hold; NaN becomes null."""
    if values.dtype.kind in "iu":
        return values.tolist()
    rounded = values.astype(np.float64).round(digits).ravel().tolist()
    return [v if np.isfinite(v) else None for v in rounded]


def _cut(names: list[str]) -> list[str]:
    """Return the first of the names, and how many more there are."""
    known = [name.strip() for name in names if name.strip()]
    more = len(known) - MOST_NAMES
    return known[:MOST_NAMES] + ([f"and {more:,} more"] if more > 0 else [])


def make_peaks(run: AnnotationRun) -> dict[int, dict[str, list[Any]]]:
    """Return the columns of the four peaks of each ion that is listed."""
    digits = {"mz": 5, "mz_mean": 5, "theoretical_intensity": 3, "total_intensity": 0}
    return {
        ion: {name: _round(run.peaks[name][ion], digits[name]) for name in digits}
        for ion in dict.fromkeys(run.rows["image"][:MOST_ROWS].tolist())
    }
