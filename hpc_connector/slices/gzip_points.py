"""Places where plain gzip can be entered: a bit of the file, and the text before it.

Deflate copies from the last 32 KiB of text (RFC 1951), so whoever has those, the window
of a point, can go on from there: the access points of zlib's examples/zran.c. Of a
window only the bytes that are copied are kept; the others are zeros, which pack well.
"""

import bz2
import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

MEMBER, DEFLATE = 31, -15  # wbits
MAGIC = b"\x1f\x8b\x08"
TRAILER_BYTES = 8
CHUNK_BYTES = 16 << 20
BUFFER_BYTES = 1 << 20  # of indexed_gzip, which may go back as far
WINDOW_BYTES = 1 << 15
AHEAD_BYTES = WINDOW_BYTES + (1 << 11)  # of the object, that hold as much text
HEAD = struct.Struct("<5s2BQQIII")  # of an exported index, version 1
POINT = np.dtype([("byte", "<u8"), ("text", "<u8"), ("bits", "u1"), ("window", "u1")])

See = Callable[[bytes], None]


class Inflater:
    """What inflates gzip, given byte after byte, of any number of members."""

    def __init__(self, name: str):
        self.name = name
        self.n_bytes = 0
        self.member = isal_zlib.decompressobj(wbits=MEMBER)

    def inflate(self, data: bytes) -> bytes:
        """Return the text that more bytes add.

        Raises
        ------
        BadInput
            Bytes that are no gzip, or text whose checksum is another.
        """
        pieces = []
        self.n_bytes += len(data)
        while data:
            if self.member.eof:
                data = data.lstrip(b"\0")  # padding, as of tapes
                if not data:
                    break
                self.member = isal_zlib.decompressobj(wbits=MEMBER)
            at = self.n_bytes - len(data)
            try:
                pieces.append(self.member.decompress(data))
            except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
                raise BadInput(
                    f"{self.name}, after byte {at}: corrupt: {error}"
                ) from None
            data = self.member.unused_data
        return b"".join(pieces)

    def finish(self) -> None:
        """Raise BadInput if the last member has no end."""
        if not self.member.eof:
            raise BadInput(
                f"{self.name} is cut at byte {self.n_bytes}: the gzip data go on"
            )


