"""bgzip blocks in memory: places within them, and what lies between two places.

A place is a virtual offset (SAM specification, section 4.1): the byte of the file where
a block begins, times 65,536, plus a byte of what the block holds.
"""

import struct
from collections.abc import Iterator

from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import (
    BLOCK_HEADER,
    EMPTY_BLOCK,
    GZIP_MAGIC,
    HEADER_BYTES,
    MAX_BLOCK_BYTES,
    TAIL_BYTES,
    find_end_block,
    get_block_bytes,
    unpack_block,
)
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Range, Version

WITHIN = 16  # bits
CHUNK_BYTES = 4 << 20  # read at once
NO_END = "it lacks the empty block that ends bgzip files, so it may be cut"
CONTENT_BYTES = 0xFF00  # of a block that is written: it fits, if it does not shrink


def get_bytes_between(first: int, last: int, size: int) -> Range:
    """Return the bytes of a file that hold all between two places.

    The last block is read whole, if anything of it belongs there: where it ends is not
    known, but it is short.
    """
    end = last >> WITHIN
    if last & (MAX_BLOCK_BYTES - 1):
        end = min(end + MAX_BLOCK_BYTES, size)
    return first >> WITHIN, max(end, first >> WITHIN)


def inflate(data: bytes, name: str, start: int, stop: int | None = None) -> bytes:
    """Return the contents of blocks.

    Parameters
    ----------
    start
        Byte of the file where `data` begins, for messages.
    stop
        Byte of `data` where the last block that is wanted begins; None for all.

    Raises
    ------
    BadInput
        A block that is cut or corrupt.
    """
    at, pieces = 0, []
    while at < len(data) and (stop is None or at <= stop):
        match = BLOCK_HEADER.match(data, at)
        if not match and is_padding(data[at:]):
            break
        n_bytes = get_block_bytes(match) if match else 0
        block = data[at : at + n_bytes]
        if not match or len(block) < max(n_bytes, HEADER_BYTES):
            raise BadInput(f"{name}, byte {start + at}: the bgzip block is cut")
        try:
            pieces.append(unpack_block(block, name, start + at))
        except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
            raise BadInput(f"{name}, byte {start + at}: {error}") from None
        at += n_bytes
    return b"".join(pieces)


def cut_between(data: bytes, first: int, last: int, name: str) -> bytes:
    """Return the text between two places, from the bytes of ``get_bytes_between``.

    Parameters
    ----------
    data
        From the block of `first` on.
    first, last
        Places; what is at the last is left out.
    name
        Of the file, for messages.

    Raises
    ------
    BadInput
        A block that is cut or corrupt, or ends before the last place.
    """
    start, end = first >> WITHIN, last >> WITHIN
    skip, keep = first & (MAX_BLOCK_BYTES - 1), last & (MAX_BLOCK_BYTES - 1)
    whole = inflate(data[: end - start], name, start)
    tail = inflate(data[end - start :], name, end, stop=0) if keep else b""
    if len(tail) < keep:
        raise BadInput(f"{name}, byte {end}: expected a block of {keep} bytes or more")
    if start == end:
        return tail[skip:keep]
    return b"".join([memoryview(whole)[skip:], memoryview(tail)[:keep]])


def is_padding(data: bytes) -> bool:
    """Return whether bytes behind blocks are but zeros, as of tapes."""
    return not data.strip(b"\0")


def find_end(source: Source, version: Version) -> tuple[int, bool]:
    """Return where the blocks of a file end, and whether an empty one ends it."""
    first = max(version.size - TAIL_BYTES, 0)
    (tail,) = fetch(source, version, [(first, version.size)])
    at = find_end_block(tail)
    return (first + at, True) if at >= 0 else (version.size, False)


def read_blocks(source: Source, version: Version) -> Iterator[tuple[int, bytes]]:
    """Yield where each block of a file begins, and what it holds.

    Raises
    ------
    BadInput
        A block that is cut or corrupt.
    """
    at = 0
    while at < version.size:
        last = min(at + CHUNK_BYTES, version.size)
        (data,) = fetch(source, version, [(at, last)])
        n_read = 0
        while n_read < len(data):
            if not data[n_read] and is_padding(data[n_read:]):
                n_read = len(data)
                break
            n_bytes = find_block_bytes(data, n_read, source.uri, at)
            if n_read + n_bytes > len(data):
                break
            block = data[n_read : n_read + n_bytes]
            yield at + n_read, inflate(block, source.uri, at + n_read)
            n_read += n_bytes
        if n_read == 0:
            raise BadInput(f"{source.uri}, byte {at}: the bgzip block is cut")
        at += n_read


def find_block_bytes(data: bytes, at: int, name: str, start: int) -> int:
    """Return the size of a block; more than there is where its head is cut.

    Parameters
    ----------
    data, at
        Bytes of the file, and where in them the block begins.
    name, start
        Of the file, and the byte where `data` begins in it, for messages.
    """
    if data[at : at + 4] != b"\x1f\x8b\x08\x04"[: len(data) - at]:
        found = "gzip that is not bgzip: " if data[at : at + 2] == GZIP_MAGIC else ""
        raise BadInput(
            f"{name}, byte {start + at}: {found}expected a bgzip block, as "
            "bgzip or bcftools view -Oz write"
        )
    head = data[at + 16 : at + 18]
    return int.from_bytes(head, "little") + 1 if len(head) == 2 else MAX_BLOCK_BYTES


def deflate(data: bytes) -> bytes:
    """Return bytes as a bgzip file."""
    pieces = []
    for at in range(0, len(data), CONTENT_BYTES):
        content = data[at : at + CONTENT_BYTES]
        packed = isal_zlib.compress(content, 1, -15)
        n_bytes = struct.pack("<H", HEADER_BYTES + len(packed) + 8 - 1)
        ending = struct.pack("<2I", isal_zlib.crc32(content), len(content))
        pieces += [EMPTY_BLOCK[: HEADER_BYTES - 2], n_bytes, packed, ending]
    return b"".join([*pieces, EMPTY_BLOCK])
