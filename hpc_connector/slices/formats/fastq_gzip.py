"""FASTQ in gzip or bgzip, cut at reads: four lines each, none of them wrapped."""

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks, encode
from hpc_connector.slices.formats.packed_text import (
    PLAIN,
    Text,
    make_slice,
    read_spans,
    scan_text,
)
from hpc_connector.slices.formats.plain import ANY, PlainText
from hpc_connector.slices.index import Index
from hpc_connector.slices.strategies import check_count, check_number, cuts
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Version

LINES = 4  # of a read
NEWLINE, BLANK = ord("\n"), b" \t\r\n"


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return places of the text, and how many lines end before each.

    Raises
    ------
    BadInput
        An object that is cut, corrupt, no gzip, or whose lines are not four a read.
    """
    text = scan_text(source, version, map_chunks, count_lines)
    if text.facts["text"] == PLAIN and version.size:
        raise BadInput(f"{source.uri}, byte 0: expected gzip data")
    totals = np.cumsum([0, *(piece.found[1] for piece in text.pieces)])
    parts = [p.found[0] + n for p, n in zip(text.pieces, totals, strict=False)]
    lines = np.concatenate([*parts, totals[-1:]]).astype(np.uint64)
    n_reads, n_blank = count_reads(text, int(totals[-1]), source.uri)
    notes = text.facts["notes"]
    if n_blank:
        notes = [*notes, f"blank lines after the last read are left out: {n_blank}"]
    facts = {**text.facts, "n_reads": n_reads, "notes": notes}
    return Index(facts, {**text.arrays, "lines": lines[text.kept]})


def count_lines(text: bytes, blocks: np.ndarray) -> tuple[np.ndarray, int, bytes]:
    """Return the lines that end before each block, and in all; and the blank end."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)
    n_blank = len(text) - len(text.rstrip(BLANK))
    return np.searchsorted(ends, blocks), len(ends), text[len(text) - n_blank :]


def count_reads(text: Text, n_ends: int, name: str) -> tuple[int, int]:
    """Return how many reads there are, and how many blank lines behind them.

    A read may be empty, so that its last line is blank.

    Raises
    ------
    BadInput
        Lines that are not four a read.
    """
    tail = b""
    for piece in reversed(text.pieces):
        tail = piece.found[2] + tail
        if len(piece.found[2]) < piece.n_text:
            break
    if len(tail) == text.facts["n_text"]:
        return 0, n_ends
    n_lines = n_ends - tail.count(b"\n") + 1
    _, *blank = tail.split(b"\n")
    n_blank = len(blank) - (blank[-1:] == [b""])
    if n_lines % LINES == LINES - 1 and n_blank:
        n_lines, n_blank = n_lines + 1, n_blank - 1
    if n_lines % LINES:
        behind = f", then {n_blank} blank ones" if n_blank else ""
        raise BadInput(
            f"{name}: {n_lines} lines{behind}, expected {LINES} for each read"
        )
    return n_lines // LINES, n_blank


@cuts("FASTQGZip", by="n_reads")
def partition_reads_batches(co: CloudObject, num_batches: int) -> list[DataSlice]:
    """Cut to slices of as many reads, or one more; some may be empty."""
    num_batches = check_count("num_batches", num_batches)
    n_reads = co.index.facts["n_reads"]
    return make_slices(co, [n_reads * n // num_batches for n in range(num_batches + 1)])


@cuts("FASTQGZip", by="n_reads")
def partition_sequences_per_chunk(
    co: CloudObject, seq_per_chunk: int, strategy: str = "expand"
) -> list[DataSlice]:
    """Cut to slices of a number of reads.

    Parameters
    ----------
    strategy
        ``expand``: what remains is a slice of its own; ``merge``: of the last.
    """
    seq_per_chunk = check_number("seq_per_chunk", seq_per_chunk)
    if strategy not in ("expand", "merge"):
        raise BadInput(f"strategy: {strategy!r}: expected 'expand' or 'merge'")
    n_reads = co.index.facts["n_reads"]
    cuts = [*range(0, n_reads, seq_per_chunk), n_reads]
    if strategy == "merge" and n_reads % seq_per_chunk and len(cuts) > 2:
        del cuts[-2]
    return make_slices(co, cuts)


@cuts("FASTQGZip", by="n_reads")
def partition_num_chunks(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut to slices of about as many bytes of the object; some may be empty."""
    num_chunks = check_count("num_chunks", num_chunks)
    if not co.size:
        return make_slices(co, [0] * (num_chunks + 1))
    wanted = [co.size * n // num_chunks for n in range(1, num_chunks)]
    near = np.searchsorted(co.index.arrays["places"][:, 0], wanted)
    n_reads = co.index.facts["n_reads"]  # behind which may be blank lines
    inner = [min(-(-int(n) // LINES), n_reads) for n in co.index.arrays["lines"][near]]
    return make_slices(co, [0, *inner, n_reads])


def make_slices(co: CloudObject, cuts: Sequence[int]) -> list[DataSlice]:
    """Return the slices between cuts, numbers of reads."""
    return [make_reads_slice(co, a, b) for a, b in itertools.pairwise(cuts)]


def make_reads_slice(co: CloudObject, first: int, last: int) -> DataSlice:
    """Return the slice of some reads: of the text between places around them."""
    if first >= last:
        return make_slice(co, [(0, 0)], skip=0, n_lines=0)
    lines, text = co.index.arrays["lines"], co.index.arrays["places"][:, 1]
    start = max(int(np.searchsorted(lines, LINES * first)) - 1, 0)
    end = min(int(np.searchsorted(lines, LINES * last)), len(lines) - 1)
    return make_slice(
        co,
        [(int(text[start]), int(text[end]))],
        skip=LINES * first - int(lines[start]),
        n_lines=LINES * (last - first),
    )


def read(part: DataSlice, pieces: list[bytes]) -> list[str]:
    r"""Return the lines of a slice, each with its ``\n``.

    Raises
    ------
    BadInput
        Lines that are no FASTQ.
    """
    (text,) = read_spans(part, pieces)
    skip, n_lines = part.facts["skip"], part.facts["n_lines"]
    lines = io.BytesIO(text).readlines()[skip : skip + n_lines]
    for at, mark in ((0, b"@"), (2, b"+")):
        for line in lines[at::LINES]:
            if not line.startswith(mark):
                raise BadInput(
                    f"{part.source.uri}: line {line[:40]!r}, expected {mark.decode()!r}"
                )
    return [line.decode("utf-8", "surrogateescape") for line in lines]


def iter_body(parts: Iterable[Any]) -> Iterator[bytes]:
    """Yield the text from the lines of all slices."""
    return map(encode, parts)


READS_PLAIN = PlainText(
    "reads", ends=b"\n", begins=ANY, each=LINES, start=b"@", is_trimmed=True
)
FASTQGZip = Format(f"{__name__}:FASTQGZip", 3, make_index, read, iter_body, READS_PLAIN)
