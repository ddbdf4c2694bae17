"""imzML: the object is the .imzML, its peaks lie in the .ibd beside it.

The index has a row a spectrum, in the order of the file: its pixel, and the places of
its arrays in the .ibd. A slice names rows, so that its size is that of a few numbers.
"""

import dataclasses
import functools
import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.ibd import UUID_BYTES, get_spectrum_bytes
from hpc_connector.loader.spectra.identity import is_same_uuid
from hpc_connector.loader.spectra.imzml import (
    IBD_ENDINGS,
    Imzml,
    check_packed,
    parse_imzml,
)
from hpc_connector.notes import log_notes, make_notes
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.plain import PlainRecords, hash_bytes
from hpc_connector.slices.index import Index
from hpc_connector.slices.rows import (
    fetch_arrays,
    make_cuts,
    make_row_slice,
    read_rows,
)
from hpc_connector.slices.squares import Square, plan_squares
from hpc_connector.slices.strategies import (
    check_count,
    check_list,
    check_number,
    count_slices,
    cuts,
)
from hpc_connector.storage import address
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_version, list_beside
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import NoSuchObject

COLUMNS = [
    "x",
    "y",
    "n_peaks",
    "mz_offset",
    "mz_bytes",
    "intensity_offset",
    "intensity_bytes",
]
AT_ONCE = 64  # spectra, read without an index
SPECTRUM = np.dtype([(name, "<i8") for name in COLUMNS])

Pixels = tuple[tuple[int, int], tuple[int, int]]  # x and y, first and last + 1
Spectrum = tuple[int, int, np.ndarray, np.ndarray]


def make_index(source: Source, version: Version, map_chunks: MapChunks) -> Index:
    """Return where the arrays of the spectra are, from the XML alone."""
    (data,) = fetch(source, version, [(0, version.size)])
    check_packed(source.uri, data[:8])
    ibd, ibd_version = find_ibd(source)

    def read(first: int, last: int) -> bytes:
        n_bytes = ibd_version.size
        piece = (min(first, n_bytes), min(last, n_bytes))
        return fetch(ibd, ibd_version, [piece])[0]

    imzml = parse_imzml(source.uri, ibd.uri, data, in_steps=False, read=read)
    check_ibd(imzml, ibd, ibd_version)
    log_notes(make_notes(imzml.assumed, {}))
    spectra = np.empty(len(imzml.x), SPECTRUM)
    for name in COLUMNS:
        spectra[name] = getattr(imzml, name)
    names = ("mode", "polarity", "uuid", "mz_is_zlib", "intensity_is_zlib")
    facts = {name: getattr(imzml, name) for name in names} | {
        "ibd": ibd.uri,
        "ibd_version": dataclasses.asdict(ibd_version),
        "mz_dtype": imzml.mz_dtype.str,
        "intensity_dtype": imzml.intensity_dtype.str,
        "n_spectra": len(spectra),
    }
    return Index(facts, {"spectra": spectra, "n_bytes": get_spectrum_bytes(imzml)})


def find_ibd(source: Source) -> tuple[Source, Version]:
    """Return the object of the peaks, and its version."""
    for found in list_swapped(source, IBD_ENDINGS):
        try:
            return found, get_version(found)
        except NoSuchObject:
            continue
    name = list_swapped(source, IBD_ENDINGS)[0].uri
    raise BadInput(f"{name}: no such object: expected the peaks beside the .imzML")


def list_swapped(source: Source, endings: Sequence[str]) -> list[Source]:
    """Return the objects that may have the same name with one of other endings."""
    own = address.get_ending(source.uri)
    names = [
        name
        for ending in endings
        for name in list_beside(source.uri, ending, without=own)
    ]
    return [Source(name, source.config) for name in names]


def check_ibd(imzml: Imzml, ibd: Source, version: Version) -> None:
    """Refuse an .ibd of another dataset, and one that is cut.

    Raises
    ------
    BadInput
        Another UUID, or an array that ends after the object.
    """
    end = min(UUID_BYTES, version.size)
    (uuid,) = fetch(ibd, version, [(0, end)])
    if not is_same_uuid(imzml.uuid, uuid):
        raise BadInput(f"{ibd.uri} has UUID {uuid.hex()}: expected {imzml.uuid}")
    last = max(
        (imzml.mz_offset + imzml.mz_bytes).max(),
        (imzml.intensity_offset + imzml.intensity_bytes).max(),
    )
    if last > version.size:
        raise BadInput(f"{ibd.uri} is cut: {version.size} bytes, expected {last}")


