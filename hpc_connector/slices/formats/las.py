"""LAS and LAZ: point clouds in blocks, of records or as the chunk table of LAZ says.

The index has a row a block: points, bytes, and the bounds of its points. That of
``LAS`` is made of header and chunk table, and its bounds are open; ``LiDARPointCloud``
reads all points once, and knows them.
"""

import io
import itertools
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.plain import ObjectStream, PlainRecords, hash_rows
from hpc_connector.slices.index import Index
from hpc_connector.slices.rows import fetch_arrays, make_cuts, make_row_slice, read_rows
from hpc_connector.slices.squares import Square, plan_squares
from hpc_connector.slices.strategies import check_count, cuts
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

BLOCK_POINTS = 50_000  # of LAS; the usual number of LAZ too
PLAIN_BYTES, PLAIN_POINTS = 4 << 20, 100_000  # read at once, without an index
HEAD_BYTES = 1 << 16  # of the first read: header and its records, mostly
HEADER_BYTES = 227  # at least
CREATED = slice(90, 94)  # of the header: day of the year, year; zeros are no date
SIZES, SIZES_AT = struct.Struct("<HII"), 94  # of the header, all before points, records
RECORD_BYTES = 54  # at least
TASK_BYTES = 8 << 20
PLACES = ("first_point", "n_points", "first_byte", "n_bytes")
BOUNDS = ("x_low", "x_high", "y_low", "y_high")
BLOCK = np.dtype([(n, "<i8") for n in PLACES] + [(n, "<f8") for n in BOUNDS])


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where the blocks are, from header and chunk table."""
    head = fetch_head(source, version)
    header = read_header(source, head)
    if header.are_points_compressed:
        sizes = fetch_chunk_table(source, version, header)
        first_byte = header.offset_to_point_data + 8
    else:
        n_blocks = -(-header.point_count // BLOCK_POINTS)
        bounds = np.minimum(np.arange(n_blocks + 1) * BLOCK_POINTS, header.point_count)
        n_points = np.diff(bounds)
        sizes = np.stack([n_points, n_points * header.point_format.size], axis=1)
        first_byte = header.offset_to_point_data
    blocks = make_blocks(sizes)
    blocks["first_byte"] += first_byte
    return make_block_index(source, version, header, len(head), blocks)


def make_bounds_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where the blocks are and their points lie: reads all of them, once."""
    index = make_index(source, version, map_chunks)
    blocks = index.arrays["blocks"].view(BLOCK)
    number = np.cumsum(blocks["n_bytes"]) // TASK_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(blocks)]
    head = fetch_head(source, version)
    tasks = [
        BoundsTask(source, version, head, blocks[a:b])
        for a, b in itertools.pairwise(cuts)
    ]
    found = np.concatenate(map_chunks(find_bounds, tasks))
    for name, column in zip(BOUNDS, found.T, strict=True):
        blocks[name] = column
    return index


def make_block_index(
    source: Source, version: Version, header: Any, head_bytes: int, blocks: np.ndarray
) -> Index:
    """Return the index of some blocks, if they are whole and hold all points.

    Parameters
    ----------
    header
        Of laspy.
    head_bytes
        Before the points.
    blocks
        A row each: where it is, and how many points it has.

    Raises
    ------
    BadInput
        A block that ends after the object, points that are in no block, bounds that
        are no numbers.
    """
    last = (blocks["first_byte"] + blocks["n_bytes"]).max(initial=0)
    if last > version.size or blocks["n_bytes"].min(initial=0) < 0:
        raise BadInput(f"{source.uri} is cut: {version.size} bytes, expected {last}")
    if not np.isfinite([header.mins, header.maxs]).all():
        raise BadInput(f"{source.uri}: the bounds in its header are no numbers")
    n_points = int(blocks["n_points"].sum())
    if n_points != header.point_count:
        raise BadInput(
            f"{source.uri}: {n_points} points in its blocks: expected the "
            f"{header.point_count} of its header"
        )
    facts = {
        "n_points": n_points,
        "head_bytes": head_bytes,
        "lowest": header.mins.tolist(),
        "highest": header.maxs.tolist(),
        "point_format": header.point_format.id,
        "is_compressed": header.are_points_compressed,
    }
    return Index(facts, {"blocks": blocks})


