"""PNG files: 8 and 16 bits a channel, written block by block of rows."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, with alpha, RGB, with alpha


def encode_png(image: NDArray[Any]) -> bytes:
    """Return an image as PNG.

    Parameters
    ----------
    image
        Shape (height, width, channels), uint8 or uint16; channels are grey, grey and
        alpha, RGB, or RGB and alpha.
    """
    height, width, channels = image.shape
    return b"".join(
        encode_blocks([image], height, width, channels, 8 * image.dtype.itemsize)
    )


def encode_blocks(
    blocks: Iterable[np.ndarray], height: int, width: int, channels: int, bits: int
) -> Iterator[bytes]:
    """Yield the parts of a PNG file, of blocks of rows from top to bottom.

    Only one block is held in memory. Source: Portable Network Graphics specification,
    third edition, W3C, sections 5 and 11.

    Parameters
    ----------
    blocks
        Shape (rows, width, channels), uint8 or uint16.
    height, width
        Of the image, in pixels.
    channels
        Of a pixel: grey, grey and alpha, RGB, or RGB and alpha.
    bits
        Of a value, 8 or 16.
    """
    header = (width, height, bits, COLOR_TYPES[channels], 0, 0, 0)
    yield SIGNATURE + _make_chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    # Runs of zeros are what there is to gain; and the bytes are those of zlib anywhere,
    # which those of a search for longer strings, or of ISA-L, are not always
    deflate = zlib_ng.compressobj(1, strategy=zlib_ng.Z_RLE)
    for block in blocks:
        yield _make_chunk(b"IDAT", deflate.compress(_filter_rows(block).data))
    yield _make_chunk(b"IDAT", deflate.flush()) + _make_chunk(b"IEND", b"")


def _filter_rows(block: NDArray[Any]) -> NDArray[np.uint8]:
    """Return rows as PNG stores them: big-endian, each after filter 1, the difference.

    Of a byte to that of the pixel before: one colour becomes a run of zeros.
    """
    n_rows, width, channels = block.shape
    n_bytes = channels * block.dtype.itemsize  # of a pixel
    rows = block.astype(block.dtype.newbyteorder(">")).view(np.uint8)
    rows = rows.reshape(n_rows, width * n_bytes)
    filtered = np.ones((n_rows, 1 + rows.shape[1]), np.uint8)
    filtered[:, 1 : 1 + n_bytes] = rows[:, :n_bytes]
    np.subtract(rows[:, n_bytes:], rows[:, :-n_bytes], out=filtered[:, 1 + n_bytes :])
    return filtered


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    """Return length, kind, data and checksum of a chunk."""
    checksum = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