@cuts("ImzML", by="n_spectra")
def partition_chunks_strategy(
    co: CloudObject, num_chunks: int | None = None, chunk_size: int | None = None
) -> list[DataSlice]:
    """Cut a dataset to slices of about as many bytes of peaks; spectra are never cut.

    Parameters
    ----------
    num_chunks
        Number of slices; where there are fewer spectra, some are empty.
    chunk_size
        Bytes of a slice, in place of their number.
    """
    n_bytes = co.index.arrays["n_bytes"]
    if (num_chunks is None) == (chunk_size is None):
        raise BadInput("expected either num_chunks or chunk_size")
    if chunk_size is not None:
        num_chunks = count_slices("chunk_size", chunk_size, int(n_bytes.sum()))
    n = check_count("num_chunks", num_chunks)
    middle = np.cumsum(n_bytes) - n_bytes / 2
    inner = np.searchsorted(middle, n_bytes.sum() * np.arange(1, n) / n)
    return make_slices(co, [0, *inner.tolist(), len(n_bytes)])


@cuts("ImzML", by="n_spectra")
def partition_num_spectra(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut a dataset to slices of as many spectra, but for one."""
    n = co.index.facts["n_spectra"]
    return make_slices(co, make_cuts(n, check_count("num_chunks", num_chunks)))


@cuts("ImzML", by="n_spectra")
def partition_boxes(co: CloudObject, boxes: Sequence[Pixels]) -> list[DataSlice]:
    """Return a slice of each box of pixels.

    Parameters
    ----------
    boxes
        x and y of each: first pixel, from 1 as in the file, and the one after the last.
    """
    x, y = get_pixels(co)
    return [
        make_slice(co, np.flatnonzero(is_in_box(x, y, box)), box=box)
        for box in map(check_box, check_list("boxes", boxes))
    ]


def check_box(box: Any) -> Pixels:
    """Return a box of pixels.

    Raises
    ------
    BadInput
        It is not two pairs of whole numbers.
    """
    try:
        (x0, x1), (y0, y1) = box
    except (TypeError, ValueError):
        raise BadInput(
            f"box {box!r}: expected ((first x, last + 1), (first y, last + 1))"
        ) from None
    x0, x1, y0, y1 = (
        check_number("box", value, -(1 << 62)) for value in (x0, x1, y0, y1)
    )
    return (x0, x1), (y0, y1)


@cuts("ImzML", by="n_spectra")
def square_split_strategy(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut the image to rectangles of about the same area; a pixel is in one only."""
    x, y = get_pixels(co)
    corners = (x.min(), y.min()), (x.max() + 1, y.max() + 1)
    squares = plan_squares(*corners, num_chunks)
    return partition_boxes(co, [get_box(square) for square in squares])


def get_box(square: Square) -> Pixels:
    """Return the pixels of a rectangle."""
    (x0, y0), (x1, y1) = square.lowest, square.highest
    x, y = (
        (
            int(low + math.ceil((high - low) * k / n)),
            int(low + math.ceil((high - low) * (k + 1) / n)),
        )
        for low, high, k, n in (
            (x0, x1, square.column, square.n_columns),
            (y0, y1, square.row, square.n_rows),
        )
    )
    return x, y


def get_pixels(co: CloudObject) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of the spectra."""
    spectra = co.index.arrays["spectra"].view(SPECTRUM)
    return spectra["x"], spectra["y"]


def is_in_box(x: np.ndarray, y: np.ndarray, box: Pixels) -> np.ndarray:
    """Return which pixels are in a box, bool."""
    (x0, x1), (y0, y1) = box
    return (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)


def make_slices(co: CloudObject, cuts: Sequence[int]) -> list[DataSlice]:
    """Return the slices of the spectra between cuts."""
    return [make_slice(co, np.arange(a, b)) for a, b in itertools.pairwise(cuts)]


def make_slice(
    co: CloudObject, chosen: np.ndarray, box: Pixels | None = None
) -> DataSlice:
    """Return the slice of some spectra; its object is the .ibd."""
    names = ("mz_dtype", "intensity_dtype", "mz_is_zlib", "intensity_is_zlib")
    facts = {name: co.index.facts[name] for name in names}
    facts |= {"box": [list(pair) for pair in box]} if box else {}
    n_bytes = co.index.arrays["n_bytes"]
    starts = (
        "mz_offset" if co.index.facts["mode"] == "processed" else "intensity_offset"
    )
    first_byte = co.index.arrays["spectra"].view(SPECTRUM)[starts]
    return dataclasses.replace(
        make_row_slice(co, "spectra", chosen, n_bytes, first_byte, **facts),
        # beside this object, for the index may have been copied with another
        source=get_ibd(co),
        version=Version(**co.index.facts["ibd_version"]),
    )


def get_ibd(co: CloudObject) -> Source:
    """Return the object of the peaks of an indexed dataset."""
    indexed = co.index.facts["ibd"]
    ending = address.get_ending(indexed)
    if address.is_encrypted(indexed):
        ending += address.ENCRYPTED
    own = address.get_ending(co.source.uri)
    name = address.beside(co.source.uri, ending, without=own)
    return Source(name, co.source.config)


def read(part: DataSlice, pieces: list[bytes]) -> list[Spectrum]:
    """Return x, y, m/z and intensities of each spectrum, in the order of the file.

    An array that spectra share, as m/z in continuous mode, is fetched and held once.
    """
    rows = read_rows(part, pieces, SPECTRUM)
    if "box" in part.facts:
        rows = rows[is_in_box(rows["x"], rows["y"], part.facts["box"])]
    first = np.concatenate([rows["mz_offset"], rows["intensity_offset"]])
    n_bytes = np.concatenate([rows["mz_bytes"], rows["intensity_bytes"]])
    held = fetch_arrays(part, first, n_bytes)

    @functools.cache
    def get_array(name: str, n: int, at: int, size: int) -> np.ndarray:
        return decode(part, name, held[at, at + size], n, at)

    return [
        (x, y, get_array("mz", n, *places[:2]), get_array("intensity", n, *places[2:]))
        for x, y, n, *places in rows.tolist()
    ]


def decode(part: DataSlice, name: str, data: bytes, n: int, at: int) -> np.ndarray:
    """Return an array of a spectrum, of the type of the file, read-only.

    Parameters
    ----------
    name
        "mz" or "intensity".
    data
        As it is stored, zlib where the facts of the slice say so.
    n
        Peaks.
    at
        Byte of the .ibd file where it begins, for messages.

    Raises
    ------
    BadInput
        Compressed bytes that are damaged, or another length.
    """
    dtype: Any = np.dtype(part.facts[f"{name}_dtype"])
    if part.facts[f"{name}_is_zlib"] and data:
        try:
            data = isal_zlib.decompress(data)
        except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
            raise BadInput(f"{part.source.uri}, byte {at}: {error}") from None
    if len(data) != n * dtype.itemsize:
        raise BadInput(
            f"{part.source.uri}, byte {at}: {len(data)} bytes of {name}: expected "
            f"{n * dtype.itemsize}"
        )
    return np.frombuffer(data, dtype)


def read_plainly(source: Source, version: Version) -> Iterator[np.ndarray]:
    """Yield checksums of the spectra, one after the other as the XML has them."""
    ibd, ibd_version = find_ibd(source)
    (data,) = fetch(source, version, [(0, version.size)])
    imzml = parse_imzml(source.uri, ibd.uri, data)
    packed = imzml.mz_is_zlib, imzml.intensity_is_zlib
    columns = [getattr(imzml, name) for name in COLUMNS]
    for at in range(0, len(imzml.x), AT_ONCE):
        parts = (column[at : at + AT_ONCE].tolist() for column in columns)
        some = list(zip(*parts, strict=True))
        pairs = [pair for row in some for pair in (row[3:5], row[5:7])]
        places = [(first, first + n_bytes) for first, n_bytes in pairs]
        pieces = iter(fetch(ibd, ibd_version, places))
        found = []
        for x, y, *_ in some:
            arrays = [
                zlib.decompress(piece) if is_packed and piece else piece
                for is_packed, piece in zip(packed, pieces, strict=False)
            ]
            found.append(hash_bytes(b"%d %d" % (x, y), *arrays))
        yield np.array(found, np.uint64)


def hash_spectra(part: DataSlice, spectra: list[Spectrum]) -> np.ndarray:
    """Return a checksum of each spectrum and its pixel."""
    found = [
        hash_bytes(b"%d %d" % (x, y), mz.tobytes(), intensity.tobytes())
        for x, y, mz, intensity in spectra
    ]
    return np.array(found, np.uint64)


def encode(spectra: list[Spectrum]) -> bytes:
    """Return spectra as a table of text, a line a peak."""
    lines = ["x\ty\tmz\tintensity\n"]
    for x, y, mz, intensity in spectra:
        peaks = zip(mz.tolist(), intensity.tolist(), strict=True)
        lines += [f"{x}\t{y}\t{m:.10g}\t{i:.9g}\n" for m, i in peaks]
    return "".join(lines).encode()


ImzML = Format(
    f"{__name__}:ImzML",
    1,
    make_index,
    read,
    plain=PlainRecords("spectra", read_plainly, hash_spectra),
    encode=encode,
)
