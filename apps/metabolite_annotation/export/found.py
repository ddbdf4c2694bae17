"""What a run has found, as exports take it from its results.h5."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpc_connector.learner.annotation.normalisation import normalise
from hpc_connector.report.results_file import (
    RESULTS,
    find_readable,
    name_damage,
    open_results,
)
from hpc_connector.run_record import RunRecord
from hpc_connector.storer.columns import TEXT, to_plain
from metabolite_annotation import schema
from metabolite_annotation.options import PROGRAM

if TYPE_CHECKING:
    import h5py

# Of the file, in the order in which exports give them
ATTRIBUTES = (
    *("program", "dataset", "width", "height"),
    *("n_peaks", "ppm", "analysis_version", "polarity"),
)


class Image(NamedTuple):
    """Pixels with a signal, rows of the spectra's pixels, and their intensities."""

    pixel: np.ndarray
    intensity: np.ndarray


class Found(NamedTuple):
    """The annotations of a run, and where their images are.

    Parameters
    ----------
    path, file
        results.h5, and the same open; see :meth:`read`.
    columns
        Of the annotations, ``schema.ANNOTATIONS``.
    pixels
        Columns of ``schema.PIXELS``.
    attributes
        Of the file, and of the search.
    record
        What the manifest says of the dataset and the search.
    norm
        The column of the pixels by which intensities are divided, or "none".
    """

    path: Path
    file: h5py.File
    columns: Mapping[str, np.ndarray]
    pixels: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]
    record: RunRecord
    norm: str

    def read(self, name: str, part: slice = slice(None)) -> np.ndarray:
        """Return rows of a column of the file.

        Raises
        ------
        BadInput
            It cannot be read.
        """
        with name_damage(self.path, PROGRAM):
            return self.file[name][part]

    @property
    def place(self) -> np.ndarray:
        """Where each pixel is in the box, row by row, int64 (pixels,)."""
        y, width = self.pixels["y"].astype(np.int64), self.attributes["width"]
        return np.asarray(y * width + self.pixels["x"])

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Length of a pixel in x and y, micrometres; None where the file says none."""
        x, y = self.record["dataset"].get("pixel_size_um") or (None, None)
        return None if x is None or y is None else (float(x), float(y))

    def normalise(self, pixel: np.ndarray, intensity: np.ndarray) -> np.ndarray:
        """Return intensities of pixels as they are exported, float32."""
        if self.norm == "none":
            return intensity
        return normalise(intensity, pixel, self.pixels[self.norm])


@contextlib.contextmanager
def open_found(directory: Path, record: RunRecord, norm: str) -> Iterator[Found]:
    """Give what a run has found.

    Raises
    ------
    BadInput
        There is no results.h5, or it is damaged.
    """
    import h5py

    with open_results(directory, PROGRAM) as file:
        columns = read_columns(file, schema.ANNOTATIONS, schema.ANNOTATIONS.names)
        pixels = read_columns(file, schema.PIXELS, schema.PIXELS.names)
        attributes = {name: to_plain(file.attrs[name]) for name in ATTRIBUTES}
    path = directory / RESULTS
    with find_readable(path) as readable, h5py.File(readable) as file:
        # What goes wrong from here on may be the export's
        yield Found(path, file, columns, pixels, attributes, record, norm)


def read_columns(
    file: h5py.File, table: schema.Table, names: Sequence[str], most: int | None = None
) -> dict[str, np.ndarray]:
    """Return columns of an open results.h5, text as objects; at most so many rows."""
    types = {column.name: column.dtype for column in table.columns}
    group = file[table.place.partition("/")[2]]
    return {
        name: _read_text(group[name], most)
        if types[name] == TEXT
        else group[name][:most]
        for name in names
    }


def _read_text(column: h5py.Dataset, most: int | None) -> np.ndarray:
    """Return text; of no rows HDF5 does not know that it is text."""
    return column.asstr()[:most] if len(column) else np.array([], object)


def read_first_images(
    found: Found, first: int = 0, last: int | None = None
) -> Iterator[Image]:
    """Yield the first isotope image of annotations, normalised, one at a time.

    Parameters
    ----------
    first, last
        Rows of the annotations; all by default.
    """
    start, n_peaks = found.read("images/indptr"), found.attributes["n_peaks"]
    for ion in found.columns["image"][first:last].tolist():
        part = slice(*start[n_peaks * ion : n_peaks * ion + 2].tolist())
        pixel, intensity = (
            found.read(f"images/{name}", part) for name in Image._fields
        )
        yield Image(pixel, found.normalise(pixel, intensity))
