"""The annotations as the script of a report has them: column by column."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.modifiers import read_adduct, read_modifier
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
TEXTS = ("formula", "adduct", "ion", "database", "isomers", "isobars")

Parts = tuple[str, str, str]  # modification, neutral loss and adduct


def make_columns(run: AnnotationRun, group: Mapping[int, int]) -> dict[str, list[Any]]:
    """Return the annotations column by column.

    Parameters
    ----------
    group
        Of some ions, the ion that stands for all with the same image.
    """
    rows = {name: column[:MOST_ROWS] for name, column in run.rows.items()}
    columns: dict[str, list[Any]] = {name: rows[name].tolist() for name in TEXTS}
    for name in NUMBERS:
        columns[name] = round_numbers(rows[name], DIGITS.get(name, 4))
    columns["ppm_error"] = round_numbers(run.ppm_errors[:MOST_ROWS], 3)
    columns["names"] = [_cut(text.split("; ")) for text in rows["molecule_names"]]
    columns["ids"] = [_cut(text.split(";")) for text in rows["molecule_ids"]]
    columns |= split_modifiers(run, columns["adduct"])
    columns["group"] = find_groups(columns["image"], group)
    labels = [f + a for f, a in zip(columns["formula"], columns["adduct"], strict=True)]
    for name in ("isomer", "isobar"):
        columns[f"{name}_rows"] = find_rows(
            labels, columns["database"], columns[f"{name}s"]
        )
    return columns


def round_numbers(values: np.ndarray, digits: int) -> list[Any]:
    """Return numbers that JSON can hold; NaN becomes null."""
    if values.dtype.kind in "iu":
        return values.tolist()
    rounded = values.astype(np.float64).round(digits).ravel().tolist()
    return [v if np.isfinite(v) else None for v in rounded]


def shorten_numbers(values: Iterable[float], digits: int = 7) -> list[float]:
    """Return numbers of so many significant digits."""
    return [float(f"{value:.{digits}g}") for value in values]


def _cut(names: list[str]) -> list[str]:
    """Return the first of the names, and how many more there are."""
    known = [name.strip() for name in names if name.strip()]
    more = len(known) - MOST_NAMES
    return known[:MOST_NAMES] + ([f"and {more:,} more"] if more > 0 else [])


def split_modifiers(run: AnnotationRun, whole: list[str]) -> dict[str, list[Any]]:
    """Return the modification, the neutral loss and the adduct of each annotation.

    Parameters
    ----------
    whole
        The three in one, as in ``-H2O+Na``.
    """
    known = get_modifiers(run)
    parts = [known.get(text, ("", "", text)) for text in whole]
    names = ("modification", "loss", "carrier")
    return {name: [p[k] for p in parts] for k, name in enumerate(names)}


def get_modifiers(run: AnnotationRun) -> dict[str, Parts]:
    """Return the parts of all that a run looked for, by the whole."""
    given, search = run.get_part("parameters"), run.get_part("search")
    adducts = _list_texts(search.get("adducts") or given.get("adducts"))
    losses, mods = (
        _list_texts(given.get(name)) for name in ("neutral_losses", "chem_mods")
    )
    known: dict[str, Parts] = {}
    try:
        parts = itertools.product(
            ["", *(read_modifier(text).text for text in mods)],
            ["", *(read_modifier(text).text for text in losses)],
            [read_adduct(text).text for text in adducts],
        )
    except ValueError:  # a manifest that no run has written
        return {}
    for three in parts:
        known.setdefault("".join(three), three)
    return known


def _list_texts(values: Any) -> list[str]:
    return [str(v) for v in values] if isinstance(values, list | tuple) else []


def find_groups(image: list[int], group: Mapping[int, int]) -> list[int]:
    """Return the first annotation with the same image, of each annotation."""
    first: dict[int, int] = {}
    return [first.setdefault(group.get(ion, ion), n) for n, ion in enumerate(image)]


def find_rows(
    labels: list[str], databases: list[str], others: list[str]
) -> list[list[int | None]]:
    """Return the row of each name in lists of names; None of one that is not listed.

    Parameters
    ----------
    labels
        The name of each row.
    others
        Names between semicolons, one list a row; the row of the same database counts
        before others.
    """
    first: dict[str | tuple[str, str], int] = {}
    for n, (label, database) in enumerate(zip(labels, databases, strict=True)):
        first.setdefault(label, n)
        first.setdefault((label, database), n)
    return [
        [
            first.get((name, database), first.get(name))
            for name in (part.strip() for part in text.split(";"))
            if name
        ]
        for text, database in zip(others, databases, strict=True)
    ]
