"""What the script of an annotation report works on."""

from typing import Any

import numpy as np

from metabolite_annotation.report.images import (
    Picture,
    choose_composite,
    encode_picture,
    make_pictures,
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

# Stops of a colour map whose OKLab lightness rises evenly, 0.22 to 0.93, from violet
# over blue and green to yellow: equal steps of intensity look equal, also in grey.
RAMP = """
#260046 #2e0a5a #351670 #382487 #343798 #2b4ca1 #1f60a4 #1174a6 #0386a6
#0697a5 #18a9a2 #31b99c #4ec990 #75d77e #a1e16a #cde85a #f7ee54
"""


def make_data(run: AnnotationRun) -> dict[str, Any]:
    """Return columns, peaks and pictures of the annotations that the page lists."""
    pictures, tic = make_pictures(run)
    return {
        "columns": make_columns(run),
        "peaks": make_peaks(run),
        "pictures": {
            ion: [_describe(p) if k == 0 or p.top else None for k, p in enumerate(four)]
            for ion, four in pictures.items()
        },
        "tic": _describe(tic),
        "composite": choose_composite(pictures, len(run.pixels["x"])),
        "ramp": RAMP.split(),
        "box": {"width": run.width, "height": run.height},
        "sign": SIGNS.get(run.polarity.lower(), ""),
    }


def _describe(picture: Picture) -> dict[str, Any]:
    return {"uri": encode_picture(picture), "top": float(f"{picture.top:.4g}")}


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
