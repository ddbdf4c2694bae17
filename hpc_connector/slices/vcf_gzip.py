"""VCF in bgzip, cut at records by its .tbi or .csi: no byte of it is read to index it.

The indexes are those of tabix (SAM/BAM and tabix specifications of samtools). Where
there is none, the file is read once.
"""

import itertools
import struct
from typing import Any

import numpy as np

from hpc_connector import storage
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK, MAX_BLOCK_BYTES
from hpc_connector.slices.blocks import WITHIN, cut_between, get_bytes_between, inflate
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.index import Index
from hpc_connector.storage import Source, Version

TABIX, CSI = b"TBI\x01", b"CSI\x01"
NUMBERS = 37450  # the bin of a .tbi that holds no places
CHUNK_BYTES = 4 << 20


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return the places where records begin that are known, and where they end."""
    for ending in (".tbi", ".csi"):
        packed = storage.read_whole(source.beside(ending))
        if packed is not None:
            name = f"{source.uri}{ending}"
            starts = read_tabix(inflate(packed, name, 0), name)
            break
    else:
        starts = find_records(source, version)
    end = (version.size - len(EMPTY_BLOCK)) << WITHIN
    if len(starts) and not 0 < starts[0] <= starts[-1] < end + (1 << WITHIN):
        raise BadInput(f"{source.uri}: its index is that of another file")
    first = int(starts[0]) if len(starts) else end
    return Index({"first": first, "end": end}, {"starts": starts.astype(np.uint64)})


def read_tabix(data: bytes, name: str) -> np.ndarray:
    """Return the places of a .tbi or .csi, ascending: at each of them a record begins.

    Raises
    ------
    BadInput
        Bytes that are no such index, or are cut.
    """
    try:
        if data[:4] == TABIX:
            (n_names,) = struct.unpack_from("<i", data, 4)
            (n_bytes,) = struct.unpack_from("<i", data, 32)
            found = read_bins(data, 36 + n_bytes, n_names, NUMBERS, has_offset=False)
        elif data[:4] == CSI:
            depth, n_bytes = struct.unpack_from("<2i", data, 8)
            (n_names,) = struct.unpack_from("<i", data, 16 + n_bytes)
            numbers = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
            found = read_bins(data, 20 + n_bytes, n_names, numbers, has_offset=True)
        else:
            raise BadInput(f"{name} is no index of tabix: expected .tbi or .csi")
    except (struct.error, ValueError) as error:
        raise BadInput(f"{name} is cut: {error}") from None
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def read_bins(
    data: bytes, at: int, n_names: int, numbers: int, *, has_offset: bool
) -> list[np.ndarray]:
    """Return the places in the bins, and in the linear index of a .tbi.

    The bin `numbers` holds numbers of records, and no place.
    """
    found = []
    for _ in range(n_names):
        (n_bins,) = struct.unpack_from("<i", data, at)
        at += 4
        for _ in range(n_bins):
            (number,) = struct.unpack_from("<I", data, at)
            at += 12 if has_offset else 4
            (n_chunks,) = struct.unpack_from("<i", data, at)
            chunks = np.frombuffer(data, "<u8", 2 * n_chunks, at + 4)
            at += 4 + 16 * n_chunks
            if number != numbers:
                found.append(chunks[::2])
        if not has_offset:
            (n_intervals,) = struct.unpack_from("<i", data, at)
            linear = np.frombuffer(data, "<u8", n_intervals, at + 4)
            found.append(linear[linear > 0])
            at += 4 + 8 * n_intervals
    return found


def find_records(source: Source, version: Version) -> np.ndarray:
    """Return the place of the first record that begins in each block of a file."""
    at, starts, is_line_start = 0, [], True
    data = b""
    while at < version.size:
        last = min(at + CHUNK_BYTES, version.size)
        (data,) = storage.fetch(source, version, [(at, last)])
        n_read = 0
        while n_read < len(data):
            n_bytes = get_block_bytes(data, n_read, source.uri, at)
            if n_read + n_bytes > len(data):
                break
            content = inflate(data[n_read : n_read + n_bytes], source.uri, at + n_read)
            place = find_record(content, is_line_start)
            if place is not None:
                starts.append((at + n_read) << WITHIN | place)
            is_line_start = content.endswith(b"\n") if content else is_line_start
            n_read += n_bytes
        if n_read == 0:
            raise BadInput(f"{source.uri}, byte {at}: the bgzip block is cut")
        at += n_read
    if data[-len(EMPTY_BLOCK) :] != EMPTY_BLOCK:
        raise BadInput(f"{source.uri} is cut: expected the block that ends bgzip files")
    return np.array(starts, np.uint64)


def get_block_bytes(data: bytes, at: int, name: str, start: int) -> int:
    """Return the size of a block; more than there is where its head is cut."""
    if data[at : at + 4] != b"\x1f\x8b\x08\x04":
        raise BadInput(f"{name}, byte {start + at}: expected a bgzip block")
    head = data[at + 16 : at + 18]
    return int.from_bytes(head, "little") + 1 if len(head) == 2 else MAX_BLOCK_BYTES


def find_record(content: bytes, is_line_start: bool) -> int | None:
    """Return where the first record begins in a block, None if none does."""
    at = 0 if is_line_start else content.find(b"\n") + 1 or len(content)
    while at < len(content) and content[at] == ord("#"):
        at = content.find(b"\n", at) + 1 or len(content)
    return at if at < len(content) else None


def partition_num_chunks(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut a file to slices of about as many bytes each; some may be empty."""
    if num_chunks < 1:
        raise BadInput(f"num_chunks: {num_chunks}: expected 1 or more")
    facts, starts = co.index.facts, co.index.arrays["starts"]
    first, end = facts["first"], facts["end"]
    wanted = np.linspace(first >> WITHIN, end >> WITHIN, num_chunks + 1)[1:-1]
    near = np.searchsorted((starts >> np.uint64(WITHIN)).astype(np.float64), wanted)
    inner = [int(starts[n]) if n < len(starts) else end for n in near]
    ends = [first, *inner, end]
    return [make_slice(co, a, b) for a, b in itertools.pairwise(ends)]


def make_slice(co: CloudObject, first: int, last: int) -> DataSlice:
    """Return the slice of the records between two places."""
    header = co.index.facts["first"]
    ranges = [
        get_bytes_between(0, header, co.size),
        get_bytes_between(first, last, co.size) if first < last else (0, 0),
    ]
    return co.make_slice(ranges, header=header, first=first, last=last)


def read(part: DataSlice, pieces: list[bytes]) -> str:
    """Return the header and the records of a slice, as text."""
    return (read_header(part, pieces) + read_body(part, pieces)).decode()


def read_header(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the header of the file."""
    return cut_between(pieces[0], 0, part.facts["header"], part.source.uri)


def read_body(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the records of a slice, without the header."""
    first, last = part.facts["first"], part.facts["last"]
    return cut_between(pieces[1], first, last, part.source.uri)


def join(texts: list[Any]) -> bytes:
    """Return the whole text from those of all slices."""
    bodies = [text[text.rindex("\n#CHROM") + 1 :].partition("\n")[2] for text in texts]
    return (texts[0][: len(texts[0]) - len(bodies[0])] + "".join(bodies)).encode()


VCFGZip = Format(f"{__name__}:VCFGZip", 1, make_index, read, join)
