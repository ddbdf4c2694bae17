"""What tasks need, in a store: facts and arrays, each piece named by its checksum.

A piece that is there already is not sent again, and one that is not what its name says
is refused. A task reads the rows that it needs, and no others.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_size, put, read_whole
from hpc_connector.storage.store import Range

PIECE_BYTES = 1 << 20
AT_ONCE = 8


@dataclass(frozen=True)
class StoredArray:
    """An array in a store, cut along its first axis.

    Parameters
    ----------
    rows
        Rows of a piece; the last may have fewer.
    pieces
        SHA-256 of each, in hexadecimal.
    """

    dtype: str
    shape: tuple[int, ...]
    rows: int
    pieces: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        count = int(np.prod(self.shape[1:], dtype=np.int64))
        return count * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Package:
    """Facts of JSON's types, and arrays, in a folder of a store."""

    folder: Source
    facts: dict[str, Any]
    arrays: dict[str, StoredArray]


def save_package(
    folder: Source, facts: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[str, int]:
    """Put facts and arrays into a store; return the package's name, and bytes sent."""
    stored, n_bytes = {}, 0
    for name, array in arrays.items():
        stored[name], n_sent = save_array(folder, array)
        n_bytes += n_sent
    found = {"facts": facts, "arrays": {n: asdict(a) for n, a in stored.items()}}
    name, n_sent = save_piece(folder, json.dumps(found, sort_keys=True).encode())
    return name, n_bytes + n_sent


def load_package(folder: Source, name: str) -> Package:
    """Return a package; its arrays are read later.

    Raises
    ------
    BadInput
        There is none of that name, or it is not what its name says.
    """
    found = json.loads(load_piece(folder, name))
    arrays = {
        key: StoredArray(a["dtype"], tuple(a["shape"]), a["rows"], tuple(a["pieces"]))
        for key, a in found["arrays"].items()
    }
    return Package(folder, found["facts"], arrays)


def save_array(folder: Source, array: np.ndarray) -> tuple[StoredArray, int]:
    """Put an array into a store; return where it is, and the bytes sent."""
    array = np.ascontiguousarray(array)
    row_bytes = max(1, array[:1].nbytes)
    rows = max(1, PIECE_BYTES // row_bytes)
    parts = [array[first : first + rows] for first in range(0, len(array), rows)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(pool.map(lambda p: save_piece(folder, _view(p)), parts))
    names = tuple(name for name, _ in sent)
    stored = StoredArray(array.dtype.str, array.shape, rows, names)
    return stored, sum(n for _, n in sent)


def _view(array: np.ndarray) -> memoryview:
    """Return the bytes of an array, without a copy."""
    return array.reshape(-1).view(np.uint8).data


def save_piece(folder: Source, data: bytes | memoryview) -> tuple[str, int]:
    """Put bytes under their checksum; return it, and how many were sent."""
    name = hashlib.sha256(data).hexdigest()
    place = get_place(folder, name)
    if get_size(place) == len(data):
        return name, 0
    put(place, data, only_new=False)
    return name, len(data)


def load_piece(folder: Source, name: str) -> bytes:
    """Return the bytes of a checksum.

    Raises
    ------
    BadInput
        There are none, or others.
    """
    place = get_place(folder, name)
    found = read_whole(place)
    if found is None:
        raise BadInput(f"{place.uri}: no such object: expected what the run has put")
    data, _ = found
    if hashlib.sha256(data).hexdigest() != name:
        raise BadInput(f"{place.uri}: {len(data)} bytes with another checksum")
    return data


def get_place(folder: Source, name: str) -> Source:
    """Return where the bytes of a checksum are."""
    return folder.beside(f"/pieces/{name}")


def load_rows(
    package: Package, name: str, ranges: Sequence[Range] | None = None
) -> np.ndarray:
    """Return an array of a package, of which only some rows are read.

    The others are 0, in memory that is not touched.

    Parameters
    ----------
    ranges
        First row and last + 1 of each stretch; None for all.

    Raises
    ------
    BadInput
        A piece that is not there, or not what its name says.
    """
    stored = package.arrays[name]
    array = np.zeros(stored.shape, stored.dtype)
    wanted = sorted({p for r in ranges or [(0, len(array))] for p in cover(stored, r)})

    def load(piece: int) -> None:
        data = load_piece(package.folder, stored.pieces[piece])
        first = piece * stored.rows
        rows = array[first : first + stored.rows]
        rows[...] = np.frombuffer(data, stored.dtype).reshape(rows.shape)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(load, wanted))
    return array


def cover(stored: StoredArray, rows: Range) -> range:
    """Return the pieces that hold a stretch of rows."""
    first, last = rows
    return range(first // stored.rows, -(-last // stored.rows) if last > first else 0)
