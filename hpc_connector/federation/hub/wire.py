"""What goes over the wire: paths, and blocks of numbers behind a header."""

import re
import struct
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.federation.masks import Numbers

PROTOCOL = 1  # parties of a search have the same
MAGIC = b"hpcmdr01"
HEADER = struct.Struct("<8sBB2sQII4s")
ZEROS = bytes(2), bytes(4)
BITS = (8, 16, 32)
MOST_BYTES = 1 << 24  # of the numbers of a block, with few folds
FOLD_BYTES = 1 << 17  # of it with many: of 4,096 variants, four numbers a class
MOST_HELLO = 1 << 16  # bytes of what a site shows to all
UNDER_WAY = 4  # blocks of a site that the others have not all sent
WAIT_S = 30.0  # for what is not there yet, at most, in one request
JOIN = "/v1/join"
RUN = re.compile(r"/v1/runs/([0-9a-f]{64})/(.+)")
BLOCK = re.compile(r"(\d{1,3})/(\d{1,20})")
TOLD = re.compile(r"told/(\d{1,9})")


class Header(NamedTuple):
    """What stands before the numbers of a block.

    Parameters
    ----------
    bits
        Of a number.
    size
        Numbers.
    crc
        CRC-32 of their bytes.
    """

    stage: int
    bits: int
    block: int
    size: int
    crc: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the numbers."""
        return self.size * self.bits // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers, little endian."""
        return np.dtype(f"<u{self.bits // 8}")


def get_bytes(numbers: Numbers) -> memoryview:
    """Return the bytes of numbers, little endian."""
    little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def make_header(stage: int, block: int, numbers: Numbers) -> Header:
    """Return the header of a block."""
    crc = isal_zlib.crc32(get_bytes(numbers))
    return Header(stage, 8 * numbers.itemsize, block, numbers.size, crc)


def pack_header(header: Header) -> bytes:
    """Return the 32 bytes of a header."""
    stage, bits, block, size, crc = header
    return HEADER.pack(MAGIC, stage, bits, ZEROS[0], block, size, crc, ZEROS[1])


def read_header(data: bytes) -> Header:
    """Return a header from its 32 bytes.

    Raises
    ------
    BadInput
        It is none.
    """
    try:
        magic, stage, bits, zeros, block, size, crc, more = HEADER.unpack(data)
    except struct.error:
        raise BadInput(f"expected a header of {HEADER.size} bytes") from None
    if magic != MAGIC or (zeros, more) != ZEROS:
        raise BadInput("expected the header of a block, hpcmdr01")
    if bits not in BITS:
        raise BadInput(f"numbers of {bits} bits: expected one of {BITS}")
    return Header(stage, bits, block, size, crc)


def get_most_bytes(folds: int) -> int:
    """Return the most bytes of the numbers of a block."""
    return max(MOST_BYTES, FOLD_BYTES * folds)


def check_crc(header: Header, numbers: Numbers) -> None:
    """Refuse numbers that are not those of a header."""
    if isal_zlib.crc32(get_bytes(numbers)) != header.crc:
        raise BadInput(
            f"stage {header.stage}, block {header.block}: the numbers are damaged "
            "(CRC-32)"
        )


def name_block(stage: int, block: int) -> str:
    """Return a block as messages name it."""
    return f"stage {stage}, block {block}"
