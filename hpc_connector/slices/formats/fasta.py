"""FASTA, plain, in gzip or bgzip, cut anywhere but in headers.

A sequence that is split has its header again in each slice, with `` offset=N``: how
much of its text, ends of lines and all, comes before.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.packed_text import (
    Text,
    find_last,
    make_slice,
    read_spans,
    scan_text,
)
from hpc_connector.slices.formats.plain import PlainText
from hpc_connector.slices.index import Index
from hpc_connector.slices.strategies import check_count, check_number, cuts
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Range, Version

MARK, NEWLINE = ord(">"), ord("\n")

Found = tuple[np.ndarray, np.ndarray, bytes, bool]


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where headers begin in the text, and how long they are.

    Raises
    ------
    BadInput
        An object that is cut or corrupt, or has no header.
    """
    text = scan_text(source, version, map_chunks, find_headers)
    starts, ends = join_headers(text, source.uri)
    if text.facts["n_text"] and not len(starts):
        raise BadInput(f"{source.uri}: no line begins with '>': expected FASTA")
    facts = {**text.facts, "n_sequences": len(starts)}
    headers = {"starts": starts, "lengths": ends - starts}
    return Index(
        facts,
        {**text.arrays, **{k: a.astype(np.uint64) for k, a in headers.items()}},
    )


def find_headers(text: bytes, blocks: np.ndarray) -> Found:
    """Return where headers may begin in a piece of the text, and where they end.

    What begins the piece is a header only if the piece before ends with a line. A
    header that goes on has no end here: the last value is the first line's, for the
    piece before. Ends are -1 where there is none. Last come the last byte, and whether
    a mark stands behind a carriage return.
    """
    data = np.frombuffer(text, np.uint8)
    marks = np.flatnonzero(data == MARK)
    starts = marks[(marks == 0) | (data[marks - 1] == NEWLINE)]
    newlines = np.append(np.flatnonzero(data == NEWLINE), -2)
    at = np.searchsorted(newlines[:-1], np.append(starts, 0))
    return starts, newlines[at] + 1, text[-1:], b"\r>" in text


def join_headers(text: Text, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where headers begin and end, from what was found in the pieces.

    Raises
    ------
    BadInput
        Lines end with carriage returns alone.
    """
    starts, ends, firsts = [], [], []
    tail = b"\n"
    for piece, before in zip(text.pieces, text.starts, strict=False):
        found, found_ends, last, is_odd = piece.found
        if is_odd or (tail == b"\r" and len(found) and found[0] == 0):
            raise BadInput(
                f"{name}: a header begins behind a carriage return: expected line feeds"
            )
        is_header = (found > 0) | (tail == b"\n")
        starts.append(found[is_header] + before)
        open_end = np.where(found_ends < 0, -1, found_ends + before)
        ends.append(open_end[:-1][is_header])
        firsts.append(open_end[-1:])
        tail = last or tail
    start, end, first = (
        np.concatenate([np.zeros(0, np.int64), *x]) for x in (starts, ends, firsts)
    )
    line_ends = np.append(first[first >= 0], text.facts["n_text"])
    later = line_ends[np.searchsorted(line_ends[:-1], start, "right")]
    return start, np.where(end < 0, later, end)


@cuts("FASTA", by="n_sequences")
def partition_chunks_strategy(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut to slices of as much text, whole headers apart; some may be empty."""
    num_chunks = check_count("num_chunks", num_chunks)
    n_text = co.index.facts["n_text"]
    inner = (move_cut(co, n_text * n // num_chunks) for n in range(1, num_chunks))
    return make_slices(co, [0, *inner, n_text])


@cuts("FASTA", by="n_sequences")
def partition_sequences_per_chunk(
    co: CloudObject, seq_per_chunk: int
) -> list[DataSlice]:
    """Cut to slices of a number of whole sequences; the last may have fewer."""
    seq_per_chunk = check_number("seq_per_chunk", seq_per_chunk)
    inner = co.index.arrays["starts"][seq_per_chunk::seq_per_chunk]
    return make_slices(co, [0, *map(int, inner), co.index.facts["n_text"]])


def find_header(co: CloudObject, at: int) -> Range | None:
    """Return the last header that begins at a place of the text, or before."""
    starts, lengths = co.index.arrays["starts"], co.index.arrays["lengths"]
    n = find_last(starts, at)
    return (int(starts[n]), int(starts[n] + lengths[n])) if n >= 0 else None


def move_cut(co: CloudObject, at: int) -> int:
    """Return where to cut: before a header rather than in it or right behind it."""
    header = find_header(co, at)
    return header[0] if header and at <= header[1] else at


def make_slices(co: CloudObject, cuts: Sequence[int]) -> list[DataSlice]:
    """Return the slices between cuts, places of the text."""
    return [make_part(co, a, b) for a, b in itertools.pairwise(cuts)]


def make_part(co: CloudObject, first: int, last: int) -> DataSlice:
    """Return the slice of a range of the text, and the header of what it splits."""
    header = find_header(co, first) if first < last else None
    if header is None or header[0] == first:
        return make_slice(co, [(0, 0), (first, last)], offset=0)
    return make_slice(co, [header, (first, last)], offset=first - header[1])


def read(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the text of a slice."""
    header, body = read_spans(part, pieces)
    return mark_header(header, part.facts["offset"]) + body if header else body


def mark_header(header: bytes, offset: int) -> bytes:
    r"""Return a header that says where its sequence goes on.

    Examples
    --------
    >>> mark_header(b">chr1 human\r\n", 70)
    b'>chr1 human offset=70\r\n'
    """
    line = header.rstrip(b"\r\n")
    return b"%s offset=%d%s" % (line, offset, header[len(line) :])


def cut_marks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the texts of slices without the headers that were added."""
    header, offset = b"", 0
    for part in parts:
        body = part.removeprefix(mark_header(header, offset)) if offset else part
        yield body
        at = body.rfind(b"\n>") + 1
        if at or (body == part and body.startswith(b">")):
            header = body[at:].partition(b"\n")[0] + b"\n"
            offset = len(body) - at - len(header)
        else:
            offset += len(body) if header else 0


PLAIN = PlainText("sequences", begins=b">", start=b">", is_marked=True)
FASTA = Format(f"{__name__}:FASTA", 2, make_index, read, cut_marks, PLAIN)
