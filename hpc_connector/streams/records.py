"""What every stream holds: records, where they stand, and how long they may be."""

import hashlib
from typing import NamedTuple

from hpc_connector.errors import BadInput

Position = str  # opaque: each kind of stream has its own
START, END = "start", "end"
MOST_KEY_BYTES = 65_534
MOST_BYTES = (1 << 20) - 64  # of key and value together
MOST_SEGMENTS = 10_000
MOST_SEQUENCE = (1 << 63) - 1


class OtherSegments(BadInput):
    """A stream is there, and has another number of segments."""


class Record(NamedTuple):
    """One record of a stream.

    Parameters
    ----------
    segment
        Order holds inside of it.
    position
        Of this record: reading from there gives those behind it.
    sequence
        Its number, higher than that of the record before it in its segment; without
        gaps, from 0 on, unless who appends it numbers otherwise.
    time_ns
        Since 1970, by the clock of the writer or server. It is told and orders nothing.
    """

    segment: int
    position: Position
    sequence: int
    key: bytes
    value: bytes
    time_ns: int


def segment_of(key: bytes, n_segments: int) -> int:
    """Return the segment that a key belongs to, the same everywhere.

    Examples
    --------
    >>> [segment_of(b"line%d" % k, 4) for k in range(3)]
    [3, 1, 0]
    """
    digest = hashlib.sha256(key).digest()
    return int.from_bytes(digest[:8], "big") % n_segments


def check_segments(n_segments: int, url: str, found: int | None = None) -> None:
    """Refuse a number of segments that a stream cannot have.

    Parameters
    ----------
    found
        That it has already; None if it is new.

    Raises
    ------
    BadInput
        None, or too many.
    OtherSegments
        Another number than are there.
    """
    if not 1 <= n_segments <= MOST_SEGMENTS:
        raise BadInput(f"{url}: {n_segments} segments: expected 1 to {MOST_SEGMENTS}")
    if found not in (None, n_segments):
        raise OtherSegments(
            f"{url}: is there, with {found} segments: expected {n_segments}"
        )


def name_segment(url: str, segment: int, n_segments: int) -> str:
    """Return the name of a segment for messages.

    Raises
    ------
    BadInput
        The stream has no such segment.
    """
    if not 0 <= segment < n_segments:
        raise BadInput(f"{url}: segment {segment}: expected 0 to {n_segments - 1}")
    return f"{url}: segment {segment}"


def check_sequence(sequence: int, where: str) -> None:
    """Refuse a number that no record can have.

    Raises
    ------
    BadInput
        It is below 0, or not below :data:`MOST_SEQUENCE`.
    """
    if not 0 <= sequence < MOST_SEQUENCE:
        raise BadInput(
            f"{where}: sequence {sequence}: expected 0 to {MOST_SEQUENCE - 1}"
        )


def check_most(most_records: int, where: str) -> None:
    """Refuse to read no record.

    Raises
    ------
    BadInput
        It is less than 1.
    """
    if most_records < 1:
        raise BadInput(f"{where}: {most_records} records at most: expected 1 or more")


def check_record(key: bytes, value: bytes, where: str) -> None:
    """Refuse a record that is too long, before anything of it is written.

    Parameters
    ----------
    where
        The stream, for the message.

    Raises
    ------
    BadInput
        More than :data:`MOST_KEY_BYTES` of key, or :data:`MOST_BYTES` of both.
    """
    if len(key) > MOST_KEY_BYTES:
        raise BadInput(
            f"{where}: a key of {len(key)} bytes: expected at most {MOST_KEY_BYTES}"
        )
    if (n := len(key) + len(value)) > MOST_BYTES:
        raise BadInput(
            f"{where}: a record of {n} bytes: expected at most {MOST_BYTES} of key and "
            "value; longer values are cut by who appends them"
        )


def refuse_missing(url: str) -> BadInput:
    """Return what is raised where no stream is."""
    return BadInput(
        f"{url}: no stream is there: expected one that was made by "
        "hpc-connector streams create"
    )


def refuse_sealed(where: str) -> BadInput:
    """Return what is raised for an append to a segment that has ended."""
    return BadInput(f"{where} is sealed: nothing can be appended")


def refuse_sequence(where: str, sequence: int, last: int) -> BadInput:
    """Return what is raised for a sequence that is passed, and of no record."""
    return BadInput(
        f"{where}: sequence {sequence} is not there, or no more: expected {last + 1} "
        "or higher"
    )
