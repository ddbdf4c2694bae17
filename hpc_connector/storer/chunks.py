"""Chunks of HDF5 datasets, packed by whoever has the values, and put in place by one.

HDF5 packs chunks itself, one after the other in the thread that writes the file. What
is here gives what its filters give, shuffle and then deflate, and every reader unpacks
it; chunks are cut by their place in the column, so they do not depend on who made them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

if TYPE_CHECKING:
    import h5py

CHUNK_ROWS = 1 << 14
# Bytes of one significance side by side pack better, and three times as fast
PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


class PackedColumn(NamedTuple):
    """A column whose chunks come packed: its number of rows, and the type of each."""

    n_rows: int
    dtype: type[np.number[Any]]


def get_borders(start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first row of a chunk at or after each of some rows, or the last's end.

    Parameters
    ----------
    start
        Rows in ascending order, of which the last is the length of the column.

    Examples
    --------
    >>> get_borders(np.array([0, 1, 16384, 16385, 20000])).tolist()
    [0, 16384, 16384, 20000, 20000]
    """
    borders: NDArray[np.int64] = np.minimum(
        -(-start // CHUNK_ROWS) * CHUNK_ROWS, start[-1]
    )
    return borders


def pack_chunks(values: NDArray[Any], *, ascending: bool = False) -> list[bytes]:
    """Return the packed chunks of a stretch of a column, which begins with a chunk.

    Parameters
    ----------
    values
        Shape (rows,); the last chunk is filled up by zeros.
    ascending
        Whether they are indices in ascending order, in which strings of bytes repeat.
        In what was measured little does but runs of one byte: to look for these alone
        takes a third of the time, and the chunks are smaller.
    """
    firsts = range(0, len(values), CHUNK_ROWS)
    planes = (_shuffle(values[first : first + CHUNK_ROWS]) for first in firsts)
    deflate = _deflate if ascending else deflate_runs
    return [deflate(plane) for plane in planes]


def _shuffle(values: NDArray[Any]) -> bytes:
    """Return a full chunk: the first byte of each value, then the second of each ..."""
    rows = np.zeros((CHUNK_ROWS, values.itemsize), np.uint8)
    rows[: len(values)] = values.view(np.uint8).reshape(rows[: len(values)].shape)
    return rows.T.tobytes()


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data, 1)


def deflate_runs(data: bytes) -> bytes:
    """Return what zlib's stream of runs is, byte for byte, by zlib-ng.

    It looks for runs of one byte alone, which leaves it no choice.
    """
    deflate = zlib_ng.compressobj(1, strategy=zlib_ng.Z_RLE)
    packed: bytes = deflate.compress(data) + deflate.flush()
    return packed


def write_chunks(
    file: h5py.File,
    columns: Mapping[str, PackedColumn],
    chunks: Iterable[tuple[str, bytes]],
) -> None:
    """Write columns from their packed chunks, which are those of a column in order.

    Raises
    ------
    ValueError
        There are too few or too many chunks.
    """
    grows: Any = {"maxshape": (None,), "chunks": (CHUNK_ROWS,)} | PACKED
    ids = {
        name: file.create_dataset(name, (n_rows,), dtype, **grows).id
        for name, (n_rows, dtype) in columns.items()
    }
    n_written = dict.fromkeys(columns, 0)
    for name, chunk in chunks:
        ids[name].write_direct_chunk((n_written[name] * CHUNK_ROWS,), chunk)
        n_written[name] += 1
    for name, (n_rows, _) in columns.items():
        if n_written[name] != -(-n_rows // CHUNK_ROWS):
            raise ValueError(f"{name}: {n_written[name]} chunks for {n_rows} rows")
