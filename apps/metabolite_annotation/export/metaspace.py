"""The table of annotations as METASPACE's website downloads it, column for column.

That is a table with two rows of comments, every value between quotes, numbers as
JavaScript writes them, and nothing at all where there is no value. What only METASPACE
knows has no value: the group, the id of the dataset, and off-sample predictions.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.modifiers import read_modifier
from hpc_connector.publish import publish
from metabolite_annotation.annotations import SEPARATOR
from metabolite_annotation.export.found import Found

COLUMNS = (
    *("group", "datasetName", "datasetId", "formula", "adduct", "chemMod"),
    *("neutralLoss", "ion", "mz", "massError", "msm", "fdr", "rhoSpatial"),
    *("rhoSpectral", "rhoChaos", "moleculeNames", "moleculeIds", "minIntensity"),
    *("maxIntensity", "totalIntensity", "isomeric_mols_count"),
    *("isomeric_ions_count", "isobaric_ions_count", "offSample"),
    *("rawOffSampleProb", "isobarIons"),
)
OURS = {
    "formula": "formula",
    "mz": "mz",
    "msm": "msm",
    "rhoSpatial": "spatial",
    "rhoSpectral": "spectral",
    "rhoChaos": "chaos",
    "maxIntensity": "max_intensity",
    "totalIntensity": "total_intensity",
}
NOWHERE = {"group": "", "datasetId": "", "minIntensity": 0}  # the same everywhere
SIGNS = {"positive": "+", "negative": "-"}
Modifier = tuple[str, str, str]  # chemical modification, neutral loss, adduct


def save_metaspace(path: Path, found: Found) -> None:
    """Write the table, published by rename."""
    name = found.attributes["dataset"]
    with publish(path) as stream:
        stream.write(b"# Annotations in the columns of METASPACE's download\n")
        stream.write(f"# Dataset: {' '.join(name.split())}\n".encode())
        for row in (COLUMNS, *list_rows(found)):
            stream.write((",".join(map(_quote, row)) + "\n").encode())


def list_rows(found: Found) -> Iterator[list[Any]]:
    """Yield the values of annotations in the order of ``COLUMNS``; None for none."""
    columns, same = found.columns, {"datasetName": found.attributes["dataset"]}
    sign, known = SIGNS[found.attributes["polarity"]], list_modifiers(found)
    for k in range(len(columns["mz"])):
        one = {name: column[k] for name, column in columns.items()}
        values = NOWHERE | same | {theirs: one[ours] for theirs, ours in OURS.items()}
        values |= describe_ion(one, known[one["adduct"]], sign)
        values |= list_others(one, sign)
        yield [values.get(name) for name in COLUMNS]


def describe_ion(
    one: Mapping[str, Any], modifier: Modifier, sign: str
) -> dict[str, Any]:
    """Return what is told of the ion of an annotation."""
    chem_mod, loss, adduct = modifier
    return {
        "adduct": f"M{adduct}",
        "chemMod": chem_mod,
        "neutralLoss": loss,
        "ion": _name_ion(one["formula"] + one["adduct"], sign),
        "massError": 1e6 * one["mz_err_abs"] / one["mz"],
        "fdr": one["fdr"] if one["fdr"] > 0 else None,
    }


def list_others(one: Mapping[str, Any], sign: str) -> dict[str, Any]:
    """Return the molecules, the isomers and the isobars of an annotation."""
    names = _split(html.unescape(one["molecule_names"]))  # "&alpha; " has our "; "
    ids, isomers, isobars = (
        _split(one[column]) for column in ("molecule_ids", "isomers", "isobars")
    )
    return {
        "moleculeNames": _join(map(_clean, names)),
        "moleculeIds": _join(ids),
        "isomeric_mols_count": len(ids),
        "isomeric_ions_count": len(isomers),
        "isobaric_ions_count": len(isobars),
        "isobarIons": _join(_name_ion(label, sign) for label in isobars),
    }


def list_modifiers(found: Found) -> dict[str, Modifier]:
    """Return the parts of every modifier of a search, by what it is called here."""
    given, adducts = found.record["parameters"], found.record["search"]["adducts"]
    mods, losses = (
        ["", *(read_modifier(text).text for text in given[name])]
        for name in ("chem_mods", "neutral_losses")
    )
    known: dict[str, Modifier] = {}
    for parts in product(mods, losses, adducts):
        known.setdefault("".join(parts), parts)
    return known


def _name_ion(label: str, sign: str) -> str:
    """Return formula and modifier as METASPACE calls the ion.

    Examples
    --------
    >>> _name_ion("C6H12O6+Na", "+"), _name_ion("C6H12O6[M]+", "+")
    ('C6H12O6+Na+', 'C6H12O6+')
    """
    return label.replace("[M]+", "").replace("[M]-", "") + sign


def _split(text: str) -> list[str]:
    """Return the items of a list of ours."""
    return text.split(SEPARATOR) if text else []


def _join(items: Iterable[str]) -> str:
    """Return a list as METASPACE writes it, to be split at each comma and blank."""
    return ", ".join(re.sub(", +", ",", item) for item in items)


def _clean(name: str) -> str:
    """Return the name of a molecule as METASPACE shows it."""
    return re.sub("[,;]*$", "", name.strip())


def _quote(value: Any) -> str:
    """Return a value as a field, nothing for None."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else format_number(value)
    return '"' + text.replace('"', '""') + '"'


def format_number(value: float) -> str:
    """Return a number as JavaScript writes it: the fewest digits that tell it.

    Examples
    --------
    >>> format_number(2e-05), format_number(1.0), format_number(2.5e-7)
    ('0.00002', '1', '2.5e-7')
    """
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        return re.sub(r"e([+-])0*", r"e\1", repr(float(value)))
    return np.format_float_positional(value, trim="-")
