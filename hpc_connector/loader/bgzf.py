"""Bytes and lines of a file that is plain, gzip, bgzip or zstd, in parts.

A bgzip file is a chain of small gzip blocks that name their own size (SAM
specification, section 4.1), so a part can begin at the first block after any byte:
lines need no index to be read in parallel. A plain file is taken as blocks of 64 KiB;
gzip and zstd cannot be entered in the middle and are all in part 0; gzip where it
follows bgzip in the part before it.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import BinaryIO

from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, open_file
from hpc_connector.notes import Assumption
from hpc_connector.text import WESTERN, decode_text, split_lines

MAX_BLOCK_BYTES = 1 << 16
GZIP_BYTES = 1 << 14  # read at once: what they inflate to stays in the cache
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPED_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
BLOCK_HEADER = re.compile(rb"\x1f\x8b\x08\x04.{6}\x06\x00BC\x02\x00(..)", re.DOTALL)
HEADER_BYTES = 18
TAIL_BYTES = 1 << 9  # of a file, in which its end block and zeros after it are sought
EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def read_blocks(path: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield where each block lies in the file, and what it holds.

    Parameters
    ----------
    start
        Byte of the file where a block begins; 0 for zstd, and gzip that is not bgzip.

    Yields
    ------
    Byte of the file (of gzip and zstd, where its member or frame begins), and the
    bytes, decompressed.

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
            elif is_zstd(magic):
                yield from _read_zstd(file, path)
            else:
                yield from _read_plain(file, start)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
        raise BadInput(f"{path} is corrupt: {error}, expected gzip data") from error


def _read_bgzip(file: BinaryIO, path: str, start: int) -> Iterator[tuple[int, bytes]]:
    offset = file.seek(start)
    while header := file.read(HEADER_BYTES):
        match = BLOCK_HEADER.match(header)
        if match is None:
            yield from _read_gzip(file, path, offset)
            return
        n_bytes = get_block_bytes(match)
        block = header + file.read(max(0, n_bytes - HEADER_BYTES))
        if len(block) < n_bytes:
            raise BadInput(
                f"{path} is cut: its bgzip block at byte {offset} has no end"
            )
        yield offset, unpack_block(block, path, offset)
        offset += n_bytes


def get_block_bytes(header: re.Match[bytes]) -> int:
    """Return the size of a block, which its header says."""
    return int.from_bytes(header[1], "little") + 1


def unpack_block(block: bytes, name: str, at: int) -> bytes:
    """Return the content of a block.

    Parameters
    ----------
    name, at
        Its file, and the byte where it begins there.

    Raises
    ------
    BadInput
        It holds other bytes than it says.
    isal_zlib.error
        It is corrupt.
    """
    content = isal_zlib.decompress(block, wbits=31)
    if len(content) != int.from_bytes(block[-4:], "little"):
        raise BadInput(f"{name}, byte {at}: the bgzip block is corrupt")
    return content


def _read_gzip(
    file: BinaryIO, path: str, start: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield what members hold, of bgzip too, and where each begins."""
    offset = end = file.seek(start)
    member = None
    while data := file.read(GZIP_BYTES):
        end += len(data)
        while data:
            if member is None or member.eof:
                data = data.lstrip(b"\0")  # padding, as of tapes
                if not data:
                    break
                offset = end - len(data)
                member = isal_zlib.decompressobj(wbits=31)
            yield offset, member.decompress(data)
            data = member.unused_data
    if member and not member.eof:
        raise BadInput(f"{path} is cut: the gzip data at byte {offset} have no end")


def is_zstd(start: bytes) -> bool:
    """Return whether a file begins as one of zstd, or with a frame that it skips."""
    return start.startswith(ZSTD_MAGIC) or bool(SKIPPED_FRAME.match(start))


def _read_zstd(file: BinaryIO, path: str) -> Iterator[tuple[int, bytes]]:
    """Yield what frames hold, and where each begins."""
    import zstandard  # few files need it

    offset = end = file.seek(0)
    frame = None
    try:
        while data := file.read(GZIP_BYTES):
            end += len(data)
            while data:
                if frame is None or frame.eof:
                    offset = end - len(data)
                    frame = zstandard.ZstdDecompressor().decompressobj()
                yield offset, frame.decompress(data)
                data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise BadInput(f"{path} is corrupt: {error}, expected zstd data") from error
    if frame and not frame.eof:
        raise BadInput(f"{path} is cut: the zstd data at byte {offset} have no end")


