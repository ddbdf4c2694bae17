"""Intensities of all pixels as text: a row an annotation, a column a pixel."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.publish import publish
from metabolite_annotation import schema
from metabolite_annotation.export.found import Found, read_first_images


def save_csv(path: Path, found: Found) -> None:
    """Write a row an annotation and a column a pixel, compressed, one row at a time.

    Columns of pixels are named by place, such as x12_y3, both from 0.
    """
    x, y = found.pixels["x"], found.pixels["y"]
    places = [f"x{x}_y{y}" for x, y in zip(x, y, strict=True)]
    with (
        publish(path) as stream,
        gzip.GzipFile("", "wb", 5, stream, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        text.write(",".join([*schema.CSV.names, *places]) + "\n")
        for row, (pixel, value) in enumerate(read_first_images(found)):
            dense = np.full(len(places), "0", object)
            dense[pixel] = [f"{v:.7g}" for v in value.tolist()]
            named = [_quote(found.columns[name][row]) for name in schema.CSV.names]
            text.write(",".join([*named, *dense.tolist()]) + "\n")


def _quote(value: Any) -> str:
    """Return a value as a field of CSV."""
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text
