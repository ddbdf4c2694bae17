"""BCF, cut at records by its .csi; where there is none, the file is read once.

The layout is that of the VCF 4.5 specification, section 6: a header behind its size,
then records, each behind two sizes.
"""

import re
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.tabix import Tabix
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.blocks import (
    WITHIN,
    cut_between,
    deflate,
    get_bytes_between,
    inflate,
    read_blocks,
)
from hpc_connector.slices.formats.plain import PlainText
from hpc_connector.slices.formats.tabix import find_tabix
from hpc_connector.slices.formats.vcf_gzip import make_index_of, read_header
from hpc_connector.slices.index import Index
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

MAGIC = b"BCF\x02"
N_HEAD, N_PREFIX = 9, 8  # bytes that say how long the header is, and a record
N_SITE = 16  # bytes of a record up to its position


def make_index(source: Source, version: Version, _: MapChunks) -> Index:
    """Return the places where records begin that are known, and where they end."""
    tabix = find_tabix(source, (".csi",))
    if tabix is None:
        starts = find_records(read_blocks(source, version), source.uri)
        return make_index_of(source, version, starts, None)
    index = make_index_of(source, version, tabix.starts, tabix)
    place = index.facts["first"]
    wanted = get_bytes_between(0, place, version.size)
    (data,) = fetch(source, version, [wanted])
    header = cut_between(data, 0, place, source.uri)
    contigs = read_contigs(header, source.uri)
    named = Tabix(contigs, tabix.chunks, tabix.starts)
    return make_index_of(source, version, tabix.starts, named)


def read_contigs(header: bytes, name: str) -> list[str]:
    """Return the contigs of a header, each at its number: IDX, or else its order."""
    check_header(header, name)
    contigs: dict[int, str] = {}
    for line in header.split(b"\n"):
        contig = re.search(rb"[<,]ID=([^,>]+)", line)
        if line.startswith(b"##contig=<") and contig:
            number = re.search(rb",IDX=(\d{1,6})>$", line)
            contigs[int(number[1]) if number else len(contigs)] = contig[1].decode()
    return [contigs.get(number, "") for number in range(max(contigs, default=-1) + 1)]


def check_header(header: bytes, name: str) -> None:
    """Refuse what is no header of a BCF, or not all of one.

    Raises
    ------
    BadInput
        It has another magic, or another size than it says.
    """
    n_bytes = N_HEAD + int.from_bytes(header[5:N_HEAD], "little")
    if header[:4] != MAGIC or len(header) != n_bytes:
        raise BadInput(
            f"{name}, byte 0: expected the header of a BCF; its index may be that of "
            "another file"
        )


def find_records(blocks: Iterable[tuple[int, bytes]], name: str) -> np.ndarray:
    """Return the place of the first record that begins in each block of a file."""
    starts: list[int] = []
    held, n_wanted, n_left = b"", N_HEAD, 0  # of the sizes; to the next record
    for offset, content in blocks:
        at = n_left
        while at < len(content):
            if not held and n_wanted == N_PREFIX:
                starts.append(offset << WITHIN | at)
            taken = content[at : at + n_wanted - len(held)]
            held, at = held + taken, at + len(taken)
            if len(held) == n_wanted:
                at += get_n_bytes(held, name)
                held, n_wanted = b"", N_PREFIX
        n_left = at - len(content)
    if n_left or held or n_wanted == N_HEAD:
        raise BadInput(f"{name} is cut: its last record has no end")
    places = np.array(starts, np.uint64)
    return places[np.unique(places >> np.uint64(WITHIN), return_index=True)[1]]


def get_n_bytes(sizes: bytes, name: str) -> int:
    """Return how many bytes come after the sizes of the header, or of a record."""
    if len(sizes) == N_PREFIX:
        return sum(struct.unpack("<2I", sizes))
    if not sizes.startswith(MAGIC):
        raise BadInput(f"{name}, byte 0: expected a BCF, version 2")
    return int.from_bytes(sizes[5:], "little")


def read(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the header and the records of a slice, as a BCF file."""
    header = read_header(part, pieces)
    check_header(header, part.source.uri)
    first, last = part.facts["first"], part.facts["last"]
    body = cut_between(pieces[1], first, last, part.source.uri) if first < last else b""
    return deflate(header + b"".join(split_records(body, part)))


def split_records(body: bytes, part: DataSlice) -> list[bytes]:
    """Return the records of a slice, of its region if it has one.

    Raises
    ------
    BadInput
        The last record does not end with the slice.
    """
    _, contig, start, stop = part.facts.get("region", (None,) * 4)
    records, at = [], 0
    while at + N_PREFIX + N_SITE <= len(body):
        shared, own, number, position = struct.unpack_from("<2I2i", body, at)
        if contig is None or (number == contig and start <= position < stop):
            records.append(body[at : at + N_PREFIX + shared + own])
        at += N_PREFIX + shared + own
    if at != len(body):
        raise BadInput(
            f"{part.source.uri}, bytes {part.ranges[1][0]} to {part.ranges[1][1]}: "
            "expected whole records; its index may be that of another file"
        )
    return records


def iter_body(files: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the file, inflated, from what its slices gave."""
    for n, packed in enumerate(files):
        data = inflate(packed, "slice", 0)
        yield data[N_HEAD + int.from_bytes(data[5:N_HEAD], "little") if n else 0 :]


def find_plain_header(data: bytes) -> int | None:
    """Return where the header ends, as the file says, if so much is known."""
    end = N_HEAD + int.from_bytes(data[5:N_HEAD], "little")
    return end if len(data) >= N_HEAD and end <= len(data) else None


PLAIN = PlainText("", find_plain_header)
BCF = Format(f"{__name__}:BCF", 2, make_index, read, iter_body, PLAIN)
