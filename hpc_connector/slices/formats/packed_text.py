"""The text of an object that is plain, bgzip or gzip, by ranges of the text.

Places say how much of the text lies before a byte of the object. At a place of bgzip a
block begins; gzip can be entered at points only, but what a place says is enough to
know how far to read.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import (
    BLOCK_HEADER,
    GZIP_MAGIC,
    HEADER_BYTES,
    MAX_BLOCK_BYTES,
    get_block_bytes,
)
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, MapChunks
from hpc_connector.slices.formats.blocks import NO_END, find_end, inflate
from hpc_connector.slices.gzip_points import Inflater, find_points, inflate_from
from hpc_connector.slices.index import get_place
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Range, Version

PLAIN, BGZIP, GZIP = "plain", "bgzip", "gzip"
CHUNK_BYTES = 8 << 20
PROBE_BYTES = 1 << 20
MOST_SPACING = 10 << 20  # of the text; an eighth of the object matters if it is small

Scan = Callable[[bytes, np.ndarray], Any]


@dataclass(frozen=True)
class Piece:
    """What a piece of the text gave.

    Parameters
    ----------
    places
        Shape (blocks, 2): the byte of the object where a block begins, and the text of
        this piece before it.
    end
        The byte of the object where the piece ends.
    found
        What the scan returned.
    """

    places: np.ndarray
    end: int
    n_text: int
    found: Any


@dataclass(frozen=True)
class Text:
    """What a pass over an object gave.

    Parameters
    ----------
    facts, arrays
        For the index.
    pieces
        In order.
    kept
        Which places of all pieces the index has.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    pieces: list[Piece]
    kept: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """The text before each piece, and all of it."""
        return np.cumsum([0, *(piece.n_text for piece in self.pieces)])


def scan_text(
    source: Source, version: Version, map_chunks: MapChunks, scan: Scan
) -> Text:
    """Read an object once, in parallel if it is not gzip.

    Parameters
    ----------
    scan
        Takes a piece of the text, and where blocks begin in it; at module level.

    Raises
    ------
    BadInput
        An object that is cut or corrupt.
    """
    kind, notes = find_kind(source, version), []
    arrays: dict[str, np.ndarray] = {}
    if kind != GZIP:
        work = scan_bgzip if kind == BGZIP else scan_plain
        firsts = range(0, version.size, CHUNK_BYTES)
        chunks = [(at, min(at + CHUNK_BYTES, version.size)) for at in firsts]
        pieces = map_chunks(functools.partial(work, source, version, scan), chunks)
    if kind == BGZIP and not is_bgzip(source, version, pieces):
        kind = GZIP
    if kind == GZIP:
        arrays, pieces = scan_gzip(source, version, scan)
    elif kind == BGZIP and not find_end(source, version)[1]:
        notes = [NO_END]
    places, kept = join_places(pieces, version.size)
    facts = {"text": kind, "n_text": int(places[-1, 1]), "notes": notes}
    if kind != PLAIN:
        arrays["places"] = places[kept]
    return Text(facts, arrays, pieces, kept)


def find_kind(source: Source, version: Version) -> str:
    """Return how the text of an object is packed, from its first bytes."""
    wanted = (0, min(HEADER_BYTES, version.size))
    (head,) = fetch(source, version, [wanted])
    if BLOCK_HEADER.match(head):
        return BGZIP
    return GZIP if head.startswith(GZIP_MAGIC) else PLAIN