def make_blocks(sizes: np.ndarray) -> np.ndarray:
    """Return the rows of blocks that follow each other, from their points and bytes."""
    blocks = np.zeros(len(sizes), BLOCK)
    blocks["n_points"], blocks["n_bytes"] = sizes.T
    blocks["first_point"] = np.cumsum(blocks["n_points"]) - blocks["n_points"]
    blocks["first_byte"] = np.cumsum(blocks["n_bytes"]) - blocks["n_bytes"]
    blocks["x_low"] = blocks["y_low"] = -np.inf
    blocks["x_high"] = blocks["y_high"] = np.inf
    return blocks


def fetch_head(source: Source, version: Version) -> bytes:
    """Return header and variable-length records: what stands before the points."""
    (head,) = fetch(source, version, [(0, min(HEAD_BYTES, version.size))])
    if head[:4] != b"LASF" or len(head) < HEADER_BYTES:
        raise BadInput(f"{source.uri}: expected LAS or LAZ")
    header_bytes, end, n_records = SIZES.unpack_from(head, SIZES_AT)
    if end > version.size:
        raise BadInput(f"{source.uri} is cut: its points begin at byte {end}")
    if header_bytes + n_records * RECORD_BYTES > end:  # laspy would read them all
        raise BadInput(f"{source.uri}: {n_records} records before byte {end}")
    if end > len(head):
        (head,) = fetch(source, version, [(0, end)])
    return head[:end]


def read_header(source: Source, head: bytes) -> Any:
    """Return the header as laspy has it.

    Raises
    ------
    BadInput
        laspy cannot read it.
    """
    import laspy

    try:
        return laspy.LasHeader.read_from(io.BytesIO(head))
    except (laspy.LaspyException, ValueError, struct.error) as error:
        raise BadInput(f"{source.uri}: its header cannot be read: {error}") from None


def get_laszip(source: Source, header: Any) -> bytes:
    """Return the record that says how points are compressed."""
    for record in header.vlrs:
        if (record.user_id, record.record_id) == ("laszip encoded", 22204):
            told: bytes = record.record_data
            return told
    raise BadInput(f"{source.uri}: expected the record of LASzip in its header")


def fetch_chunk_table(source: Source, version: Version, header: Any) -> np.ndarray:
    """Return points and bytes of the chunks of LAZ, shape (chunks, 2).

    Raises
    ------
    BadInput
        No table, or one that cannot be read: the object is cut.
    """
    import lazrs

    at = header.offset_to_point_data
    place = fetch_number(source, version, at)
    if place == -1:  # written to a stream, it stands at the end
        place = fetch_number(source, version, version.size - 8)
    if not at + 8 <= place < version.size:
        raise BadInput(f"{source.uri} is cut: expected a chunk table at byte {place}")
    (data,) = fetch(source, version, [(place, version.size)])
    n_chunks = int.from_bytes(data[4:8], "little")
    if len(data) < 8 or n_chunks > version.size:  # lazrs would take memory for them
        raise BadInput(f"{source.uri}: {n_chunks} chunks: expected a chunk table")
    try:
        laszip = lazrs.LazVlr(get_laszip(source, header))
        table = lazrs.read_chunk_table_only(io.BytesIO(data), laszip)
    except (lazrs.LazrsError, OSError) as error:
        raise BadInput(f"{source.uri}: its chunk table: {error}") from None
    sizes = np.array(table, np.int64).reshape(-1, 2)
    if len(sizes) and not laszip.uses_variable_size_chunks():
        sizes[:, 0] = laszip.chunk_size()
        sizes[-1, 0] = header.point_count - sizes[:-1, 0].sum()
    return sizes


