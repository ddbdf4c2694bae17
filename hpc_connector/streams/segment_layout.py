"""The bytes of file segments: names of files, their heads, records, and the seal.

All numbers are little endian. A file begins with :data:`MAGIC` and the u64 sequence of
its first record. A record is u32 CRC-32 of all that follows in it, u32 length of its
body, u64 sequence, u64 time in ns since 1970, and the body: u16 length of the key, key,
value. A seal is a record whose length of the key is :data:`SEAL_KEY`.
"""

import contextlib
import errno
import json
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from zlib_ng.zlib_ng import crc32  # a tenth of the time of zlib's

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.streams.records import (
    MOST_BYTES,
    MOST_SEGMENTS,
    MOST_SEQUENCE,
    START,
    Position,
)

FORMAT_VERSION = 1
ROLL_BYTES = 64 << 20
STREAM = "stream.json"
MAGIC = b"hpcstrm1"
HEAD_BYTES = 16  # of a file
RECORD = struct.Struct("<IIQQH")  # up to the key
TAIL = struct.Struct("<IQQH")  # the same without the checksum
CHECKSUM = struct.Struct("<I")
BODY_AT = 24  # in a record
SEAL_KEY = 0xFFFF
SEAL_VALUE = b'{"sealed": true}'
SEAL_BYTES = RECORD.size + len(SEAL_VALUE)
MOST_BODY = 2 + MOST_BYTES
FILE = re.compile(r"\d{4}-[0-9a-f]{16}\.seg", re.A)
NO_PLACE = (errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
PLACE = re.compile(r"(\d{1,20})(?::(\d{4}-[0-9a-f]{16}\.seg):(\d{1,20}))?", re.A)


class Damaged(BadInput):
    """What is stored is not what was appended."""


@dataclass(frozen=True)
class Settings:
    """What ``stream.json`` says."""

    format_version: int
    segments: int
    created: str
    roll_bytes: int


def make_settings(n_segments: int, roll_bytes: int) -> Settings:
    """Return the settings of a stream that is made now."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Settings(FORMAT_VERSION, n_segments, created, roll_bytes)


class Place(NamedTuple):
    """Where a record is; of a position only the sequence decides.

    Parameters
    ----------
    file
        Name of a file; empty where it is to be looked for.
    byte
        Of the file, where the record begins; 0 before the first record of the file.
    """

    sequence: int
    file: str = ""
    byte: int = 0

    def write(self) -> Position:
        """Return the position: START before the first record that there ever was."""
        return (
            START if self.sequence < 0 else f"{self.sequence}:{self.file}:{self.byte}"
        )

    @classmethod
    def parse(cls, position: Position, where: str) -> Self:
        """Return the place of a position.

        Raises
        ------
        BadInput
            It is none of a file stream.
        """
        if position == START:
            return cls(-1)
        if not (found := PLACE.fullmatch(position)):
            raise BadInput(
                f"{where}: {position!r} is no position: expected SEQUENCE:FILE:BYTE, "
                "as records have it"
            )
        sequence, byte = int(found[1]), int(found[3] or 0)
        if max(sequence, byte) > MOST_SEQUENCE:
            return cls(min(sequence, MOST_SEQUENCE))  # that of no record
        return cls(sequence, found[2] or "", byte)


def check_kept(place: Place, files: Sequence[str], where: str) -> bool:
    """Refuse a place behind which records were deleted.

    Parameters
    ----------
    files
        Those that are kept of the segment, in order.

    Returns
    -------
    Whether the first record that is kept comes next.

    Raises
    ------
    BadInput
        They were; the message has the position from which the first kept is read.
    """
    first = get_first(files[0]) if files else 0
    if place.sequence + 1 < first:
        begins = Place(first - 1, files[0]).write()
        raise BadInput(
            f"{where}: records behind {place.sequence} were deleted: it begins with "
            f"record {first}, expected a position from {begins} on"
        )
    return place.sequence + 1 == first


def refuse_place(place: Place, where: str) -> BadInput:
    """Return what is raised for a place that is that of no record."""
    return BadInput(
        f"{where}: no record has the position {place.write()}: expected one of this "
        "segment"
    )


# A record that is whole in a buffer: start, end, sequence, time_ns, bytes of its key
Whole = tuple[int, int, int, int, int]


@contextlib.contextmanager
def refuse_folder(folder: Path, *also: int) -> Iterator[None]:
    """Turn errors of a folder that cannot be into wrong input.

    Parameters
    ----------
    also
        More numbers of such errors.

    Raises
    ------
    BadInput
        Its name is that of something else, too long, or in what takes no folders.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*NO_PLACE, *also):
            raise
        raise BadInput(f"{folder}: {error.strerror}: expected a folder") from None


def save_settings(folder: Path, settings: Settings) -> None:
    """Publish ``stream.json``, in a folder that is made if there is none."""
    with refuse_folder(folder, errno.ENOENT):  # as in /proc
        folder.mkdir(parents=True, exist_ok=True)
    with publish(folder / STREAM, "open") as stream:
        stream.write(json.dumps(asdict(settings)).encode())


