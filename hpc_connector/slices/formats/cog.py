"""GeoTIFF, at best cloud-optimised: windows of whole tiles, of one of its levels.

The levels are the image, then its overviews; masks are left out. The index has a row a
block of each level: a tile, or a strip where there are none.
"""

import io
import itertools
import math
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.pixels import (
    DIFFERENCES,
    GREY,
    NAMES,
    NONE,
    OF_FLOATS,
    decode_block,
    is_read,
)
from hpc_connector.slices.formats.plain import PlainRecords, hash_rows
from hpc_connector.slices.formats.tiff import (
    BANDS,
    BITS,
    COMPRESSION,
    EXTRA,
    FILL_ORDER,
    GEO,
    HEIGHT,
    JPEG_TABLES,
    KIND,
    LERC_PARAMETERS,
    NO_DATA,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    SAMPLE_FORMAT,
    STRIP_BYTES,
    STRIP_HEIGHT,
    STRIP_PLACES,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_PLACES,
    TILE_WIDTH,
    WIDTH,
    Image,
    TiffReader,
    get_number,
)
from hpc_connector.slices.index import Index
from hpc_connector.slices.rows import fetch_arrays, make_cuts, make_row_slice, read_rows
from hpc_connector.slices.strategies import check_count, check_number, cuts
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

