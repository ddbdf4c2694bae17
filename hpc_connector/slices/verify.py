"""Prove that slices are their object: one by one, against its bytes as they come."""

import operator
from collections.abc import Iterator, Sequence

from hpc_connector import storage
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import GZIP_MAGIC
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.slices.gzip_points import Inflater
from hpc_connector.storage import Range, Source, Version

CHUNK_BYTES = 8 << 20  # read at once
GIVEN_BYTES = 1 << 16  # to inflate at once: a block of bgzip or few


def verify_slices(co: CloudObject, slices: Sequence[DataSlice]) -> tuple[bool, str]:
    """Compare slices with their object, holding one of them at a time.

    Returns
    -------
    Whether they are the object, and what was seen of them, to be said after a number.

    Raises
    ------
    BadInput
        A format that can neither be put together nor counted; as ``get``.
    """
    contents = (part.get() for part in slices)
    if co.format.iter_body is not None:
        made = co.format.iter_body(contents)
        at = find_difference(made, read_body(co.source, co.version))
        where = "" if at is None else f": they differ from byte {at:,} of its text"
        return at is None, f"are {'' if at is None else 'NOT '}the object{where}"
    if co.format.tally is None:
        raise BadInput(f"{co.format.name}: expected a format with iter_body or tally")
    tally = co.format.tally(co.index, contents)
    same = tally.found == tally.expected
    return same, (
        f"hold {tally.found:,} of {tally.expected:,} {tally.unit}; counted, for such "
        "slices have no bytes to put together"
        + ("" if same else ": they are NOT the object")
    )


def read_body(source: Source, version: Version) -> Iterator[bytes]:
    """Yield the bytes of an object, decompressed if it is gzip or bgzip.

    Raises
    ------
    BadInput
        An object that is cut or corrupt.
    """
    inflater = None
    for first in range(0, version.size, CHUNK_BYTES):
        wanted: Range = (first, min(first + CHUNK_BYTES, version.size))
        (data,) = storage.fetch(source, version, [wanted])
        if first == 0 and data.startswith(GZIP_MAGIC):
            inflater = Inflater(source.uri)
        if inflater is None:
            yield data
            continue
        for at in range(0, len(data), GIVEN_BYTES):
            yield inflater.inflate(data[at : at + GIVEN_BYTES])
    if inflater is not None:
        inflater.finish()


def find_difference(one: Iterator[bytes], other: Iterator[bytes]) -> int | None:
    """Return the first byte where two streams differ, None where they are the same.

    Examples
    --------
    >>> find_difference(iter([b"ab", b"", b"cd"]), iter([b"a", b"bcx"]))
    3
    """
    at, left, right = 0, memoryview(b""), memoryview(b"")
    while True:
        left, right = left or next_bytes(one), right or next_bytes(other)
        n = min(len(left), len(right))
        pair = bytes(left[:n]), bytes(right[:n])
        if pair[0] != pair[1]:
            same = map(operator.eq, *pair)
            return at + next(k for k, is_same in enumerate(same) if not is_same)
        if n == 0:
            return at if left or right else None
        at, left, right = at + n, left[n:], right[n:]


def next_bytes(stream: Iterator[bytes]) -> memoryview:
    """Return the next bytes of a stream, none at its end."""
    return memoryview(next((data for data in stream if data), b""))
