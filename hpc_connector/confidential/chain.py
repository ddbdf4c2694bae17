"""Lines of JSON, each chained to the one before by its SHA-256.

Whoever changes, drops or moves a line breaks the chain at that line; what is cut off at
the end does not show.
"""

import hashlib
import os
from datetime import UTC, datetime
from typing import BinaryIO

FIRST = "0" * 64  # before the first line
TAIL_BYTES = 1 << 12


def hash_line(line: bytes) -> str:
    """Return the SHA-256 of a line without its newline, hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def get_time() -> str:
    """Return the time in UTC, to the millisecond."""
    return format_time(datetime.now(UTC))


def format_time(when: datetime) -> str:
    """Return a time in UTC, to the millisecond."""
    text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def read_last(stream: BinaryIO) -> bytes:
    """Return the last line of a file, without its newline; empty if there is none.

    What a crash has left of a line is cut off: nothing was done by it yet.
    """
    size, want = stream.seek(0, os.SEEK_END), TAIL_BYTES
    while True:
        stream.seek(max(0, size - want))
        data = stream.read()
        whole, newline, torn = data.rpartition(b"\n")
        if (newline and b"\n" in whole) or want >= size:
            break
        want *= 2
    if torn:
        stream.truncate(size - len(torn))
    return whole.rpartition(b"\n")[2] if newline else b""


def append_line(stream: BinaryIO, line: bytes) -> None:
    """Append a line, and wait until it is on the disk."""
    stream.write(line + b"\n")
    stream.flush()
    os.fdatasync(stream.fileno())
