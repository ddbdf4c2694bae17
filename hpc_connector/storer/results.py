"""Columns to files: results.h5, a table of text, and shards of large outputs."""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpc_connector.publish import publish

FORMAT_VERSION = 1
CHUNK_ROWS = 1 << 14  # of columns that grow
# Bytes of one significance side by side pack better, and three times as fast
PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def save_output(
    path: Path,
    columns: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    parts: Iterable[Mapping[str, np.ndarray]] = (),
    tiles: "Shards | None" = None,
) -> None:
    """Write columns to an HDF5 file, published by rename.

    Parameters
    ----------
    columns
        Arrays, or sequences of text, by name; a slash in a name makes a group.
    attributes
        Attributes of the file; ``format_version`` is added.
    parts
        Pieces of columns that are too long to be held at once, in order.
    tiles
        Part files to show as one virtual dataset.
    """
    with publish_hdf5(path) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs.update(attributes or {})
        for name, column in columns.items():
            _write_column(file, name, column)
        for part in parts:
            for name, piece in part.items():
                _append(file, name, piece)
        if tiles is not None:
            tiles.link(file)


@contextlib.contextmanager
def publish_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill in memory; it is written whole, and then renamed.

    HDF5 cannot be let near the disk: where that is full, it ends the process with a
    segmentation fault when it closes the file.
    """
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        yield file
    with publish(path) as stream:
        stream.write(image.getbuffer())


def _write_column(file: h5py.File, name: str, column: Any) -> None:
    """Write one array, or one sequence of text as UTF-8."""
    array = np.asarray(column)
    if array.dtype.kind in "UOT":
        file.create_dataset(name, data=list(column), dtype=h5py.string_dtype())
    else:
        packed = PACKED if array.size > 1024 else {}
        file.create_dataset(name, data=array, **packed)


def _append(file: h5py.File, name: str, piece: np.ndarray) -> None:
    """Write the next rows of a column."""
    if name not in file:
        rest = piece.shape[1:]
        grows: Any = {"maxshape": (None, *rest), "chunks": (CHUNK_ROWS, *rest)}
        file.create_dataset(name, (0, *rest), piece.dtype, **PACKED, **grows)
    column = file[name]
    column.resize(len(column) + len(piece), axis=0)
    column[len(column) - len(piece) :] = piece


def save_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns as tab-separated text with a header, published by rename."""
    with publish(path) as stream:
        for row in [tuple(columns), *zip(*columns.values(), strict=True)]:
            stream.write(("\t".join(map(format_value, row)) + "\n").encode())


def format_value(value: Any) -> str:
    """Return a value as text: NA for NaN, ten digits of a float."""
    if isinstance(value, float | np.floating):
        return "NA" if np.isnan(value) else f"{value:.10g}"
    return str(value)


class Shards:
    """Tiles of one large array, one file a tile, shown as one virtual dataset.

    Every tile is written once, by whoever ran its task, with no lock and no parallel
    HDF5; the virtual dataset opens the files by relative path.
    """

    def __init__(self, directory: Path, name: str, shape: tuple[int, ...]) -> None:
        self.directory = directory
        self.name = name
        self.shape = shape

    def save(self, tile: int, origin: Sequence[int], values: np.ndarray) -> None:
        """Write one tile, cut to the shape of the whole, published by rename."""
        ends = [
            min(o + n, s)
            for o, n, s in zip(origin, values.shape, self.shape, strict=True)
        ]
        inside = values[tuple(slice(e - o) for o, e in zip(origin, ends, strict=True))]
        with publish_hdf5(self.get_path(tile)) as file:
            file.create_dataset("tile", data=inside)
            file.attrs["origin"] = np.asarray(origin, np.int64)

    def get_path(self, tile: int) -> Path:
        """Return the file of a tile."""
        return self.directory / f"{tile:06d}.h5"

    def has(self, tile: int) -> bool:
        """Return whether a tile is there and can be opened."""
        try:
            with h5py.File(self.get_path(tile)) as file:
                return "tile" in file
        except OSError:
            return False

    def link(self, file: h5py.File) -> None:
        """Make the virtual dataset in `file`, which stands beside the folder."""
        layout = h5py.VirtualLayout(self.shape, np.float32)
        layout.dcpl.set_obj_track_times(False)  # the same bytes whenever it is made
        for path in sorted(self.directory.glob("*.h5")):
            with h5py.File(path) as shard:
                origin, shape = shard.attrs["origin"], shard["tile"].shape
            where = os.path.join(self.directory.name, path.name)
            source = h5py.VirtualSource(where, "tile", shape)
            place = tuple(slice(o, o + n) for o, n in zip(origin, shape, strict=True))
            layout[place] = source
        file.create_virtual_dataset(self.name, layout, fillvalue=np.nan)
