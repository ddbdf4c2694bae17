"""Indexes of bgzip files by position, .tbi and .csi: where in a file what lies.

Sources: the tabix and CSIv1 specifications of samtools. A bin is a stretch of a contig;
its chunks are between the places where its first record begins and its last one ends.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpc_connector.errors import BadInput

TABIX, CSI = b"TBI\x01", b"CSI\x01"
TABIX_SHIFT, TABIX_DEPTH = 14, 5
MOST_DEPTH, MOST_SHIFT = 20, 60  # shift of the whole contig
CONTIG, BEGIN, END, FIRST, LAST = range(5)  # columns of chunks


@dataclass(frozen=True)
class Tabix:
    """What an index says.

    Parameters
    ----------
    contigs
        Their names; of none where the index leaves them to the file, as that of a BCF.
    chunks
        (n, 5) int64: number of the contig, base where the bin begins, and ends, from 0
        and half-open; place where the chunk begins, and ends. Where the bin begins at
        -1, it is none: what reaches beyond its end begins at the place or later.
    starts
        Places where a record begins, ascending, uint64.
    """

    contigs: list[str]
    chunks: NDArray[np.int64]
    starts: NDArray[np.uint64]


def read_tabix(data: bytes, name: str) -> Tabix:
    """Return the index of a .tbi or .csi.

    Raises
    ------
    BadInput
        Bytes that are no such index, or are cut.
    """
    try:
        return parse_tabix(data, name)
    except (struct.error, ValueError, OverflowError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{name} is cut or corrupt: {error}") from None


def parse_tabix(data: bytes, name: str) -> Tabix:
    """Return an index from its bytes; malformed ones raise errors of many kinds."""
    shift, depth, is_tabix = TABIX_SHIFT, TABIX_DEPTH, data[:4] == TABIX
    if is_tabix:
        (n_contigs,) = struct.unpack_from("<i", data, 4)
        (n_bytes,) = struct.unpack_from("<i", data, 32)
        at, names = 36 + n_bytes, data[36 : 36 + n_bytes]
    elif data[:4] == CSI:
        shift, depth, n_bytes = struct.unpack_from("<3i", data, 4)
        (n_contigs,) = struct.unpack_from("<i", data, 16 + n_bytes)
        at, names = 20 + n_bytes, data[16 + 28 : 16 + n_bytes]
    else:
        raise BadInput(f"{name} is no index of tabix: expected .tbi or .csi")
    if not 0 <= depth <= MOST_DEPTH or n_bytes < 0 or n_contigs < 0:
        raise ValueError("a number is out of range")
    if not 0 <= shift + 3 * depth <= MOST_SHIFT:
        raise ValueError("a number is out of range")
    found = [np.zeros((0, 5), np.int64)]
    for contig in range(n_contigs):
        at = read_bins(data, at, (contig, shift, depth), found, has_offset=not is_tabix)
        if is_tabix:
            at = read_linear(data, at, contig, found)
    chunks = np.concatenate(found)
    contigs = [word.decode() for word in names.split(b"\0")[:-1]]
    return Tabix(contigs, chunks, np.unique(chunks[:, FIRST]).astype(np.uint64))


def read_bins(
    data: bytes,
    at: int,
    bins: tuple[int, int, int],
    found: list[np.ndarray],
    *,
    has_offset: bool,
) -> int:
    """Add the chunks of the bins of a contig to `found`; return where they end.

    The bin after the last holds numbers of records, and no place.

    Parameters
    ----------
    data, at
        The index, and where the bins of the contig begin.
    bins
        Number of the contig, bits of the smallest bins, and levels.
    found
        Rows of places, to which some are added.
    has_offset
        Bins say where the first record lies, as in a .csi.
    """
    contig, shift, depth = bins
    numbers = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    (n_bins,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(n_bins):
        (number,) = struct.unpack_from("<I", data, at)
        least = struct.unpack_from("<q", data, at + 4) if has_offset else (0,)
        at += 12 if has_offset else 4
        places = read_array(data, at, "<u8", 16)
        at += 4 + places.nbytes
        if number != numbers:
            rows = np.empty((len(places) // 2, 5), np.int64)
            rows[:, CONTIG], rows[:, FIRST:] = contig, places.reshape(-1, 2)
            rows[:, BEGIN:FIRST] = span = get_span(number, shift, depth)
            found += [rows, get_bounds(contig, span[:1], least)]
    return at


def read_linear(data: bytes, at: int, contig: int, found: list[np.ndarray]) -> int:
    """Add the linear index of a contig to `found`; return where it ends.

    Parameters
    ----------
    data, at
        The index, and where its part of the contig begins.
    contig
        Its number.
    found
        Rows of places, to which some are added.
    """
    places = read_array(data, at, "<u8", 8)
    found.append(get_bounds(contig, np.arange(len(places)) << TABIX_SHIFT, places))
    return at + 4 + places.nbytes


def get_bounds(contig: int, bases: ArrayLike, places: ArrayLike) -> NDArray[np.int64]:
    """Return rows that say where what reaches beyond some bases begins, if known."""
    rows = np.empty((len(np.asarray(places)), 5), np.int64)
    rows[:, CONTIG], rows[:, BEGIN], rows[:, END] = contig, -1, bases
    rows[:, FIRST] = rows[:, LAST] = places
    known: NDArray[np.int64] = rows[rows[:, FIRST] != 0]
    return known


def read_array(data: bytes, at: int, dtype: str, item_bytes: int) -> NDArray[Any]:
    """Return an array behind the number of its items.

    Parameters
    ----------
    data, at
        The index, and where the number of items is.
    dtype
        Of numbers.
    item_bytes
        Of an item, which may be several numbers.
    """
    (n_items,) = struct.unpack_from("<i", data, at)
    if not 0 <= n_items * item_bytes <= len(data) - at - 4:
        raise ValueError(f"{n_items} places in {len(data) - at - 4} bytes")
    n_numbers = n_items * item_bytes // np.dtype(dtype).itemsize
    return np.frombuffer(data, dtype, n_numbers, at + 4)


def get_span(number: int, shift: int, depth: int) -> tuple[int, int]:
    """Return where a bin begins and ends on its contig, from 0 and half-open.

    Examples
    --------
    >>> get_span(0, 14, 5), get_span(4682, 14, 5)
    ((0, 536870912), (16384, 32768))
    """
    level = before = 0
    while number >= before + (1 << 3 * level):
        before += 1 << 3 * level
        level += 1
    if level > depth:
        raise ValueError(f"there is no bin {number}")
    width = 1 << shift + 3 * (depth - level)
    return (number - before) * width, (number - before + 1) * width


def find_region(
    chunks: NDArray[np.int64], contig: int, start: int, stop: int
) -> tuple[int, int]:
    """Return two places: records that begin in a region lie between them.

    The region is from 0 and half-open. Records are sorted: after one that begins at
    `stop` or later, all do.
    """
    own = chunks[chunks[:, CONTIG] == contig]
    if not len(own) or start >= stop:
        return 0, 0
    before = own[own[:, END] <= start, LAST]
    after = own[own[:, BEGIN] >= stop, FIRST]
    first = int(before.max(initial=own[:, FIRST].min()))
    last = int(after.min(initial=own[:, LAST].max()))
    return first, max(first, last)
