"""VCF in bgzip, cut at records by its .tbi or .csi: of it the end alone is read.

The indexes are those of tabix (SAM/BAM and tabix specifications of samtools). Where
there is none, the file is read once.
"""

import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK, MAX_BLOCK_BYTES
from hpc_connector.loader.tabix import LAST, Tabix, find_region
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.blocks import (
    NO_END,
    WITHIN,
    cut_between,
    find_end,
    get_bytes_between,
    read_blocks,
)
from hpc_connector.slices.formats.tabix import find_tabix
from hpc_connector.slices.formats.text import (
    VCF_PLAIN,
    check_vcf_header,
    decode,
    iter_vcf,
)
from hpc_connector.slices.index import Index
from hpc_connector.slices.strategies import (
    check_count,
    check_list,
    check_number,
    count_slices,
    cuts,
)
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Version

Region = tuple[str, int, int]  # contig, first base, last + 1, counted from 0


def make_index(source: Source, version: Version, _: MapChunks) -> Index:
    """Return the places where records begin that are known, and where they end."""
    tabix = find_tabix(source, (".tbi", ".csi"))
    starts = find_records(source, version) if tabix is None else tabix.starts
    return make_index_of(source, version, starts, tabix)


def make_index_of(
    source: Source, version: Version, starts: np.ndarray, tabix: Tabix | None
) -> Index:
    """Return an index of places, with what lies where, if this is known.

    Parameters
    ----------
    starts
        Places where records begin, in order.
    tabix
        Of the file; None without any.

    Raises
    ------
    BadInput
        Places that are not in the file.
    """
    end_byte, is_ended = find_end(source, version)
    end = end_byte << WITHIN
    last = tabix.chunks[:, LAST].max(initial=0) if tabix else 0
    if (
        end <= 0
        or last > end
        or (len(starts) and not 0 < starts[0] <= starts[-1] < end)
    ):
        raise BadInput(
            f"{source.uri} is cut, or its index is that of another file: it has "
            f"{version.size} bytes"
        )
    facts: dict[str, Any] = {"first": int(starts[0]) if len(starts) else end}
    facts |= {"end": end, "notes": [] if is_ended else [NO_END]}
    arrays = {"starts": starts.astype(np.uint64)}
    if tabix is None:
        return Index(facts, arrays)
    return Index(facts | {"contigs": tabix.contigs}, arrays | {"chunks": tabix.chunks})


def find_records(source: Source, version: Version) -> np.ndarray:
    """Return the place of the first record that begins in each block of a file."""
    starts, is_line_start = [], True
    for at, content in read_blocks(source, version):
        place = find_record(content, is_line_start)
        if place is not None:
            starts.append(at << WITHIN | place)
        is_line_start = content.endswith(b"\n") if content else is_line_start
    return np.array(starts, np.uint64)


def find_record(content: bytes, is_line_start: bool) -> int | None:
    """Return where the first record begins in a block, None if none does."""
    at = 0 if is_line_start else content.find(b"\n") + 1 or len(content)
    while at < len(content) and content[at] == ord("#"):
        at = content.find(b"\n", at) + 1 or len(content)
    return at if at < len(content) else None


@cuts("VCFGZip and BCF", by="first")
def partition_num_chunks(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut a file to slices of about as many bytes each; some may be empty."""
    num_chunks = check_count("num_chunks", num_chunks)
    facts, starts = co.index.facts, co.index.arrays["starts"]
    first, end = facts["first"], facts["end"]
    wanted = np.linspace(first >> WITHIN, end >> WITHIN, num_chunks + 1)[1:-1]
    known = np.append(starts, np.uint64(end))
    near = find_nearest((known >> np.uint64(WITHIN)).astype(np.float64), wanted)
    ends = [first, *known[near].tolist(), end]
    return [make_slice(co, a, b) for a, b in itertools.pairwise(ends)]


def find_nearest(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return which of ascending values is the nearest to each that is wanted.

    Examples
    --------
    >>> find_nearest(np.array([1.0, 5.0]), np.array([0.0, 2.0, 4.0, 9.0])).tolist()
    [0, 0, 1, 1]
    """
    after = np.searchsorted(values, wanted)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(values) - 1)
    is_before = wanted - values[before] < values[after] - wanted
    return np.where(is_before, before, after)


@cuts("VCFGZip and BCF", by="first")
def partition_chunk_size(co: CloudObject, chunk_size: int) -> list[DataSlice]:
    """Cut a file to slices of about so many bytes, as they are stored."""
    n_bytes = (co.index.facts["end"] >> WITHIN) - (co.index.facts["first"] >> WITHIN)
    return partition_num_chunks(co, count_slices("chunk_size", chunk_size, n_bytes))


