"""What preprocessing leaves of an object: facts and arrays, in one small object.

JSON behind eight bytes of its length, then the arrays, each at a known place: a slice
may fetch a part of one array and nothing else. There is no code in it to run.
"""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_version, put, read_beside
from hpc_connector.storage.store import Version

FORMAT_VERSION = 1
LENGTH = struct.Struct("<Q")
MOST_HEAD_BYTES = 1 << 26
BEGIN = b'{"format_version":'


@dataclass(frozen=True)
class Index:
    """Facts of JSON's types, and arrays of numbers, about one version of an object."""

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def encode_index(index: Index, kind: str, version: Version) -> bytes:
    """Return an index as bytes; `kind` names its format and version."""
    places, pieces, at = {}, [], 0
    for name, array in index.arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        places[name] = {"dtype": array.dtype.str, "shape": array.shape, "at": at}
        pieces.append(data)
        at += len(data)
    head = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "size": version.size,
        "etag": version.etag,
        "facts": index.facts,
        "arrays": places,
        "bytes": at,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join([LENGTH.pack(len(text)), text, *pieces])


def decode_index(data: bytes, kind: str, version: Version, name: str) -> Index:
    """Return an index.

    Parameters
    ----------
    kind
        Name and version of the format.
    version
        Of the object that is indexed.
    name
        Of the index, for messages.

    Raises
    ------
    BadInput
        Bytes that are no index, are cut, or belong to another format, another version
        of the object, or another version of this program.
    """
    head, start = _read_head(data, name)
    for key, expected in (
        ("format_version", FORMAT_VERSION),
        ("kind", kind),
        ("size", version.size),
        ("etag", version.etag),
    ):
        if head.get(key) != expected:
            raise BadInput(
                f"{name} is an index of {key} {head.get(key)!r}: expected "
                f"{expected!r}, or force to make it anew"
            )
    if len(data) != start + head["bytes"]:
        raise BadInput(f"{name} is cut: expected {start + head['bytes']} bytes")
    arrays = {}
    for array, place in head["arrays"].items():
        count = int(np.prod(place["shape"], dtype=np.int64))
        flat = np.frombuffer(data, place["dtype"], count, start + place["at"])
        arrays[array] = flat.reshape(place["shape"])
    return Index(head["facts"], arrays)


def _read_head(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    """Return the JSON of an index, and where its arrays begin."""
    try:
        (n_bytes,) = LENGTH.unpack_from(data)
        if not 0 < n_bytes <= MOST_HEAD_BYTES:
            raise ValueError("no length")
        start = LENGTH.size + n_bytes
        return json.loads(data[LENGTH.size : start]), start
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{name} is not an index: {error}") from None


def get_place(data: bytes, array: str) -> int:
    """Return where an array begins in the bytes of an index."""
    head, start = _read_head(data, array)
    at: int = head["arrays"][array]["at"]
    return start + at


def find_index(source: Source, kind: str, version: Version) -> Source:
    """Return where the index of one version of an object lies: beside the object."""
    tag = "".join(c for c in version.etag if c.isalnum() or c in "-_")
    name = f".index/{kind}-{version.size}-{tag}"
    if address.is_encrypted(source.uri):
        reader = get_reader(source)
        from hpc_connector.crypt4gh.header import get_fingerprint  # of an extra

        name += f"-{get_fingerprint(reader)}{address.ENCRYPTED}"
    return source.beside(name)


def get_reader(source: Source) -> bytes:
    """Return the public key of who reads an encrypted object, and so its index.

    Raises
    ------
    BadInput
        There is none that will be there later.
    """
    key_ring.get_opener(source.uri)  # says what is missing
    if key_ring.get_trusted():
        raise BadInput(f"{source.uri}: no seal is asked for: its index would have none")
    if (public := key_ring.get_public()) is None:
        raise BadInput(
            f"{source.uri}: its index is encrypted for who reads it: expected the file "
            "of a private key"
        )
    return public


def seal_index(data: bytes, place: Source) -> bytes:
    """Return an index as it is stored: that of an encrypted object for its reader."""
    if not address.is_encrypted(place.uri):
        return data
    reader = get_reader(place)
    from hpc_connector.crypt4gh.whole import encrypt  # of an extra

    return encrypt(data, reader)


@dataclass(frozen=True)
class StoredIndex:
    """An index, its bytes as they are stored, and the version of that object."""

    index: Index
    data: bytes
    version: Version


def load_index(place: Source, kind: str, version: Version) -> StoredIndex | None:
    """Return the index of a version of an object, None if there is none."""
    found = read_beside(place)
    if found is None:
        return None
    data, stored = found
    return StoredIndex(decode_index(data, kind, version, place.uri), data, stored)


def is_ours(place: Source) -> bool:
    """Return whether there is an index that may be written over.

    What may not be read is not ours to write over.

    Raises
    ------
    BadInput
        There is an object of that name, and it is no index.
    """
    found = read_beside(place)
    if found is not None and not found[0].startswith(BEGIN, LENGTH.size):
        raise BadInput(
            f"{place.uri} is no index, so that it is not written over: expected no "
            "object of that name, or another place (metadata)"
        )
    return found is not None


def save_index(
    place: Source, index: Index, kind: str, version: Version, *, force: bool
) -> StoredIndex | None:
    """Write an index and return it; None if another was first, which stays.

    Parameters
    ----------
    place
        Where it is written.
    kind
        Name and version of the format.
    version
        Of the object that is indexed.
    force
        Replace an index that is there.

    Raises
    ------
    BadInput
        There is an object of that name, and it is no index.
    """
    data = encode_index(index, kind, version)
    sealed = seal_index(data, place)
    stored = put(place, sealed, only_new=not (force and is_ours(place)))
    if stored is None:
        return None
    if sealed is not data:
        stored = get_version(place)
    return StoredIndex(decode_index(data, kind, version, place.uri), data, stored)
