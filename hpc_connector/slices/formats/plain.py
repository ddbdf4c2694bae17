"""Objects as anybody reads them: from first to last, by no index and no strategy.

What verifies slices must not share what they are made by, or it agrees with their
mistakes. So text is inflated by zlib, lines end as Python has it, and records are told
by where they begin.
"""

import csv
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

CHUNK_BYTES = 8 << 20  # read at once
GIVEN_BYTES = 1 << 16  # to inflate at once: a block of bgzip or few
GZIP_MAGIC = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"  # of UTF-8
ANY = bytes(range(256))
MOST_MARKED = 1000  # lines that may be comments
SPACE, LINE_ENDS = b" \t\n\r\v\f", b"\r\n"

FindHeader = Callable[[bytes], int | None]


@dataclass(frozen=True)
class PlainText:
    """How the text of a format is read.

    Parameters
    ----------
    unit
        What its records are called; nothing where they are not counted.
    find_header
        Takes the first bytes, and returns how many are the header; None if there may be
        more.
    ends, begins
        Bytes between which a record begins: the one before, and its first.
    each
        Lines of a record, where those are counted.
    start
        What a slice must begin with after its header, if the object does.
    is_marked
        Slices have headers within the text too, which ``iter_body`` takes away.
    is_trimmed
        Blank lines at the end are no part of it.
    """

    unit: str
    find_header: FindHeader = lambda data: 0
    ends: bytes = LINE_ENDS
    begins: bytes = bytes(set(ANY) - set(LINE_ENDS))
    each: int = 1
    start: bytes = b""
    is_marked: bool = False
    is_trimmed: bool = False


@dataclass(frozen=True)
class PlainRecords:
    """How the records of a format are read that are no text.

    Parameters
    ----------
    unit
        What they are called.
    read
        Takes a source and its version; yields checksums of records, uint64.
    convert
        Takes a slice and what it gave; returns the checksums of its records.
    """

    unit: str
    read: Callable[[Source, Version], Iterator[np.ndarray]]
    convert: Callable[[Any, Any], np.ndarray]


def read_text(source: Source, version: Version) -> Iterator[bytes]:
    """Yield the bytes of an object, decompressed if it is gzip or bgzip.

    Raises
    ------
    BadInput
        An object that is cut or corrupt.
    """
    chunks = read_chunks(source, version)
    first = next(chunks, b"")
    whole = (data for part in ([first], chunks) for data in part)
    return inflate(whole, source.uri) if first.startswith(GZIP_MAGIC) else whole


def read_chunks(source: Source, version: Version) -> Iterator[bytes]:
    """Yield the bytes of an object as it is stored."""
    for first in range(0, version.size, CHUNK_BYTES):
        wanted = first, min(first + CHUNK_BYTES, version.size)
        yield fetch(source, version, [wanted])[0]


