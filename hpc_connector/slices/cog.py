"""GeoTIFF, at best cloud-optimised: windows of whole tiles, of one of its levels.

The levels are the image, then its overviews; masks are left out. The index has a row a
block of each level: a tile, or a strip where there are none.
"""

import io
import itertools
import math
import warnings
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks, Tally
from hpc_connector.slices.index import Index
from hpc_connector.slices.rows import fetch_arrays, make_cuts, make_row_slice, read_rows
from hpc_connector.slices.tiff import (
    BANDS,
    BITS,
    COMPRESSION,
    EXTRA,
    GEO,
    HEIGHT,
    JPEG_TABLES,
    KIND,
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
from hpc_connector.storage import Source, Version

SMALL = 512  # pixels: an image up to this size needs neither tiles nor overviews
REDUCED, MASK = 1, 4  # bits of the kind of an image
NONE, JPEG, DEFLATE = 1, 7, (8, 32946)
CODECS = {5: "lzw", 32773: "packbits", 34925: "lzma", 50000: "zstd", 50001: "webp"}
DIFFERENCES, OF_FLOATS = 2, 3
LETTERS = {1: "u", 2: "i", 3: "f", 6: "c"}
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
GREY, RGB, YCBCR = 1, 2, 6
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
        "compression": get_number(image, COMPRESSION, NONE),
        "predictor": get_number(image, PREDICTOR, 1),
        "photometric": get_number(image, PHOTOMETRIC, GREY),
        "has_extra": EXTRA in image,
        "no_data": image[NO_DATA].tobytes().decode("ascii", "replace").strip(" \0")
        if NO_DATA in image
        else None,
        "jpeg_tables": image[JPEG_TABLES].tolist() if JPEG_TABLES in image else None,
    }
    if level["compression"] not in (NONE, JPEG, *DEFLATE, *CODECS):
        raise BadInput(f"{source.uri}: compression {level['compression']} is not read")
    if level["predictor"] not in (1, DIFFERENCES, OF_FLOATS):
        raise BadInput(f"{source.uri}: predictor {level['predictor']} is not read")
    return level


def get_dtype(source: Source, image: Image) -> str:
    """Return the type of the values, without the order of bytes."""
    bits = set(image.get(BITS, np.ones(1, int)).tolist())
    kinds = set(image.get(SAMPLE_FORMAT, np.ones(1, int)).tolist())
    if len(bits) == len(kinds) == 1:
        dtype = f"{LETTERS.get(kinds.pop(), '?')}{bits.pop() / 8:g}"
        if dtype in DTYPES:
            return dtype
    raise BadInput(f"{source.uri}: expected values of whole bytes, of one type")


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
    """Warn of a file that is not cloud-optimised, and say why."""
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


def grid_partition_strategy(
    co: CloudObject, n_splits: int, level: int = 0
) -> list[DataSlice]:
    """Cut an image to a grid of n x n windows of whole blocks, some maybe empty.

    Parameters
    ----------
    level
        0 for the image, from 1 for its overviews.
    """
    if n_splits < 1:
        raise BadInput(f"n_splits: {n_splits}: expected 1 or more")
    levels = co.index.facts["levels"]
    if not 0 <= level < len(levels):
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

    Raises
    ------
    BadInput
        A block that is cut or damaged.
    """
    form = part.facts["form"]
    shape = -1, form["block"][1], 1 if form["is_planar"] else form["shape"][0]
    try:
        if form["compression"] == JPEG:
            return decode_jpeg(form, data, tables).reshape(shape)
        unpacked = unpack(form["compression"], data)
        if form["predictor"] == OF_FLOATS:
            return add_bytes(np.frombuffer(unpacked, np.uint8), shape, form["dtype"])
        values = np.frombuffer(unpacked, form["dtype"]).reshape(shape)
    except (ValueError, RuntimeError, zlib.error) as error:
        raise BadInput(f"{part.source.uri}, byte {at}: the block: {error}") from None
    if form["predictor"] == DIFFERENCES:
        return add_differences(values)
    return values


def unpack(compression: int, data: bytes) -> bytes:
    """Return the bytes of a block."""
    if compression == NONE:
        return data
    if compression in DEFLATE:
        return zlib.decompress(data)
    import imagecodecs

    unpacked = getattr(imagecodecs, f"{CODECS[compression]}_decode")(data)
    return bytes(unpacked) if isinstance(unpacked, bytes) else unpacked.tobytes()


def decode_jpeg(form: dict[str, Any], data: bytes, tables: bytes | None) -> np.ndarray:
    """Return the values of a block in JPEG; colours are RGB."""
    import imagecodecs

    colours, given = form["photometric"], None
    if colours == RGB and b"JFIF" not in data[:16]:
        given = RGB
    wanted = RGB if colours in (RGB, YCBCR) and not form["has_extra"] else None
    if form["is_planar"]:
        given, wanted = None, GREY
    return imagecodecs.jpeg_decode(
        data, tables=tables, colorspace=given, outcolorspace=wanted
    )


def add_differences(values: np.ndarray) -> np.ndarray:
    """Return the values whose differences along rows are given (predictor 2)."""
    native = values.astype(values.dtype.newbyteorder("="))
    whole = native.view(f"u{native.itemsize}")
    return np.cumsum(whole, axis=1, dtype=whole.dtype).view(native.dtype)


def add_bytes(data: np.ndarray, shape: tuple[int, int, int], dtype: str) -> np.ndarray:
    """Return floats from differences of their bytes (predictor 3, TIFF note 3).

    A row has the first byte of each value, then the second; the highest comes first.
    """
    _, width, bands = shape
    size = np.dtype(dtype).itemsize
    added = np.cumsum(data.reshape(-1, width * size, bands), axis=1, dtype=np.uint8)
    planes = added.reshape(-1, size, width * bands)
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
    return values.reshape(shape)


def tally(index: Index, windows: Iterable[np.ndarray]) -> Tally:
    """Count the pixels of the image."""
    _, height, width = index.facts["levels"][0]["shape"]
    found = sum(window.shape[1] * window.shape[2] for window in windows)
    return Tally(found, height * width, "pixels")


def encode(values: np.ndarray) -> bytes:
    """Return a window as a file of numpy, .npy."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


COG = Format(f"{__name__}:COG", 1, make_index, read, tally=tally, encode=encode)