def fetch_number(source: Source, version: Version, at: int) -> int:
    """Return the whole number of 8 bytes at a place."""
    (data,) = fetch(source, version, [(at, min(at + 8, version.size))])
    return int.from_bytes(data, "little", signed=True)


class BoundsTask(NamedTuple):
    """Blocks of which to find the bounds."""

    source: Source
    version: Version
    head: bytes
    blocks: np.ndarray


def find_bounds(task: BoundsTask) -> np.ndarray:
    """Return the bounds of the points of each block, shape (blocks, 4)."""
    places = task.blocks[["first_byte", "n_bytes"]].tolist()
    ranges = [(at, at + size) for at, size in places]
    pieces = fetch(task.source, task.version, ranges)
    found = np.zeros((len(task.blocks), len(BOUNDS)))
    for k, data in enumerate(pieces):
        header = read_header(task.source, task.head)
        points = decode(task.source, header, task.blocks[k : k + 1], data)
        x, y = np.asarray(points.x), np.asarray(points.y)
        found[k] = x.min(), x.max(), y.min(), y.max()
    return found


@cuts("LAS, LiDARPointCloud and COPC", by="n_points")
def partition_num_points(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut a cloud to slices of as many points, but for one; some may be empty.

    Points keep the order of the file. A chunk of LAZ that is cut is read by both.
    """
    num_chunks = check_count("num_chunks", num_chunks)
    blocks = co.index.arrays["blocks"].view(BLOCK)
    cuts = make_cuts(co.index.facts["n_points"], num_chunks)
    return [
        make_slice(
            co,
            (blocks["first_point"] < last)
            & (blocks["first_point"] + blocks["n_points"] > first)
            & (first < last),
            points=[first, last],
        )
        for first, last in itertools.pairwise(cuts)
    ]


@cuts("LAS, LiDARPointCloud and COPC", by="n_points")
def square_split_strategy(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut a cloud to rectangles of x and y: each point is in one slice only.

    Lower bounds belong to a rectangle, and upper ones at the edge of the cloud. Blocks
    that meet a rectangle are read: for ``LAS``, whose bounds are open, all of them.
    """
    blocks = co.index.arrays["blocks"].view(BLOCK)
    lowest, highest = (co.index.facts[name][:2] for name in ("lowest", "highest"))
    bounds = [blocks[name] for name in BOUNDS]
    return [
        make_slice(co, square.meets(*bounds), square=square.as_facts())
        for square in plan_squares(lowest, highest, num_chunks)
    ]


def make_slice(co: CloudObject, chosen: np.ndarray, **facts: Any) -> DataSlice:
    """Return the slice of some blocks, of whose points it takes some."""
    head = (0, co.index.facts["head_bytes"])
    blocks = co.index.arrays["blocks"].view(BLOCK)
    places = blocks["n_bytes"], blocks["first_byte"]
    rows = np.flatnonzero(chosen)
    return make_row_slice(co, "blocks", rows, *places, (head,), **facts)


def read(part: DataSlice, pieces: list[bytes]) -> Any:
    """Return the points of a slice, ``laspy.LasData``."""
    import laspy

    header = read_header(part.source, pieces[0])
    blocks = read_rows(part, pieces, BLOCK)
    if "square" in part.facts:
        square = Square(**part.facts["square"])
        blocks = blocks[square.meets(*(blocks[name] for name in BOUNDS))]
    else:
        first, last = part.facts["points"]
        if not header.are_points_compressed:
            blocks = trim(blocks, first, last, header.point_format.size)
    held = fetch_arrays(part, blocks["first_byte"], blocks["n_bytes"])
    data = b"".join(
        held[at, at + size] for at, size in blocks[["first_byte", "n_bytes"]].tolist()
    )
    points = decode(part.source, header, blocks, data)
    if "square" in part.facts:
        points = points[square.holds(np.asarray(points.x), np.asarray(points.y))]
    elif len(blocks):
        start = int(blocks["first_point"][0])
        points = points[first - start : last - start]
    return make_cloud(laspy, header, points)


def trim(blocks: np.ndarray, first: int, last: int, record_bytes: int) -> np.ndarray:
    """Return blocks of records without the points outside first .. last - 1.

    Parameters
    ----------
    blocks
        A row each, in order.
    first, last
        Numbers of points.
    record_bytes
        Of a point.
    """
    trimmed = blocks.copy()
    start = np.maximum(blocks["first_point"], first)
    end = np.minimum(blocks["first_point"] + blocks["n_points"], last)
    trimmed["first_byte"] += (start - blocks["first_point"]) * record_bytes
    trimmed["first_point"] = start
    trimmed["n_points"] = end - start
    trimmed["n_bytes"] = (end - start) * record_bytes
    return trimmed


def decode(source: Source, header: Any, blocks: np.ndarray, data: bytes) -> Any:
    """Return the points of some blocks, ``laspy.ScaleAwarePointRecord``.

    Parameters
    ----------
    header
        Of laspy.
    blocks
        A row each, in order.
    data
        Their bytes, as they are stored.

    Raises
    ------
    BadInput
        Chunks that are damaged.
    """
    import laspy
    import lazrs

    dtype = header.point_format.dtype()
    records = np.zeros(int(blocks["n_points"].sum()), dtype)
    if header.are_points_compressed and len(records):
        table = blocks[["n_points", "n_bytes"]].tolist()
        laszip = get_laszip(source, header)
        try:
            lazrs.decompress_points_with_chunk_table(
                data, laszip, records.view(np.uint8), table
            )
        except lazrs.LazrsError as error:
            place = f"{source.uri}, byte {blocks['first_byte'][0]}"
            raise BadInput(f"{place}: LAZ is damaged: {error}") from None
    elif len(records):
        records = np.frombuffer(data, dtype).copy()
    return laspy.ScaleAwarePointRecord(
        records, header.point_format, header.scales, header.offsets
    )


def make_cloud(laspy: Any, header: Any, points: Any) -> Any:
    """Return points with the header of the file, but for what says where they were."""
    header.vlrs = laspy.vlrs.vlrlist.VLRList(
        v for v in header.vlrs if v.user_id not in ("copc", "laszip encoded")
    )
    header.evlrs, header.number_of_evlrs, header.start_of_first_evlr = None, 0, 0
    header.are_points_compressed = False
    cloud = laspy.LasData(header, points)
    cloud.update_header()
    return cloud


def read_plainly(source: Source, version: Version) -> Iterator[np.ndarray]:
    """Yield checksums of the points, as laspy reads the file."""
    import laspy

    stream = io.BufferedReader(ObjectStream(source, version), PLAIN_BYTES)
    with laspy.open(stream, laz_backend=laspy.LazBackend.Lazrs) as file:
        for points in file.chunk_iterator(PLAIN_POINTS):
            yield hash_points(points)


def hash_points(points: Any) -> np.ndarray:
    """Return a checksum of each point."""
    records = np.ascontiguousarray(points.array)
    return hash_rows(records.view(np.uint8).reshape(len(records), records.itemsize))


def encode(cloud: Any) -> bytes:
    """Return points as a file of LAS; one without a date of creation stays without."""
    stream, is_dated = io.BytesIO(), cloud.header.creation_date is not None
    cloud.write(stream)  # writes the day of today where there is none
    if not is_dated:
        stream.getbuffer()[CREATED] = bytes(4)
    return stream.getvalue()


POINTS = PlainRecords(
    "points", read_plainly, lambda part, cloud: hash_points(cloud.points)
)
LAS = Format(f"{__name__}:LAS", 1, make_index, read, plain=POINTS, encode=encode)
LiDARPointCloud = Format(
    f"{__name__}:LiDARPointCloud",
    1,
    make_bounds_index,
    read,
    plain=POINTS,
    encode=encode,
)