class Stream(io.RawIOBase):
    """An object as a file, fetched once from first to last; `see` gets every byte."""

    def __init__(self, source: Source, version: Version, see: See):
        self.source, self.version, self.see = source, version, see
        self.at = self.start = 0
        self.data = b""
        self.problem: BadInput | None = None

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: D102
        self.at = offset + (0, self.at, self.version.size)[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        """Return bytes, none after a problem: the C code above knows no exceptions."""
        last = min(self.at + size, self.version.size) if size >= 0 else None
        self.load(self.version.size if last is None else last)
        assert self.at >= self.start
        first = self.at - self.start
        data = self.data[first : None if last is None else last - self.start]
        self.at += len(data)
        return data

    def load(self, last: int) -> None:
        """Fetch up to a byte of the object; keep what a reader may go back to."""
        end = self.start + len(self.data)
        while end < last and self.problem is None:
            wanted = end, min(end + CHUNK_BYTES, self.version.size)
            try:
                (new,) = fetch(self.source, self.version, [wanted])
                self.see(new)
            except BadInput as problem:
                self.problem = problem
                return
            kept = self.data[-2 * BUFFER_BYTES :]
            self.start, self.data = end - len(kept), kept + new
            end = wanted[1]


def find_points(
    source: Source, version: Version, spacing: int, see: See, finish: Callable[[], None]
) -> dict[str, np.ndarray]:
    """Return where gzip can be entered, from one pass over it.

    Parameters
    ----------
    spacing
        Bytes of text between points, about.
    see
        Gets all bytes of the object, in order.
    finish
        Called after the last.

    Returns
    -------
    ``points``, uint64 of shape (n + 1, 4): the byte after the bits, how many bits of
    the byte before belong to the point, the text before it, and where its window begins
    in ``windows``, uint8, each window compressed by itself. The last is the end.

    Raises
    ------
    BadInput
        An object that is cut or corrupt; also what `see` and `finish` raise.
    """
    import indexed_gzip

    stream = Stream(source, version, see)
    packed = io.BytesIO()
    try:
        with indexed_gzip.IndexedGzipFile(
            fileobj=stream, spacing=spacing, readbuf_size=BUFFER_BYTES
        ) as file:
            file.build_full_index()
            file.export_index(fileobj=packed)
        failure = None
    except (indexed_gzip.ZranError, OSError, ValueError) as error:
        failure = error  # the others have more to say
    stream.load(version.size)
    if stream.problem:
        raise stream.problem
    finish()
    if failure:
        raise BadInput(f"{source.uri}: {failure}")
    return read_points(source, version, packed.getbuffer())


def read_points(source: Source, version: Version, packed: Any) -> dict[str, np.ndarray]:
    """Return points and windows of an index that indexed_gzip exported."""
    _, _, _, _, n_text, _, n_window, n_points = HEAD.unpack_from(packed)
    found = np.frombuffer(packed, POINT, n_points, HEAD.size)
    at = HEAD.size + found.nbytes
    firsts = [(int(point["byte"]) - (point["bits"] > 0)) for point in found]
    ahead = [(first, min(first + AHEAD_BYTES, version.size)) for first in firsts]
    pieces = fetch(source, version, ahead)
    windows = []
    for (_, _, bits, has_window), piece in zip(found.tolist(), pieces, strict=True):
        data = bytes(packed[at : at + n_window * has_window])
        windows.append(bz2.compress(thin(data, piece, bits)) if data else b"")
        at += len(data)
    ends = np.cumsum([0, *map(len, windows)])
    columns = [found["byte"], found["bits"], found["text"], ends[:-1]]
    points = np.stack([column.astype(np.uint64) for column in columns], axis=1)
    end = np.array([[version.size, 0, n_text, ends[-1]]], np.uint64)
    return {
        "points": np.concatenate([points, end]),
        "windows": np.frombuffer(b"".join(windows), np.uint8),
    }


def thin(window: bytes, data: bytes, bits: int) -> bytes:
    """Return a window with zeros where no text is copied from.

    Deflate looks back 32 KiB, so the first 32 KiB of text show all that is copied: in
    windows that number their bytes, each byte of that text says where it is from.

    Parameters
    ----------
    data, bits
        As of ``inflate_from``.
    """
    number = np.arange(len(window))
    low, high = (number & 255).astype(np.uint8), (number >> 8).astype(np.uint8)
    one, other, highs = (inflate_ahead(w, data, bits) for w in (low, ~low, high))
    if one is None or other is None or highs is None:
        return window
    is_copied = one != other
    kept = np.zeros_like(low)
    places = highs[is_copied].astype(np.int64) << 8 | one[is_copied]
    kept[places] = np.frombuffer(window, np.uint8)[places]
    return kept.tobytes()


def inflate_ahead(window: np.ndarray, data: bytes, bits: int) -> np.ndarray | None:
    """Return the first 32 KiB of text after a point, or all; None if data are short."""
    member = isal_zlib.decompressobj(wbits=DEFLATE, zdict=window.tobytes())
    text = member.decompress(shift(data, bits), WINDOW_BYTES)
    is_all = member.eof or len(text) == WINDOW_BYTES
    return np.frombuffer(text, np.uint8) if is_all else None


def inflate_from(
    data: bytes, bits: int, window: bytes, n_text: int, name: str
) -> bytes:
    """Return the text that begins at a point.

    Parameters
    ----------
    data
        From the byte of the point on, or from the one before if there are `bits`.
    bits
        How many bits of the first byte belong to it, 0 for all of the next.
    window
        As it is stored; may be empty.
    n_text
        Bytes of text that are wanted; fewer come back if `data` end before, more if
        another member begins.
    """
    known = bz2.decompress(window) if window else b""
    member = isal_zlib.decompressobj(wbits=DEFLATE, zdict=known)
    pieces = [member.decompress(shift(data, bits), n_text)]
    n_text -= len(pieces[0])
    # The trailer begins at this byte or, after a shift, maybe at the next: so does the
    # member behind it, whose first bytes tell.
    at = len(data) - len(member.unused_data) + TRAILER_BYTES
    at = data.find(MAGIC, at) if n_text and member.eof else -1
    if at >= 0:
        inflater = Inflater(name)
        for n in range(at, len(data), BUFFER_BYTES):
            pieces.append(inflater.inflate(data[n : n + BUFFER_BYTES]))
    return b"".join(pieces)


def shift(data: bytes, bits: int) -> bytes:
    """Return bytes from the last bits of the first on; deflate counts upwards."""
    if not bits or not data:
        return data
    at = np.frombuffer(data + b"\0", np.uint8)
    low = at[:-1] >> np.uint8(8 - bits)
    return (low | (at[1:] << np.uint8(bits))).tobytes()
