"""Prove that slices are their object: one by one, against a plain reading of it."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.slices.formats.plain import (
    GZIP_MAGIC,
    Counter,
    PlainRecords,
    PlainText,
    inflate,
    read_text,
    split_header,
    trim,
)


def verify_slices(co: CloudObject, slices: Sequence[DataSlice]) -> tuple[bool, str]:
    """Compare slices with their object, holding one of them at a time.

    Returns
    -------
    Whether they are the object, and what was seen of them, to be said after a number.

    Raises
    ------
    BadInput
        A format that can neither be put together nor read plainly; as ``get``.
    """
    if isinstance(co.format.plain, PlainRecords):
        return verify_records(co, co.format.plain, slices)
    if isinstance(co.format.plain, PlainText):
        return verify_text(co, co.format.plain, slices)
    if co.format.iter_body is None:
        raise BadInput(f"{co.format.name}: expected a format with iter_body or plain")
    made = co.format.iter_body(part.get() for part in slices)
    at = find_difference(made, read_text(co.source, co.version))
    where = "" if at is None else f": they differ from byte {at:,} of its text"
    return at is None, f"are {'' if at is None else 'NOT '}the object{where}"


def verify_text(
    co: CloudObject, plain: PlainText, slices: Sequence[DataSlice]
) -> tuple[bool, str]:
    """Compare slices of text: headers, bytes, and records as each alone has them."""
    stream = read_text(co.source, co.version)
    header, body = split_header(stream, plain.find_header)
    counter, problems, n_records = Counter(plain), [], 0
    first = bytes(next_bytes(body))
    start = plain.start if first.startswith(plain.start) else b""

    def iter_bodies() -> Iterator[bytes]:
        nonlocal n_records
        for number, part in enumerate(slices):
            text = read_slice(co, part)
            own = text.removeprefix(header)
            if len(own) != len(text) - len(header):
                problems.append(f"slice {number} has not the header of the object")
            if number and own and not own.startswith(start):
                problems.append(f"slice {number} does not begin with a record")
            (alone := Counter(plain)).see(own)
            n_records += alone.n_records
            yield own

    made, expected = iter_bodies(), iter_all([first], body)
    if plain.is_marked and co.format.iter_body:
        made = co.format.iter_body(made)
    if plain.is_trimmed:
        made, expected = trim(made), trim(expected)
    at = find_difference(made, map(counter.see, expected))
    if at is not None:
        problems = [f"they differ from byte {len(header) + at:,} of its text"]
    elif plain.unit and not plain.is_marked and n_records != counter.n_records:
        problems.append(f"{n_records:,} {plain.unit}, expected {counter.n_records:,}")
    if problems:
        return False, f"are NOT the object: {problems[0]}"
    counted = f": {counter.n_records:,} {plain.unit}" if plain.unit else ""
    return True, f"are the object{counted}"


def iter_all(*streams: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of one stream after another."""
    yield from itertools.chain(*streams)


def read_slice(co: CloudObject, part: DataSlice) -> bytes:
    """Return the text of a slice, as it would be in a file."""
    data = co.format.encode(part.get())
    if not data.startswith(GZIP_MAGIC):
        return data
    return b"".join(inflate([data], "a slice"))


def verify_records(
    co: CloudObject, plain: PlainRecords, slices: Sequence[DataSlice]
) -> tuple[bool, str]:
    """Compare the records of slices, in any order: their number, and a sum of sums."""
    found = add_checksums(plain.convert(part, part.get()) for part in slices)
    expected = add_checksums(plain.read(co.source, co.version))
    said = f"hold {found[0]:,} of {expected[0]:,} {plain.unit}"
    if found == expected:
        return True, f"{said}, each with its checksum"
    other = "" if found[0] != expected[0] else ", but others"
    return False, f"{said}{other}: they are NOT the object"


def add_checksums(checksums: Any) -> tuple[int, int]:
    """Return how many there are, and their sum."""
    n, total = 0, np.uint64(0)
    for some in checksums:
        n += len(some)
        total = np.add.reduce([total, np.add.reduce(some, dtype=np.uint64)])
    return n, int(total)


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
