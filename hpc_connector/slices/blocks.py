"""bgzip blocks in memory: places within them, and what lies between two places.

A place is a virtual offset (SAM specification, section 4.1): the byte of the file where
a block begins, times 65,536, plus a byte of what the block holds.
"""

from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import BLOCK_HEADER, HEADER_BYTES, MAX_BLOCK_BYTES
from hpc_connector.storage import Range

WITHIN = 16  # bits


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
    """Return what blocks hold.

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
        n_bytes = int.from_bytes(match[1], "little") + 1 if match else 0
        block = data[at : at + n_bytes]
        if not match or len(block) < max(n_bytes, HEADER_BYTES):
            raise BadInput(f"{name}, byte {start + at}: the bgzip block is cut")
        try:
            content = isal_zlib.decompress(block, wbits=31)
        except isal_zlib.error as error:  # type: ignore[misc] # of its stubs
            raise BadInput(f"{name}, byte {start + at}: {error}") from None
        if len(content) != int.from_bytes(block[-4:], "little"):
            raise BadInput(f"{name}, byte {start + at}: the bgzip block is corrupt")
        pieces.append(content)
        at += n_bytes
    return b"".join(pieces)


def cut_between(data: bytes, first: int, last: int, name: str) -> bytes:
    """Return what lies between two places, from the bytes of ``get_bytes_between``."""
    start, end = first >> WITHIN, last >> WITHIN
    skip, keep = first & (MAX_BLOCK_BYTES - 1), last & (MAX_BLOCK_BYTES - 1)
    whole = inflate(data[: end - start], name, start)
    if not keep:
        return whole[skip:]
    tail = inflate(data[end - start :], name, end, stop=0)
    return (whole + tail[:keep])[skip:]
