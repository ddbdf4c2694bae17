"""The header of a BGEN file: how its variants lie, and who its individuals are."""

import struct
from typing import BinaryIO, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, open_file

MAGIC = (b"bgen", b"\0\0\0\0")
HEADER_BYTES = 24  # from the offset of the variants to the header's free text
NO_COMPRESSION, ZLIB, ZSTD = range(3)
COMPRESSIONS = {1: (NO_COMPRESSION, ZLIB), 2: (NO_COMPRESSION, ZLIB, ZSTD)}  # by layout


class Header(NamedTuple):
    """What a header says, and where the first variant begins."""

    n_variants: int
    n_individuals: int
    layout: int
    compression: int
    individuals: tuple[str, ...] | None
    start: int


def read_header(path: str) -> Header:
    """Read the header of a BGEN file.

    Raises
    ------
    BadInput
        A file that is not BGEN, or is cut.
    """
    try:
        with open_file(path) as file:
            return _parse_header(file, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except struct.error:
        raise BadInput(f"{path} is cut: expected a BGEN header") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: expected ids as UTF-8 text") from None


def _parse_header(file: BinaryIO, path: str) -> Header:
    start, length, n_variants, n_individuals = struct.unpack("<4I", file.read(16))
    if file.read(4) not in MAGIC or not 20 <= length <= start:
        raise BadInput(f"{path} is no BGEN file: expected 'bgen' at byte 16")
    size = get_size(path)
    if start + 4 > size:
        raise BadInput(f"{path} is cut: expected variants from byte {start + 4} on")
    file.seek(length)
    (flags,) = struct.unpack("<I", file.read(4))
    compression, layout = flags & 3, flags >> 2 & 15
    if compression not in COMPRESSIONS.get(layout, ()):
        raise BadInput(
            f"{path} has BGEN layout {layout} and compression {compression}: expected "
            "layout 1 or 2, as of BGEN 1.1 and 1.2, and compression 0, 1 or, of layout "
            "2, 2"
        )
    individuals = None
    if flags >> 31:
        individuals = _parse_ids(file.read(start - length), n_individuals, path)
    return Header(
        n_variants, n_individuals, layout, compression, individuals, start + 4
    )


def _parse_ids(data: bytes, n_individuals: int, path: str) -> tuple[str, ...]:
    length, n_ids = struct.unpack_from("<2I", data)
    if n_ids != n_individuals or length > len(data):
        raise BadInput(
            f"{path} names {n_ids} individuals in {length} of {len(data)} bytes, "
            f"expected {n_individuals}"
        )
    names, at = [], 8
    for _ in range(n_ids):
        name, at = take_string(data, at, "<H")
        names.append(name)
    if at != length:
        raise BadInput(f"{path}: ids take {at} bytes, expected {length}")
    return tuple(names)


def take_string(data: bytes, at: int, length_code: str) -> tuple[str, int]:
    """Return the string at `at`, after its length, and where it ends."""
    (length,) = struct.unpack_from(length_code, data, at)
    at += struct.calcsize(length_code)
    if at + length > len(data):
        raise struct.error("string past the end")
    return data[at : at + length].decode(), at + length