def inflate(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield what members of gzip hold, with zeros between them or behind.

    Raises
    ------
    BadInput
        One that is cut or corrupt.
    """
    member = None
    for chunk in chunks:
        for at in range(0, len(chunk), GIVEN_BYTES):
            data = chunk[at : at + GIVEN_BYTES]
            while data:
                if member is None or member.eof:
                    data = data.lstrip(b"\0")
                    member = zlib.decompressobj(31) if data else None
                    continue
                try:
                    yield member.decompress(data)
                except zlib.error as error:
                    raise BadInput(f"{name} is corrupt: {error}") from None
                data = member.unused_data
    if member and not member.eof:
        raise BadInput(f"{name} is cut: its last member of gzip has no end")


def split_header(
    stream: Iterator[bytes], find_header: FindHeader
) -> tuple[bytes, Iterator[bytes]]:
    """Return the header of a text, all of it where that has no end, and the rest."""
    held, n = b"", find_header(b"")
    while n is None and (data := next(stream, None)) is not None:
        held += data
        n = find_header(held)
    n = find_header(held + b"\n") if n is None else n  # the last line may have no end
    n = len(held) if n is None else n
    return held[:n], (data for part in ([held[n:]], stream) for data in part)


def find_names(data: bytes) -> int | None:
    """Return where the header of a table ends: after the names of columns."""
    lines = data.splitlines(keepends=True)
    lines = lines if data.endswith(b"\n") else lines[:-1]  # the last may go on
    texts = [line.removeprefix(MARK).strip() for line in lines]
    rows = [n for n, text in enumerate(texts) if text and not is_separator(text)]
    first = next((n for n in rows if not texts[n].startswith(b"#")), None)
    marked = [n for n in rows[:MOST_MARKED] if not texts[n].startswith(b"##")]
    marked = [n for n in marked if first is None or n < first]
    for n in marked:
        after = next((m for m in (first, *marked) if m not in (None, n)), None)
        if after is not None and has_as_many(texts[n], texts[after]):
            return len(b"".join(lines[: n + 1]))
    return None if first is None else len(b"".join(lines[: first + 1]))


def has_as_many(names: bytes, row: bytes) -> bool:
    """Return whether a row has as many fields as there are names."""
    texts = [one.decode("latin-1") for one in (names, row)]
    delimiter = max(",;\t|", key=texts[0].count)
    try:
        fields = list(csv.reader(texts, delimiter=delimiter))
    except csv.Error:  # of a comment too long for a field
        return False
    return len(fields[0]) == len(fields[-1])


def is_separator(line: bytes) -> bool:
    """Return whether a line says to spreadsheets what is between fields: ``sep=;``."""
    return len(line) <= 7 and line.strip(b'"').lower().startswith(b"sep=")


def find_unmarked(data: bytes) -> int | None:
    """Return where the header of a VCF ends: before what is not blank nor marked."""
    n_bytes = 0
    for line in io.BytesIO(data):
        text = line.removeprefix(MARK).strip()
        if text and not text.startswith(b"#"):
            return n_bytes
        n_bytes += len(line)
    return None


def trim(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text without the blank lines at its end, and without its last end."""
    held = b""
    for data in stream:
        data = held + data
        kept = data.rstrip(SPACE)
        held = data[len(kept) :]
        yield kept


class Counter:
    """Counts the records of a text that is seen piece by piece."""

    def __init__(self, plain: PlainText):
        self.is_end, self.is_begin = (
            np.isin(np.arange(256), list(some)) for some in (plain.ends, plain.begins)
        )
        self.each, self.n_starts, self.n_bytes = plain.each, 0, 0
        self.is_after_end = True

    def see(self, data: bytes) -> bytes:
        """Count what begins in a piece, and return it."""
        if data:
            bytes_ = np.frombuffer(data, np.uint8)
            is_after = np.empty(len(data), bool)
            is_after[0] = self.is_after_end
            is_after[1:] = self.is_end[bytes_[:-1]]
            self.n_starts += int(np.count_nonzero(is_after & self.is_begin[bytes_]))
            self.is_after_end = bool(self.is_end[bytes_[-1]])
            self.n_bytes += len(data)
        return data

    @property
    def n_records(self) -> int:
        """Records that have begun."""
        return -(-self.n_starts // self.each)


class ObjectStream(io.RawIOBase):
    """An object as a file, for libraries that read files."""

    def __init__(self, source: Source, version: Version):
        self.source, self.version, self.at = source, version, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place; return it."""
        self.at = offset + (0, self.at, self.version.size)[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as there are, and as the buffer holds."""
        last = min(self.at + len(buffer), self.version.size)
        if last <= self.at:
            return 0
        (data,) = fetch(self.source, self.version, [(self.at, last)])
        buffer[: len(data)] = data
        self.at = last
        return len(data)


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """Return a checksum of each row of bytes, uint64, by splitmix64 of its words."""
    n, width = rows.shape
    words = np.zeros((n, -(-width // 8) * 8), np.uint8)
    words[:, :width] = rows
    found = np.full(n, width, np.uint64)
    for column in words.view(np.uint64).T:
        found = mix(found ^ column)
    return found


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers that are far from each other where those given are near."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def hash_bytes(*parts: bytes) -> int:
    """Return a checksum of some bytes."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return int.from_bytes(found.digest(), "little")
