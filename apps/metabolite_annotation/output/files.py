"""annotations.tsv and results.h5: the same annotations as text and as columns."""

from pathlib import Path
from typing import Any

from hpc_connector import storer
from hpc_connector.storer.results import save_table
from metabolite_annotation import schema
from metabolite_annotation.output.parts import Stored


def save_annotations(path: Path, columns: dict[str, Any]) -> None:
    """Write ``annotations.tsv``."""
    save_table(path, {name: columns[name] for name in schema.TABLE.names})


def save_results(
    path: Path,
    groups: dict[str, dict[str, Any]],
    stored: Stored,
    attributes: dict[str, Any],
) -> None:
    """Write ``results.h5``: columns by name in groups, and the values of the images."""
    schema.check(schema.ANNOTATIONS, groups["annotations"])
    schema.check(schema.SCORES, groups["scores"])
    schema.check(schema.PIXELS, groups["pixels"])
    schema.check(schema.COLOCALISED, groups["colocalisation"])
    schema.check(schema.SPECTRUM, groups["spectrum"])
    everything = {
        f"{group}/{name}": column
        for group, members in groups.items()
        for name, column in members.items()
    }
    packed = {f"images/{name}": c for name, c in stored.list_columns().items()}
    chunks = ((f"images/{name}", chunk) for name, chunk in stored.read_chunks())
    storer.save_output(path, everything, attributes, packed=packed, chunks=chunks)