def get_step(size: int) -> int:
    """Return how many bytes of an object lie between places, at least."""
    return min((16 << 10) + size // 4000, 256 << 10)


def join_places(pieces: Sequence[Piece], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all places and the end, and which of them to keep: some in each step."""
    n_text = np.cumsum([0, *(piece.n_text for piece in pieces)])
    parts = [p.places + np.array([0, n]) for p, n in zip(pieces, n_text, strict=False)]
    places = np.concatenate([*parts, [[size, n_text[-1]]]]).astype(np.uint64)
    step = np.uint64(get_step(size))
    kept = np.unique(places[:-1, 0] // step, return_index=True)[1]
    return places, np.append(kept, len(places) - 1)


def scan_plain(source: Source, version: Version, scan: Scan, chunk: Range) -> Piece:
    """Scan a chunk of plain text.

    Parameters
    ----------
    scan
        Finds in a text what the index is of.
    chunk
        Bytes of the object.
    """
    (text,) = fetch(source, version, [chunk])
    places = np.array([[chunk[0], 0]])
    return Piece(places, chunk[1], len(text), scan(text, places[:, 1]))


def scan_bgzip(source: Source, version: Version, scan: Scan, chunk: Range) -> Piece:
    """Scan the blocks that begin in a chunk.

    Parameters
    ----------
    scan
        Finds in a text what the index is of.
    chunk
        Bytes of the object; a block that begins in it may end after it.
    """
    first, last = chunk
    wanted = first, min(last + MAX_BLOCK_BYTES, version.size)
    (data,) = fetch(source, version, [wanted])
    blocks = find_blocks(data, last - first)
    text = inflate(data[blocks[0] : blocks[-1]], source.uri, first + blocks[0])
    n_text = [int.from_bytes(data[b - 4 : b], "little") for b in blocks[1:]]
    at = np.cumsum([0, *n_text])
    places = np.stack([np.array(blocks[:-1], np.int64) + first, at[:-1]], axis=1)
    return Piece(places, first + blocks[-1], len(text), scan(text, at[:-1]))


def find_blocks(data: bytes, last: int) -> list[int]:
    """Return where the blocks that begin before a byte begin, and where they end."""
    found = BLOCK_HEADER.search(data)
    blocks = [min(found.start(), last) if found else last]
    while blocks[-1] < last:
        match = BLOCK_HEADER.match(data, blocks[-1])
        if not match:
            break
        blocks.append(blocks[-1] + get_block_bytes(match))
    return blocks


def is_bgzip(source: Source, version: Version, pieces: Sequence[Piece]) -> bool:
    """Return whether blocks are all of an object; else gzip, or zeros, come after.

    Raises
    ------
    BadInput
        An object that is corrupt: something else comes after a block.
    """
    end = 0
    for piece in pieces:
        if len(piece.places) and piece.places[0, 0] != end:
            break
        end = piece.end if len(piece.places) else end
    if end == version.size:
        return True
    (head,) = fetch(source, version, [(end, min(end + 2, version.size))])
    if head != GZIP_MAGIC and head.strip(b"\0"):
        raise BadInput(f"{source.uri}, byte {end}: expected the start of a bgzip block")
    return False


def scan_gzip(
    source: Source, version: Version, scan: Scan
) -> tuple[dict[str, np.ndarray], list[Piece]]:
    """Scan gzip, and find its points on the way."""
    inflater, step = Inflater(source.uri), get_step(version.size)
    pieces: list[Piece] = []

    def see(data: bytes) -> None:
        for at in range(0, len(data), step):
            first = inflater.n_bytes
            text = inflater.inflate(data[at : at + step])
            places = np.array([[first, 0]])
            found = scan(text, places[:, 1])
            pieces.append(Piece(places, inflater.n_bytes, len(text), found))

    spacing = get_spacing(source, version)
    arrays = find_points(source, version, spacing, see, inflater.finish)
    return arrays, pieces


def get_spacing(source: Source, version: Version) -> int:
    """Return the text between points: a small share, less in large objects."""
    (head,) = fetch(source, version, [(0, min(PROBE_BYTES, version.size))])
    ratio = len(Inflater(source.uri).inflate(head)) / len(head)
    spacing = ((32 << 10) + version.size // 180) * ratio
    return int(np.clip(spacing, 1 << 16, MOST_SPACING))


def make_slice(co: CloudObject, spans: Sequence[Range], **facts: Any) -> DataSlice:
    """Return the slice of some ranges of the text."""
    located = [locate(co, first, last) for first, last in spans]
    facts = {"text": co.index.facts["text"], **facts}
    facts["spans"] = [
        [skip, last - first, bits]
        for (first, last), (_, _, skip, bits) in zip(spans, located, strict=True)
    ]
    part = co.make_slice([wanted for wanted, *_ in located], **facts)
    if facts["text"] != GZIP:
        return part
    return DataSlice(
        part.format,
        part.source,
        part.version,
        part.ranges,
        part.facts,
        co.index_source,
        co.index_version,
        tuple(window for _, window, *_ in located),
    )


def locate(co: CloudObject, first: int, last: int) -> tuple[Range, Range, int, int]:
    """Return where a range of the text is.

    Returns
    -------
    Bytes of the object, bytes of the index, how much text to skip, and bits.
    """
    facts, arrays, nothing = co.index.facts, co.index.arrays, (0, 0)
    if first == last:
        return nothing, nothing, 0, 0
    if facts["text"] == PLAIN:
        return (first, last), nothing, 0, 0
    places = arrays["places"]
    end = int(places[np.searchsorted(places[:, 1], last), 0])
    if facts["text"] == BGZIP:
        byte, before = map(int, places[find_last(places[:, 1], first)])
        return (byte, end), nothing, first - before, 0
    points = arrays["points"]
    n = find_last(points[:, 2], first)
    byte, bits, before, window = map(int, points[n])
    start = get_place(co.index_bytes, "windows")
    windows = start + window, start + int(points[n + 1, 3])
    return (byte - (bits > 0), end), windows, first - before, bits


def find_last(values: np.ndarray, wanted: int) -> int:
    """Return the last of ascending values that is not above what is wanted."""
    return int(np.searchsorted(values, wanted, "right")) - 1


def read_spans(part: DataSlice, pieces: list[bytes]) -> list[bytes]:
    """Return the ranges of the text of a slice.

    Raises
    ------
    BadInput
        Bytes that are cut or corrupt.
    """
    spans = part.facts["spans"]
    windows = pieces[len(spans) :] or [b""] * len(spans)
    texts = []
    for n, (skip, n_text, bits) in enumerate(spans):
        text = unpack(part, n, pieces[n], windows[n], skip + n_text, bits)
        texts.append(text[skip : skip + n_text])
        if len(texts[-1]) != n_text:
            first, last = part.ranges[n]
            raise BadInput(
                f"{part.source.uri}, bytes {first} to {last}: {len(texts[-1])} bytes "
                f"of text, expected {n_text}: corrupt"
            )
    return texts


def unpack(
    part: DataSlice, n: int, data: bytes, window: bytes, n_text: int, bits: int
) -> bytes:
    """Return the text of the bytes of a range.

    Parameters
    ----------
    n
        Number of the range in the slice.
    data
        Its bytes, as they are stored.
    window, bits
        Of gzip: the text before it, and bits of the byte before it that belong to it.
    n_text
        Bytes of its text.
    """
    if part.facts["text"] == PLAIN or not data:
        return data
    if part.facts["text"] == BGZIP:
        return inflate(data, part.source.uri, part.ranges[n][0])
    try:
        return inflate_from(data, bits, window, n_text, part.source.uri)
    except (isal_zlib.error, OSError) as error:  # type: ignore[misc] # of its stubs
        raise BadInput(
            f"{part.source.uri}, byte {part.ranges[n][0]}: corrupt: {error}"
        ) from None