SMALL = 512  # pixels: an image up to this size needs neither tiles nor overviews
REDUCED, MASK = 1, 4  # bits of the kind of an image
LETTERS = {1: "u", 2: "i", 3: "f", 4: "u", 6: "c"}
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
WHOLE_BITS = {8, 16, 32, 64, 128}
BLOCK = np.dtype(
    [(name, "<i4") for name in ("band", "row", "column")]
    + [(name, "<i8") for name in ("first_byte", "n_bytes")]
)


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where the blocks of the image and of its overviews are."""
    reader = TiffReader(source, version)
    image, *others = reader.read_images()
    is_overview = [get_number(o, KIND, 0) & (REDUCED | MASK) == REDUCED for o in others]
    shown = [image, *itertools.compress(others, is_overview)]
    levels = [read_level(source, image, reader.order) for image in shown]
    tables = [
        make_blocks(source, image, level)
        for image, level in zip(shown, levels, strict=True)
    ]
    last = max((t["first_byte"] + t["n_bytes"]).max() for t in tables)
    if last > version.size:
        raise BadInput(f"{source.uri} is cut: {version.size} bytes, expected {last}")
    warn_of_form(source, levels, tables, reader.places)
    geo = {name: image[tag].tolist() for tag, name in GEO.items() if tag in image}
    facts = {"levels": levels, "geo": geo}
    return Index(facts, {f"blocks-{k}": table for k, table in enumerate(tables)})


def read_level(source: Source, image: Image, order: str) -> dict[str, Any]:
    """Return size and form of an image, as facts of slices.

    Raises
    ------
    BadInput
        A form that is not read.
    """
    width, height = get_number(image, WIDTH), get_number(image, HEIGHT)
    bands, is_tiled = get_number(image, BANDS, 1), TILE_PLACES in image
    if is_tiled:
        block = [get_number(image, TILE_HEIGHT), get_number(image, TILE_WIDTH)]
    else:
        block = [min(get_number(image, STRIP_HEIGHT, height), height), width]
    if min(width, height, bands, *block) < 1:
        raise BadInput(f"{source.uri}: expected an image of one pixel or more")
    level = {
        "shape": [bands, height, width],
        "block": block,
        "grid": [-(-height // block[0]), -(-width // block[1])],
        "is_tiled": is_tiled,
        "is_planar": get_number(image, PLANAR, 1) == 2,
        "dtype": order + get_dtype(source, image),
        "bits": get_number(image, BITS, 1),
        "is_reversed": get_number(image, FILL_ORDER, 1) == 2,
        "compression": get_number(image, COMPRESSION, NONE),
        "within_lerc": get_last(image, LERC_PARAMETERS, 0),
        "predictor": get_number(image, PREDICTOR, 1),
        "photometric": get_number(image, PHOTOMETRIC, GREY),
        "has_extra": EXTRA in image,
        "no_data": image[NO_DATA].tobytes().decode("ascii", "replace").strip(" \0")
        if NO_DATA in image
        else None,
        "jpeg_tables": image[JPEG_TABLES].tolist() if JPEG_TABLES in image else None,
    }
    check_form(source, level)
    return level


def check_form(source: Source, level: dict[str, Any]) -> None:
    """Refuse how blocks are packed, where that is not read.

    Raises
    ------
    BadInput
        With its name.
    """
    compression, predictor = level["compression"], level["predictor"]
    if not is_read(compression):
        name = NAMES.get(compression, "of a kind that is not known")
        raise BadInput(f"{source.uri}: compression {compression}, {name}, is not read")
    is_packed = level["bits"] not in WHOLE_BITS
    if predictor not in (1, DIFFERENCES, OF_FLOATS) or (is_packed and predictor > 1):
        raise BadInput(
            f"{source.uri}: predictor {predictor} of values of {level['bits']} bits is "
            "not read"
        )


def get_last(image: Image, tag: int, default: int) -> int:
    """Return the last value of a tag."""
    values = image.get(tag)
    return default if values is None or not len(values) else int(values[-1])


def get_dtype(source: Source, image: Image) -> str:
    """Return the type of the values, without the order of bytes.

    Whole numbers of 1 to 15 bits become those of the next 8.
    """
    bits = set(image.get(BITS, np.ones(1, int)).tolist())
    kinds = set(image.get(SAMPLE_FORMAT, np.ones(1, int)).tolist())
    if len(bits) == len(kinds) == 1:
        (n_bits,), (kind,) = bits, kinds
        letter = LETTERS.get(kind, "?")
        if letter == "u" and 0 < n_bits < 16:
            n_bits = 8 * -(-n_bits // 8)
        dtype = f"{letter}{n_bits / 8:g}"
        if dtype in DTYPES:
            return dtype
    found = f"bits {sorted(bits)} and sample format {sorted(kinds)}"
    raise BadInput(
        f"{source.uri}: values of {found}: expected one type, of 1 to 16, 32 or 64 bits"
    )


def make_blocks(source: Source, image: Image, level: dict[str, Any]) -> np.ndarray:
    """Return the rows of the blocks of a level, band by band where bands are apart."""
    tags = [STRIP_PLACES, STRIP_BYTES]
    if level["is_tiled"]:
        tags = [TILE_PLACES, TILE_BYTES]
    places, sizes = (image.get(tag, np.zeros(0, int)) for tag in tags)
    grid = (level["shape"][0] if level["is_planar"] else 1, *level["grid"])
    if not len(places) == len(sizes) == math.prod(grid):
        raise BadInput(
            f"{source.uri}: {len(places)} places and {len(sizes)} sizes of blocks: "
            f"expected {math.prod(grid)}"
        )
    blocks = np.zeros(len(places), BLOCK)
    numbers = np.unravel_index(np.arange(len(places)), grid)
    for name, values in zip(BLOCK.names or (), [*numbers, places, sizes], strict=True):
        blocks[name] = values
    return blocks


def warn_of_form(
    source: Source,
    levels: list[dict[str, Any]],
    tables: list[np.ndarray],
    places: list[int],
) -> None:
    """Warn of a file that is not cloud-optimised, and say why.

    Parameters
    ----------
    levels
        Facts of the image and of its overviews.
    tables
        Their blocks.
    places
        Bytes where their tags stand.
    """
    reasons = []
    if max(levels[0]["shape"][1:]) > SMALL:
        reasons += [] if levels[0]["is_tiled"] else ["it has no tiles"]
        reasons += [] if len(levels) > 1 else ["it has no overviews"]
    filled = np.concatenate([t["first_byte"][t["n_bytes"] > 0] for t in tables])
    if len(filled) and max(places) > filled.min():
        reasons.append("tags stand behind the data")
    if reasons:
        warnings.warn(
            f"{source.uri} is not cloud-optimised: {', '.join(reasons)}", stacklevel=2
        )


@cuts("COG", by="levels")
def grid_partition_strategy(
    co: CloudObject, n_splits: int, level: int = 0
) -> list[DataSlice]:
    """Cut an image to a grid of n x n windows of whole blocks, some maybe empty.

    Parameters
    ----------
    level
        0 for the image, from 1 for its overviews.
    """
    n_splits, levels = check_number("n_splits", n_splits), co.index.facts["levels"]
    check_count("n_splits", n_splits**2)
    if check_number("level", level, 0) >= len(levels):
        raise BadInput(f"level: {level}: expected 0 to {len(levels) - 1}")
    rows, columns = (make_cuts(n, n_splits) for n in levels[level]["grid"])
    return [
        make_slice(co, level, [top, bottom, left, right])
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]


def make_slice(co: CloudObject, level: int, blocks: list[int]) -> DataSlice:
    """Return the slice of some rows and columns of blocks."""
    form = co.index.facts["levels"][level]
    table = co.index.arrays[f"blocks-{level}"].view(BLOCK)
    top, bottom, left, right = blocks
    numbers = np.arange(len(table)).reshape(-1, *form["grid"])
    chosen = numbers[:, top:bottom, left:right].ravel()
    (_, height, width), (block_height, block_width) = form["shape"], form["block"]
    window = [
        *(min(row * block_height, height) for row in (top, bottom)),
        *(min(column * block_width, width) for column in (left, right)),
    ]
    tables = form["jpeg_tables"] if len(chosen) else None
    return make_row_slice(
        co,
        f"blocks-{level}",
        chosen,
        table["n_bytes"],
        table["first_byte"],
        ((tables[0], tables[1]),) if tables else (),
        form=form,
        blocks=blocks,
        window=window,
    )


def read(part: DataSlice, pieces: list[bytes]) -> np.ndarray:
    """Return the values of a window, shape (bands, rows, columns)."""
    form = part.facts["form"]
    top, bottom, left, right = part.facts["blocks"]
    blocks = read_rows(part, pieces, BLOCK)
    is_inside = (top <= blocks["row"]) & (blocks["row"] < bottom)
    is_inside &= (left <= blocks["column"]) & (blocks["column"] < right)
    blocks = blocks[is_inside & (blocks["n_bytes"] > 0)]
    held = fetch_arrays(part, blocks["first_byte"], blocks["n_bytes"])
    tables = pieces[0] if part.ranges else None
    values = make_empty(part)
    height, width = form["block"]
    for band, row, column, at, size in blocks.tolist():
        block = decode(part, held[at, at + size], tables, at)
        bands = slice(band, band + 1) if form["is_planar"] else slice(None)
        y, x = (row - top) * height, (column - left) * width
        room = values[bands, y : y + height, x : x + width]
        if block.shape[0] < room.shape[1]:
            raise BadInput(f"{part.source.uri}, byte {at}: the block is cut")
        room[:] = np.moveaxis(block, 2, 0)[:, : room.shape[1], : room.shape[2]]
    return values


def make_empty(part: DataSlice) -> np.ndarray:
    """Return a window before its blocks are read, filled with what stands for none."""
    form = part.facts["form"]
    top, bottom, left, right = part.facts["window"]
    shape = form["shape"][0], bottom - top, right - left
    dtype = np.dtype(form["dtype"]).newbyteorder("=")
    try:
        return np.full(shape, dtype.type(form["no_data"] or 0), dtype)
    except (ValueError, OverflowError):
        return np.zeros(shape, dtype)


def decode(part: DataSlice, data: bytes, tables: bytes | None, at: int) -> np.ndarray:
    """Return the values of a block, shape (rows, columns, bands).

    Parameters
    ----------
    data
        Of the block, as it is stored.
    tables
        Of JPEG, which blocks share; None without any.
    at
        Byte of the file where it begins, for messages.

    Raises
    ------
    BadInput
        A block that is cut or damaged.
    """
    try:
        return decode_block(part.facts["form"], data, tables)
    except (ValueError, RuntimeError, zlib.error) as error:
        line = str(error).partition("\n")[0]
        raise BadInput(f"{part.source.uri}, byte {at}: the block: {line}") from None


def read_plainly(source: Source, version: Version) -> Iterator[np.ndarray]:
    """Yield checksums of the pixels, block by block in the order of the file."""
    reader = TiffReader(source, version)
    image = reader.read_images()[0]
    form = read_level(source, image, reader.order)
    table = make_blocks(source, image, form)
    (_, height, width), (rows, columns) = form["shape"], form["block"]
    for row, column in itertools.product(*map(range, form["grid"])):
        top, left = row * rows, column * columns
        window = [top, min(top + rows, height), left, min(left + columns, width)]
        own = table[(table["row"] == row) & (table["column"] == column)]
        place = [row, row + 1, column, column + 1]
        facts = {"form": form, "window": window, "blocks": place}
        tables = form["jpeg_tables"]
        ranges = ((tables[0], tables[1]),) if tables else ()
        part = DataSlice(COG.name, source, version, ranges, facts)
        pieces = [*fetch(source, version, ranges), own.tobytes()]
        yield hash_pixels(part, read(part, pieces))


def hash_pixels(part: DataSlice, values: np.ndarray) -> np.ndarray:
    """Return a checksum of each pixel of a window, with its place in the image."""
    top, bottom, left, right = part.facts["window"]
    n = (bottom - top) * (right - left)
    places = np.indices((bottom - top, right - left)) + np.array([[[top]], [[left]]])
    columns = (array.reshape(len(array), n).T for array in (places, values))
    parts = [np.ascontiguousarray(some).view(np.uint8) for some in columns]
    return hash_rows(np.concatenate(parts, axis=1))


def encode(values: np.ndarray) -> bytes:
    """Return a window as a file of numpy, .npy."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


COG = Format(
    f"{__name__}:COG",
    2,
    make_index,
    read,
    plain=PlainRecords("pixels", read_plainly, hash_pixels),
    encode=encode,
)