def read_settings(folder: Path) -> Settings | None:
    """Return what ``stream.json`` says, None if there is none.

    Raises
    ------
    BadInput
        It is of another version, or cannot be read.
    """
    path = folder / STREAM
    try:
        with refuse_folder(folder):
            found = json.loads(path.read_bytes())
        if found["format_version"] != FORMAT_VERSION:
            raise BadInput(
                f"{path} has format {found['format_version']}: expected "
                f"{FORMAT_VERSION}"
            )
        segments, roll_bytes = int(found["segments"]), int(found["roll_bytes"])
        if not 1 <= segments <= MOST_SEGMENTS or roll_bytes < 1:
            raise BadInput(
                f"{path}: {segments} segments of files of {roll_bytes} bytes: expected "
                f"1 to {MOST_SEGMENTS}, and a byte or more"
            )
        return Settings(FORMAT_VERSION, segments, str(found["created"]), roll_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except BadInput:
        raise
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadInput(f"{path}: no description of a stream: {error}") from None


def name_file(segment: int, sequence: int) -> str:
    """Return the name of the file of a segment that begins with a sequence.

    Examples
    --------
    >>> name_file(2, 124)
    '0002-000000000000007c.seg'
    """
    return f"{segment:04d}-{sequence:016x}.seg"


def get_first(name: str) -> int:
    """Return the sequence of the first record of a file."""
    return int(name[5:21], 16)


def list_files(folder: Path, segment: int) -> list[str]:
    """Return the names of the files of a segment, in the order of sequences."""
    start = f"{segment:04d}-"
    names = [name for name in os.listdir(folder) if name.startswith(start)]
    return sorted(name for name in names if FILE.fullmatch(name))


def make_head(sequence: int) -> bytes:
    """Return the first bytes of a file."""
    return MAGIC + sequence.to_bytes(8, "little")


def make_record(sequence: int, key: bytes, value: bytes, time_ns: int) -> bytes:
    """Return the bytes of a record."""
    tail = TAIL.pack(2 + len(key) + len(value), sequence, time_ns, len(key)) + key
    checksum = crc32(value, crc32(tail))
    return b"".join((CHECKSUM.pack(checksum), tail, value))


def make_seal(sequence: int) -> bytes:
    """Return the bytes of a seal, whose time is 0."""
    rest = TAIL.pack(2 + len(SEAL_VALUE), sequence, 0, SEAL_KEY) + SEAL_VALUE
    return CHECKSUM.pack(crc32(rest)) + rest


def is_seal(data: bytes) -> bool:
    """Return whether bytes are those of a seal."""
    is_long = len(data) == SEAL_BYTES
    return is_long and data == make_seal(RECORD.unpack_from(data)[2])


def walk(data: bytes, after: int, start: int = 0) -> Iterator[Whole]:
    """Give the records of a buffer, up to the first that is not whole, or a seal.

    The seal is one of them.

    Parameters
    ----------
    after
        A sequence: that of each record is higher than that of the one before it.
    """
    size, view, unpack = len(data), memoryview(data), RECORD.unpack_from
    while start + RECORD.size <= size:
        checksum, n, sequence, time_ns, key_bytes = unpack(data, start)
        end = start + BODY_AT + n
        if not 2 <= n <= MOST_BODY or end > size or sequence <= after:
            return
        if crc32(view[start + 4 : end]) != checksum:
            return
        if key_bytes > n - 2 and key_bytes != SEAL_KEY:
            return
        yield start, end, sequence, time_ns, key_bytes
        if key_bytes == SEAL_KEY:
            return
        start, after = end, sequence


def is_torn(rest: bytes) -> bool:
    """Return whether what is not whole can be the last write of a process that died.

    Parameters
    ----------
    rest
        Of the last file of a segment, from there to its end.

    Returns
    -------
    Whether it ends where its record would, or before, and with no seal; or is nothing
    but zeros, as a machine that died leaves them.
    """
    if len(rest) < RECORD.size or not rest.strip(b"\0"):
        return True
    n: int = RECORD.unpack_from(rest)[1]
    if is_seal(rest[-SEAL_BYTES:]):
        return False
    return 2 <= n <= MOST_BODY and BODY_AT + n >= len(rest)


def find_whole(rest: bytes, after: int) -> int:
    """Return where in what looks torn there is a whole record with a higher sequence.

    Then the length of the first is damaged, and what follows must not be cut.

    Returns
    -------
    Its byte, -1 if there is none.
    """
    if not rest.strip(b"\0"):
        return -1
    for start in range(1, len(rest) - RECORD.size + 1):
        n = int.from_bytes(rest[start + 4 : start + 8], "little")
        size = BODY_AT + n
        if 2 <= n <= len(rest) - start - BODY_AT and any(
            walk(rest[start : start + size], after)
        ):
            return start
    return -1
