"""Annotations of a run as MetaboLights asks for them: a metabolite annotation file.

The 21 columns of version 2 for mass spectrometry, and one a sample. What an image of
mass spectrometry cannot tell stays empty: structures, retention times, fragments.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput

COLUMNS = (
    *("database_identifier", "chemical_formula", "smiles", "inchi"),
    *("metabolite_identification", "mass_to_charge", "fragmentation", "modifications"),
    *("charge", "retention_time", "taxid", "species", "database", "database_version"),
    *("reliability", "uri", "search_engine", "search_engine_score"),
    *("smallmolecule_abundance_sub", "smallmolecule_abundance_stdev_sub"),
    "smallmolecule_abundance_std_error_sub",
)
ANNOTATIONS = "annotations.tsv"
NUMBERS = ("mz", "mz_err_abs", "score", "fdr", "total_intensity")
TEXTS = ("formula", "adduct", "database", "molecule_names", "molecule_ids")
OURS, THEIRS = "; ", "|"  # between molecules that no spectrum tells apart
SIGNS = {"positive": "+", "negative": "-"}
Row = Mapping[str, str]


class Made(NamedTuple):
    """Rows of a file, and how many annotations were left out."""

    rows: list[list[str]]
    left_out: int


def read_annotations(run: Path) -> list[Row]:
    """Return the annotations of a run, the best first.

    Raises
    ------
    BadInput
        There are none to read.
    """
    path = run / ANNOTATIONS
    try:
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise BadInput(
            f"{path} cannot be read: expected annotations of a run, not encrypted"
        ) from None
    header = lines[0].split("\t")
    if missing := {*NUMBERS, *TEXTS} - set(header):
        raise BadInput(f"{path}, line 1: has no column {', '.join(sorted(missing))}")
    found: list[Row] = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise BadInput(
                f"{path}, line {number}: {len(cells)} fields: expected {len(header)}"
            )
        found.append(dict(zip(header, cells, strict=True)))
        _check_numbers(found[-1], f"{path}, line {number}")
    return found


def _check_numbers(one: Row, where: str) -> None:
    for name in NUMBERS:
        try:
            finite = math.isfinite(float(one[name]))
        except ValueError:
            finite = False
        if not finite:
            raise BadInput(f"{where}: {name} {one[name]}: expected a number")


def make_rows(
    annotations: Iterable[Row], *, polarity: str, engine: str, fdr: float, species: str
) -> Made:
    """Return the rows of annotations within a rate, with the intensity in one sample.

    Parameters
    ----------
    engine
        Program with version.
    fdr
        Greatest rate, to two digits, as runs are compared.
    species
        Of the sample, empty where it is not known.
    """
    every = list(annotations)
    within = [one for one in every if np.round(float(one["fdr"]), 2) <= fdr]
    rows = [_make_row(one, polarity, engine, species) for one in within]
    return Made(rows, len(every) - len(within))


def _make_row(one: Row, polarity: str, engine: str, species: str) -> list[str]:
    """Return a row; the m/z is that of the peaks, and so theirs and not the ion's."""
    sign = SIGNS.get(polarity, "")
    adduct = one["adduct"]
    told = {
        "database_identifier": one["molecule_ids"].replace(OURS, THEIRS),
        "chemical_formula": one["formula"],
        "metabolite_identification": one["molecule_names"].replace(OURS, THEIRS)
        or one["formula"],
        "mass_to_charge": f"{float(one['mz']) + float(one['mz_err_abs']):.6f}",
        "modifications": adduct if "[" in adduct else f"[M{adduct}]{sign}",
        "charge": f"{sign}1" if sign == "-" else "1",
        "species": species,
        "database": one["database"],
        "search_engine": engine,
        "search_engine_score": one["score"],
    }
    return [*(told.get(name, "") for name in COLUMNS), one["total_intensity"]]


def format_rows(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield lines; a field is quoted where it would be read otherwise."""
    for row in rows:
        yield "\t".join(map(_quote, row)) + "\n"


def _quote(text: str) -> str:
    if text.startswith('"') or any(mark in text for mark in "\t\r\n"):
        return '"' + text.replace('"', '""') + '"'
    return text
