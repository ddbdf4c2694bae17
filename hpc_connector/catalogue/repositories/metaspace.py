"""A dataset of METASPACE, from a folder of what its pages download.

That are the imzML and .ibd files, annotations as CSV, and metadata as JSON: of the
upload's form alone, or a dataset as the API has it, with its id and name.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpc_connector.catalogue.gather import About
from hpc_connector.catalogue.headers import IMZML
from hpc_connector.catalogue.repositories.identifiers import (
    METASPACE,
    REPOSITORIES,
    Identifier,
    is_of,
)
from hpc_connector.catalogue.repositories.study import Study, clean, join, keep
from hpc_connector.catalogue.repositories.tables import (
    Table,
    load_json,
    read_table,
    read_text,
)
from hpc_connector.errors import BadInput

FORM = "MS_Analysis"  # a group that every form has
FIELDS = {  # facts, by group and field of the form
    "organism": ("Sample_Information", "Organism"),
    "organism_part": ("Sample_Information", "Organism_Part"),
    "condition": ("Sample_Information", "Condition"),
    "matrix": ("Sample_Preparation", "MALDI_Matrix"),
    "polarity": (FORM, "Polarity"),
    "ion_source": (FORM, "Ionisation_Source"),
    "mass_analyzer": (FORM, "Analyzer"),
}
PEOPLE = ("Submitter", "Principal_Investigator")
ANNOTATIONS = {"datasetId", "formula", "adduct", "fdr"}  # columns of annotations
Told = Mapping[str, Any]


def read_metaspace(folder: Path) -> Study:
    """Return the dataset of a folder.

    Raises
    ------
    BadInput
        There is nothing of METASPACE in it, a file cannot be read, or they are of
        several datasets.
    """
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: expected a folder of what METASPACE's pages download"
        )
    tables = [read_table(path, ",") for path in sorted(folder.glob("*.csv"))]
    tables = [table for table in tables if set(table.header) >= ANNOTATIONS]
    forms = list(_read_forms(folder))
    spectra = sorted(p for p in folder.iterdir() if p.name.lower().endswith(IMZML))
    if not (tables or forms):
        raise BadInput(
            f"{folder}: no CSV of METASPACE's annotations, and no JSON with {FORM}: "
            "expected one or the other"
        )
    if len(forms) > 1:
        raise BadInput(f"{forms[1][0]}: another dataset: expected one a folder")
    form = forms[0][1] if forms else {}
    own = [*(path for path, _ in forms), *(table.path for table in tables), *spectra]
    return Study(
        describe(form, tables),
        read_facts(folder, form, tables),
        [str(path.absolute()) for path in own],
        [],
    )


def _read_forms(folder: Path) -> Iterator[tuple[Path, Told]]:
    """Yield the files that have a form, with what they tell."""
    for path in sorted(folder.glob("*.json")):
        told = load_json(read_text(path), str(path))
        if isinstance(told, dict) and FORM in _get_form(told, path):
            yield path, told


def _get_form(told: Told, path: Path) -> Told:
    """Return the groups of the form, which the API has as an object or as its text."""
    for name in ("metadata", "metadataJson"):
        inside = told.get(name)
        if isinstance(inside, str):
            inside = load_json(inside, f"{path}: {name}")
        if isinstance(inside, dict):
            return inside
    return told


def _get(told: Any, *names: str) -> str:
    """Return a text or number below some names, cleaned; empty if it is none."""
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None
    return clean(str(told)) if isinstance(told, str | int | float) else ""


def _list_column(tables: list[Table], name: str) -> list[str]:
    found = (clean(value) for table in tables for value in table.get(name))
    return list(dict.fromkeys(filter(None, found)))


def find_identifier(folder: Path, form: Told, tables: list[Table]) -> str:
    """Return the identifier: of the files, else of the folder's name, empty for none.

    Raises
    ------
    BadInput
        There are several.
    """
    told = [_get(form, name) for name in ("id", "datasetId", "ds_id")]
    names = {one for one in told + _list_column(tables, "datasetId") if one}
    if len(names) > 1:
        shown = ", ".join(sorted(names)[:3])
        raise BadInput(f"{folder}: {len(names)} datasets ({shown}): expected one")
    if wrong := [one for one in names if not is_of(METASPACE, one)]:
        shown = REPOSITORIES[METASPACE].shown
        raise BadInput(f"{folder}: dataset {wrong[0]}: expected {shown}")
    inside = re.search(REPOSITORIES[METASPACE].form, folder.absolute().name)
    if not names and inside and is_of(METASPACE, inside[0]):
        return inside[0]
    return next(iter(names), "")


def describe(form: Told, tables: list[Table]) -> About:
    """Return what is told of a dataset."""
    groups = _get_form(form, Path())
    people = [_get(groups, "Submitted_By", one, "Email") for one in PEOPLE]
    names = [_get(form, "name"), *_list_column(tables, "datasetName")]
    return About(
        title=next(filter(None, names), None),
        description=tell(groups) or None,
        publisher=REPOSITORIES[METASPACE].name,
        contact=next(filter(None, people), None),
    )


def tell(groups: Told) -> str:
    """Return a sentence of what was measured, and what the form says beside."""
    known = {fact: _get(groups, *where) for fact, where in FIELDS.items()}
    known["polarity"] = known["polarity"].lower()
    sample = " of ".join(filter(None, (known["organism_part"], known["organism"])))
    how = ("ion_source", "mass_analyzer", "polarity")
    means = ", ".join(known[name] for name in how if known[name])
    more = _get(groups, "Additional_Information", "Supplementary")
    if not (sample or means):
        return more
    said = f"Imaging mass spectrometry{f' of {sample}' if sample else ''}"
    return f"{said}{f' ({means})' if means else ''}. {more}".strip()


def read_facts(folder: Path, form: Told, tables: list[Table]) -> dict[str, str]:
    """Return the facts of a dataset."""
    name, groups = find_identifier(folder, form, tables), _get_form(form, folder)
    known = Identifier(METASPACE, name) if name else None
    group = form.get("group")
    facts = {
        "identifier": str(known or ""),
        "record": known.page if known else "",
        "technology": _get(groups, "Data_Type"),
        "pixel_size": " x ".join(filter(None, _list_pair(groups, "Pixel_Size"))),
        "resolving_power": " at m/z ".join(
            filter(None, _list_pair(groups, "Detector_Resolving_Power"))
        ),
        "annotations": str(sum(len(table.rows) for table in tables) or ""),
        "institution": _get(groups, "Submitted_By", "Institution")
        or _get(group, "name")
        or join(_list_column(tables, "group")),
    }
    facts |= {fact: _get(groups, *where) for fact, where in FIELDS.items()}
    facts["polarity"] = facts["polarity"].lower()
    return keep(facts)


def _list_pair(groups: Told, name: str) -> list[str]:
    """Return the two numbers of a field of the form, as people say them."""
    order = {"Pixel_Size": ("Xaxis", "Yaxis")}
    names = order.get(name, ("Resolving_Power", "mz"))
    return [_get(groups, FORM, name, one) for one in names]
