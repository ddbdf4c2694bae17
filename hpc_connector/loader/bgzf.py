"""Bytes and lines of a file that is plain, gzip or bgzip, in parts.

A bgzip file is a chain of small gzip blocks that name their own size (SAM
specification, section 4.1), so a part can begin at the first block after any byte:
lines need no index to be read in parallel. A plain file is taken as blocks of 64 KiB;
gzip cannot be entered in the middle and is all in part 0.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import BinaryIO

from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, open_file

MAX_BLOCK_BYTES = 1 << 16
GZIP_BYTES = 1 << 14  # read at once: what they inflate to stays in the cache
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_HEADER = re.compile(rb"\x1f\x8b\x08\x04.{6}\x06\x00BC\x02\x00(..)", re.DOTALL)
HEADER_BYTES = 18
EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def read_blocks(path: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield where each block lies in the file, and what it holds.

    Parameters
    ----------
    start
        Byte of the file where a block begins; 0 for gzip that is not bgzip.

    Yields
    ------
    Byte of the file (0 for all of gzip), and the bytes, decompressed.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt.
    """
    try:
        with open_file(path) as file:
            magic = file.read(HEADER_BYTES)
            if BLOCK_HEADER.match(magic):
                yield from _read_bgzip(file, path, start)
            elif magic.startswith(GZIP_MAGIC):
                yield from _read_gzip(file, path)
            else:
                yield from _read_plain(file, start)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
        raise BadInput(f"{path} is corrupt: {error}, expected gzip data") from error


def _read_bgzip(file: BinaryIO, path: str, start: int) -> Iterator[tuple[int, bytes]]:
    file.seek(max(0, get_size(path) - len(EMPTY_BLOCK)))
    if file.read() != EMPTY_BLOCK:
        raise BadInput(f"{path} is cut: expected the empty block that ends bgzip files")
    offset = file.seek(start)
    while header := file.read(HEADER_BYTES):
        match = BLOCK_HEADER.match(header)
        if match is None:
            raise BadInput(
                f"{path}, byte {offset}: expected the start of a bgzip block"
            )
        n_bytes = int.from_bytes(match[1], "little") + 1
        block = header + file.read(max(0, n_bytes - HEADER_BYTES))
        content = isal_zlib.decompress(block, wbits=31)
        if len(block) != n_bytes or len(content) != int.from_bytes(
            block[-4:], "little"
        ):
            raise BadInput(f"{path}, byte {offset}: the bgzip block is corrupt")
        yield offset, content
        offset += n_bytes


def _read_gzip(file: BinaryIO, path: str) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    member = isal_zlib.decompressobj(wbits=31)
    while data := file.read(GZIP_BYTES):
        while data:
            if member.eof:
                member = isal_zlib.decompressobj(wbits=31)
            yield 0, member.decompress(data)
            data = member.unused_data
    if not member.eof:
        raise BadInput(f"{path} is cut: the gzip data end too early")


def _read_plain(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    offset = file.seek(start)
    while data := file.read(MAX_BLOCK_BYTES):
        yield offset, data
        offset += len(data)


def read_text(path: str) -> str:
    """Return a file of UTF-8 text that may be compressed.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt, or is no UTF-8 text.
    """
    data = b"".join(block for _, block in read_blocks(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}, byte {error.start}: found {data[error.start]:#04x}, expected "
            "UTF-8 text"
        ) from None


def find_block(path: str, offset: int) -> int:
    """Return the first byte at or after `offset` where a block begins.

    Raises
    ------
    BadInput
        A file that cannot be read.
    """
    try:
        with open_file(path) as file:
            size = get_size(path)
            magic = file.read(HEADER_BYTES)
            file.seek(offset)
            near = file.read(MAX_BLOCK_BYTES + HEADER_BYTES)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    if BLOCK_HEADER.match(magic):
        found = BLOCK_HEADER.search(near)
        return offset + found.start() if found else size
    if magic.startswith(GZIP_MAGIC):
        return size if offset else 0
    return min(size, -(-offset // MAX_BLOCK_BYTES) * MAX_BLOCK_BYTES)


def read_lines(path: str, part: int = 0, n_parts: int = 1) -> Iterator[bytes]:
    """Yield the lines of one part of a file, without their ends.

    A line belongs to the part whose blocks hold the end of the line before it, so
    that a line that begins with a block is not read twice.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt, or whose last line has no end.
    """
    try:
        size = get_size(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    start = find_block(path, size * part // n_parts)
    end = find_block(path, size * (part + 1) // n_parts)
    if start == end:
        return
    is_other = start > 0  # the first line belongs to the part before
    pieces: list[bytes] = []
    is_start = start == 0
    for offset, data in read_blocks(path, start):
        if is_start:
            data, is_start = data.removeprefix(BOM_UTF8), not data
        first, *others = data.split(b"\n")
        pieces.append(first)
        if not others:
            continue
        if not is_other:
            yield b"".join(pieces).removesuffix(b"\r")
        if offset >= end:
            return
        is_other = False
        yield from (line.removesuffix(b"\r") for line in others[:-1])
        pieces = others[-1:]
    if any(pieces):
        raise BadInput(f"{path} is cut: its last line has no end")
