"""Columns to files: results.h5, a table of text, and shards of large outputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc_connector.publish import publish
from hpc_connector.storer.chunks import PACKED, PackedColumn, write_chunks
from hpc_connector.storer.hdf5_file import Sink

if TYPE_CHECKING:
    import h5py

FORMAT_VERSION = 1


def save_output(
    path: Path,
    columns: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    packed: Mapping[str, PackedColumn] | None = None,
    chunks: Iterable[tuple[str, bytes]] = (),
    tiles: Shards | None = None,
) -> None:
    """Write columns to an HDF5 file, published by rename.

    Parameters
    ----------
    columns
        Arrays, or sequences of text, by name; a slash in a name makes a group.
    attributes
        Attributes of the file; ``format_version`` is added.
    packed, chunks
        Columns too long to be held at once, and their packed chunks with the name of
        the column, those of each in order.
    tiles
        Part files to show as one virtual dataset.
    """
    with publish_hdf5(path) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs.update(attributes or {})
        for name, column in columns.items():
            _write_column(file, name, column)
        write_chunks(file, packed or {}, chunks)
        if tiles is not None:
            tiles.link(file)


@contextlib.contextmanager
def publish_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill, which has its name when it is whole.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    import h5py

    with publish(path, seeks=True) as stream:
        sink = Sink(stream.fileno())
        try:
            with h5py.File(sink, "w") as file:
                yield file
        finally:
            if sink.error:  # all else came of it
                raise sink.error


def _write_column(file: h5py.File, name: str, column: Any) -> None:
    """Write one array, or one sequence of text as UTF-8."""
    import h5py

    array = np.asarray(column)
    if array.dtype.kind in "UOT":
        file.create_dataset(name, data=list(column), dtype=h5py.string_dtype())
    else:
        packed = PACKED if array.size > 1024 else {}
        file.create_dataset(name, data=array, **packed)


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

    def read(self, tile: int) -> np.ndarray:
        """Return a tile that is there."""
        import h5py

        with h5py.File(self.get_path(tile)) as file:
            values: np.ndarray = file["tile"][:]
        return values

    def has(self, tile: int) -> bool:
        """Return whether a tile is there and can be opened."""
        import h5py

        try:
            with h5py.File(self.get_path(tile)) as file:
                return "tile" in file
        except OSError:
            return False

    def link(self, file: h5py.File) -> None:
        """Make the virtual dataset in `file`, which stands beside the folder."""
        import h5py

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
