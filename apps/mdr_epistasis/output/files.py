"""The files of a search: models.tsv, results.h5 and sets.tsv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import storer
from mdr_epistasis.output.sets import SetResult, make_set_table
from mdr_epistasis.schema import P_VALUES, SCORED_STATISTICS, STATISTICS

Columns = dict[str, np.ndarray]


def save_tables(
    out: Path,
    models: Columns,
    variants: Columns,
    maximum: np.ndarray | None,
    attributes: Mapping[str, Any],
    shards: storer.Shards | None = None,
    sets: SetResult | None = None,
) -> list[str]:
    """Write models.tsv, results.h5, and with sets sets.tsv; return their names.

    Parameters
    ----------
    models, variants
        Columns of the schema.
    maximum
        Of each permutation, float64; None without any.
    attributes
        Of the file.
    shards
        The error of every model.
    """
    storer.save_table(out / "models.tsv", make_table(models, variants))
    data = {f"models/{name}": column for name, column in models.items()}
    data |= {f"variants/{name}": column for name, column in variants.items()}
    if maximum is not None:
        data["permutations/maximum"] = maximum
    names = ["models.tsv", "results.h5"]
    if sets is not None:
        storer.save_table(out / "sets.tsv", make_set_table(sets, variants))
        data |= {f"sets/{name}": column for name, column in sets.sets.items()}
        data |= {f"set_pairs/{name}": column for name, column in sets.pairs.items()}
        names.append("sets.tsv")
    storer.save_output(out / "results.h5", data, attributes, tiles=shards)
    return names


def make_table(models: Columns, variants: Columns) -> dict[str, Any]:
    """Return the columns of models.tsv."""
    table: dict[str, Any] = {"rank": models["rank"].tolist()}
    for k, v in enumerate(models["variant"].T):
        table[f"variant_{k + 1}"] = variants["id"][v]
        table[f"chromosome_{k + 1}"] = variants["chromosome"][v]
        table[f"position_{k + 1}"] = variants["position"][v]
        alleles = zip(variants["counted"][v], variants["other"][v], strict=True)
        table[f"alleles_{k + 1}"] = [f"{counted}/{other}" for counted, other in alleles]
    names = (*STATISTICS, *SCORED_STATISTICS, *P_VALUES)
    table |= {name: models[name] for name in names if name in models}
    table["is_best"] = models["is_best"].astype(int)
    if "r2" in models:  # earlier versions wrote none
        table["r2"] = models["r2"]
        for k, p in enumerate(models["hwe_p"].T):
            table[f"hwe_p_{k + 1}"] = p
    return table