@cuts("VCFGZip and BCF", by="first")
def partition_regions(co: CloudObject, regions: Sequence[Region]) -> list[DataSlice]:
    """Return a slice of each region: of the records that begin in it.

    Regions are contig, start and stop, counted from 0 and half-open, as in BED and
    pysam: a record belongs where start <= POS - 1 < stop. So regions that touch have
    each record once; one that reaches in from before is not of them.

    Raises
    ------
    BadInput
        The file has no .tbi or .csi, or the contig is not in it.
    """
    return [make_region(co, region) for region in check_list("regions", regions)]


def make_region(co: CloudObject, region: Region) -> DataSlice:
    """Return the slice of a region."""
    contig, start, stop = check_region(region)
    facts = co.index.facts
    if "contigs" not in facts:
        raise BadInput(f"{co.source.uri}: expected a .tbi or .csi beside it")
    if contig not in facts["contigs"]:
        known = ", ".join(facts["contigs"][:5])
        raise BadInput(f"{co.source.uri}: contig {contig!r}: expected such as {known}")
    number = facts["contigs"].index(contig)
    first, last = find_region(co.index.arrays["chunks"], number, start, stop)
    last = min(last, facts["end"])
    return make_slice(co, first, last, region=[contig, number, start, stop])


def check_region(region: Any) -> Region:
    """Return a region.

    Raises
    ------
    BadInput
        It is not a name and two whole numbers.
    """
    try:
        contig, start, stop = region
    except (TypeError, ValueError):
        contig = None
    if not isinstance(contig, str) or isinstance(region, str):
        raise BadInput(f"region {region!r}: expected (contig, start, stop)")
    least = -(1 << 62)
    return (
        contig,
        check_number("start", start, least),
        check_number("stop", stop, least),
    )


def make_slice(co: CloudObject, first: int, last: int, **facts: Any) -> DataSlice:
    """Return the slice of the records between two places."""
    header = co.index.facts["first"]
    ranges = [
        get_bytes_between(0, header, get_block_end(co, header)),
        get_bytes_between(first, last, get_block_end(co, last)),
    ]
    if first >= last:
        ranges[1] = (0, 0)
    return co.make_slice(ranges, header=header, first=first, last=last, **facts)


def get_block_end(co: CloudObject, place: int) -> int:
    """Return where the block of a place ends at the latest: the next that is known."""
    starts = co.index.arrays["starts"]
    later = np.searchsorted(starts, np.uint64(((place >> WITHIN) + 1) << WITHIN))
    return int(starts[later]) >> WITHIN if later < len(starts) else co.size


def read(part: DataSlice, pieces: list[bytes]) -> str:
    """Return the header and the records of a slice, as text."""
    header, body = read_header(part, pieces), read_body(part, pieces)
    check_vcf_header(header, part.source.uri)
    if body and not header.endswith(b"\n"):
        raise BadInput(f"{part.source.uri}, byte 0: its index is that of another file")
    if "region" in part.facts:
        body = keep_region(body, part)
    return decode(header + body, part.source.uri)


def read_header(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the header of the file."""
    return cut_between(pieces[0], 0, part.facts["header"], part.source.uri)


def read_body(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the records of a slice, without the header.

    Raises
    ------
    BadInput
        A block that is cut or corrupt, or a slice that does not lie between the ends
        of lines.
    """
    first, last = part.facts["first"], part.facts["last"]
    if first >= last:
        return b""
    n_before = 1 if first & (MAX_BLOCK_BYTES - 1) else 0
    data = cut_between(pieces[1], first - n_before, last, part.source.uri)
    is_end = last >> WITHIN == part.version.size - len(EMPTY_BLOCK)
    if data[:n_before] not in (b"", b"\n") or not (is_end or data.endswith(b"\n")):
        raise BadInput(
            f"{part.source.uri}, bytes {part.ranges[1][0]} to {part.ranges[1][1]}: "
            "expected whole lines; it is cut, or its index is that of another file"
        )
    return data[n_before:]


def keep_region(body: bytes, part: DataSlice) -> bytes:
    """Return the lines of the records that begin in the region of a slice."""
    contig, _, start, stop = part.facts["region"]
    kept = []
    for line in io.BytesIO(body):
        if line.startswith(b"#") or not line.strip():
            continue
        try:
            name, position, _ = line.split(b"\t", 2)
            is_within = start <= int(position) - 1 < stop
        except ValueError:
            raise BadInput(
                f"{part.source.uri}: found {line[:40]!r}, expected a record of VCF"
            ) from None
        if is_within and name == contig.encode():
            kept.append(line)
    return b"".join(kept)


VCFGZip = Format(f"{__name__}:VCFGZip", 3, make_index, read, iter_vcf, VCF_PLAIN)
