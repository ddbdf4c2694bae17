"""Finished runs as they are compared: their annotations, and what they were asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.report.results_file import open_results
from hpc_connector.run_record import RunRecord
from metabolite_annotation import schema
from metabolite_annotation.export.found import read_columns
from metabolite_annotation.options import PROGRAM
from metabolite_annotation.result import load

NUMBERS = ("mz", "msm", "score", "fdr", "fdr_level", "total_intensity", "n_pixels")
TEXTS = ("database", "formula", "adduct", "ion", "molecule_names")
ASKED = {  # parts of a manifest, and what in them decides the annotations
    "dataset": ("name", "pixels", "peaks"),
    "search": ("polarity", "adducts", "instrument", "isocalc_sigma", "databases"),
    "parameters": (
        *("analysis_version", "ppm", "fdr", "decoys", "seed", "model", "slice"),
        *("neutral_losses", "chem_mods", "profile", "section"),
    ),
}
CAUTIONS = {
    "analysis version": "FDRs of analysis versions 1 and 3 do not compare.",
    "model": "Scores of different models, or of a model and MSM, do not compare.",
    "polarity": "The runs are of different polarities.",
}

Key = tuple[str, str, str]  # database, formula and adduct


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    name
        Of its folder, with as many of those above as tell the runs apart.
    rows
        Columns :data:`TEXTS` and :data:`NUMBERS` of its annotations, best first, (n,).
    place
        The row of each annotation; the database is nothing where any will do.
    """

    name: str
    record: RunRecord
    rows: Mapping[str, np.ndarray]
    place: Mapping[Key, int]


def read_runs(folders: Sequence[Path], *, any_database: bool) -> list[Run]:
    """Read the runs of some folders.

    Raises
    ------
    BadInput
        Fewer than two, one given twice, or a folder without a finished run.
    """
    if len(folders) < 2:
        raise BadInput(f"compare: expected two runs or more, found {len(folders)}")
    whole = [folder.resolve() for folder in folders]
    if twice := [one for one in whole if whole.count(one) > 1]:
        raise BadInput(f"compare: {twice[0]} is given twice: expected different runs")
    names = name_runs(whole)
    return [
        read_run(folder, name, any_database=any_database)
        for folder, name in zip(folders, names, strict=True)
    ]


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart.

    Examples
    --------
    >>> name_runs([Path("/data/a/out"), Path("/data/b/out")])
    ['a/out', 'b/out']
    """
    for n in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-n:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def read_run(folder: Path, name: str, *, any_database: bool) -> Run:
    """Read a finished run.

    Raises
    ------
    BadInput
        There is none, or it is damaged.
    """
    record = load(folder).record
    with open_results(folder, PROGRAM) as file:
        rows = read_columns(file, schema.ANNOTATIONS, (*TEXTS, *NUMBERS))
        _check(rows)
    places: dict[Key, int] = {}
    databases = ["" for _ in rows["mz"]] if any_database else rows["database"]
    keys = zip(databases, rows["formula"], rows["adduct"], strict=True)
    for row, key in enumerate(keys):
        places.setdefault(key, row)  # the first is the best
    return Run(name, record, rows, places)


def _check(rows: Mapping[str, np.ndarray]) -> None:
    """Raise where columns do not belong together."""
    lengths = {name: len(column) for name, column in rows.items()}
    if len(set(lengths.values())) > 1:
        raise BadInput(f"annotations: columns differ in length: {lengths}")


def list_differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return what the runs were asked differently, a value a run, by its name."""
    asked = [_list_asked(run.record) for run in runs]
    names = dict.fromkeys(name for one in asked for name in one)
    values = {name: [one.get(name, "") for one in asked] for name in names}
    return {name: said for name, said in values.items() if len(set(said)) > 1}


def _list_asked(record: RunRecord) -> dict[str, str]:
    """Return what decides the annotations of a run, as text, by its name in words."""
    asked = {
        name.replace("_", " "): _say(found[name])
        for part, names in ASKED.items()
        if isinstance(found := record.get(part), dict)
        for name in names
        if name in found
    }
    inputs = record.get("inputs", [])
    for source in inputs if isinstance(inputs, list) else []:
        name = Path(str(source.get("path", ""))).name
        asked[f"SHA-256 of {name}"] = str(source.get("sha256", ""))[:12]
    return asked


def _say(value: Any) -> str:
    """Return a value of a record as text, nothing for none."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(value)
    return "" if value is None else str(value)


def list_cautions(runs: Sequence[Run]) -> list[str]:
    """Return why numbers of the runs should not be compared."""
    different = list_differences(runs)
    said = [caution for name, caution in CAUTIONS.items() if name in different]
    databases = [set(run.rows["database"].tolist()) for run in runs]
    known = [key[0] for run in runs for key in run.place]
    if any(known) and not set.intersection(*databases):
        said.append(
            "The runs have no database in common: --any-database compares formulas and "
            "adducts alone."
        )
    return said