def _read_plain(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    offset = file.seek(start)
    while data := file.read(MAX_BLOCK_BYTES):
        yield offset, data
        offset += len(data)


def read_text(path: str) -> str:
    """Return a text that may be compressed, of any encoding.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt, or is no text.
    """
    return read_noted_text(path)[0]


def read_noted_text(path: str) -> tuple[str, tuple[Assumption, ...]]:
    """Return a text as :func:`read_text`, and what of it had to be assumed."""
    return note_encoding(b"".join(block for _, block in read_blocks(path)), path)


def note_encoding(data: bytes, path: str) -> tuple[str, tuple[Assumption, ...]]:
    """Return the text of bytes, and its encoding where that had to be assumed."""
    text, encoding = decode_text(data, path)
    if encoding != WESTERN:
        return text, ()
    because = "it is no UTF-8 text"
    return text, (Assumption(f"the encoding of {path}", WESTERN, because),)


def read_utf8(path: str) -> tuple[bytes, tuple[Assumption, ...]]:
    r"""Return a text as :func:`read_noted_text`, in UTF-8, its lines ending at \n."""
    data = b"".join(block for _, block in read_blocks(path))
    if data.isascii() and b"\r" not in data and b"\0" not in data:
        return data, ()
    text, assumed = note_encoding(data, path)
    return "\n".join(split_lines(text)).encode(), assumed


def find_block(path: str, offset: int) -> int:
    """Return the first byte at or after `offset` where a block begins.

    Raises
    ------
    BadInput
        A file that cannot be read.
    """
    try:
        with open_file(path) as file:
            magic = file.read(HEADER_BYTES)
            if BLOCK_HEADER.match(magic):
                return _find_bgzip(file, offset, get_size(path))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    size = get_size(path)
    if magic.startswith(GZIP_MAGIC) or is_zstd(magic):
        return size if offset else 0
    return min(size, -(-offset // MAX_BLOCK_BYTES) * MAX_BLOCK_BYTES)


def _find_bgzip(file: BinaryIO, offset: int, size: int) -> int:
    """Return where the next block of bgzip begins; gzip may lie before it."""
    while offset < size:
        file.seek(offset)
        found = BLOCK_HEADER.search(file.read(MAX_BLOCK_BYTES + HEADER_BYTES))
        if found:
            return offset + found.start()
        offset += MAX_BLOCK_BYTES
    return size


def find_end_block(tail: bytes) -> int:
    """Return where the last bytes of a file have the block that ends it, -1 if not.

    Zeros may come after, as of tapes.
    """
    at = tail.rfind(EMPTY_BLOCK)
    return at if not tail[at + len(EMPTY_BLOCK) :].strip(b"\0") else -1


def has_end(path: str) -> bool:
    """Return whether a file ends as it should, as far as its kind can tell.

    The empty block at the end of bgzip is all that tells a file cut between blocks.

    Raises
    ------
    BadInput
        A file that cannot be read.
    """
    try:
        with open_file(path) as file:
            if not BLOCK_HEADER.match(file.read(HEADER_BYTES)):
                return True
            file.seek(max(0, get_size(path) - TAIL_BYTES))
            return find_end_block(file.read()) >= 0
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def read_lines(path: str, part: int = 0, n_parts: int = 1) -> Iterator[bytes]:
    """Yield the lines of one part of a file, without their ends.

    Parameters and what is raised as for :func:`read_stretches`.
    """
    for text in read_stretches(path, part, n_parts):
        lines = text.split(b"\n")
        yield from (line.removesuffix(b"\r") for line in lines[:-1])


def read_stretches(
    path: str, part: int = 0, n_parts: int = 1, *, n_bytes: int = 0
) -> Iterator[bytes]:
    r"""Yield the text of one part of a file, some whole lines at a time.

    A line belongs to the part whose blocks hold the end of the line before it, so
    that a line that begins with a block is not read twice.

    Parameters
    ----------
    n_bytes
        Of a text at least, but for the last one; each ends with \n.

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
    held: list[bytes] = []
    n_held = 0
    is_other = start > 0  # the first line belongs to the part before
    is_start = start == 0
    for offset, data in read_blocks(path, start):
        if is_start:
            data, is_start = data.removeprefix(BOM_UTF8), not data
        is_after = offset >= end  # but for the line that goes on
        at = 1 + (data.find(b"\n") if is_after else data.rfind(b"\n"))
        n_held += len(data)
        if at == 0 or (n_held < n_bytes and not is_after):
            held.append(data)
            continue
        text = b"".join([*held, data[:at]])
        if is_other:
            text, is_other = text[text.index(b"\n") + 1 :], False
        if text:
            yield text
        if is_after:
            return
        held, n_held = [data[at:]], len(data) - at
    text = b"".join(held)
    at = text.rfind(b"\n") + 1
    first = text.find(b"\n") + 1 if is_other else 0
    if first < at:
        yield text[first:at]
    if at < len(text):
        is_odd = b"\r" in text[at:-1]
        other = "; or its lines end with carriage returns alone" if is_odd else ""
        raise BadInput(f"{path} is cut: its last line has no end{other}")
