"""Masks of what a site sends: they cancel in the sum of all sites, and nowhere before.

Every two sites share a stream of random numbers, which the one adds to its counts and
the other subtracts, modulo 2^16 or 2^32 (Bonawitz et al. 2017, doi:10.1145/3133956.
3133982, without recovery of sites that drop out). The stream is ChaCha20 (RFC 8439) of
a key that X25519 (RFC 7748) and HKDF (RFC 5869) give to the two alone.
"""

import hashlib
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from hpc_connector.errors import BadInput

Numbers = NDArray[np.unsignedinteger[Any]]

Part = tuple[int, Callable[[Numbers], Any]]
Stream = tuple[Callable[..., Any], Callable[..., Any]]

PIECE_BYTES = 1 << 18  # of a stream at once, which stay in the second-level cache
ZEROS = memoryview(bytes(PIECE_BYTES))
INFO = b"hpc_connector mask v1"


def make_run(study: bytes, attempt: int, nonces: Mapping[str, bytes]) -> bytes:
    """Return what tells the masks of an attempt from those of any other, 32 bytes.

    Parameters
    ----------
    study
        SHA-256 of the study.
    nonces
        32 random bytes of each site, by its name.
    """
    ordered = [nonces[name] for name in sorted(nonces, key=str.encode)]
    return hashlib.sha256(
        study + attempt.to_bytes(8, "little") + b"".join(ordered)
    ).digest()


def derive_key(
    private: X25519PrivateKey, mine: str, public: bytes, other: str, run: bytes
) -> bytes:
    """Return the key that two sites share in a run, 32 bytes.

    Parameters
    ----------
    mine, other
        Names of the site of the private key, and of that of the public one.
    public
        32 bytes.
    run
        From :func:`make_run`.

    Raises
    ------
    BadInput
        The public key has no private one.
    """
    first, second = sorted((mine.encode(), other.encode()))
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # of low order: everybody would know the masks
        raise BadInput(
            f"the mask_public of site {other} is nobody's: expected that of a new key"
        ) from None
    info = b"\0".join((INFO, first, second))
    return HKDF(SHA256(), 32, salt=run, info=info).derive(shared)


def get_keys(
    private: X25519PrivateKey, mine: str, publics: Mapping[str, bytes], run: bytes
) -> dict[str, bytes]:
    """Return the key of a site with each of the others, by their names."""
    others = sorted(publics.keys() - {mine})
    return {
        other: derive_key(private, mine, publics[other], other, run) for other in others
    }


def mask_parts(
    parts: Iterable[Part],
    keys: Mapping[str, bytes],
    mine: str,
    stage: int,
    block: int,
    into: Numbers,
) -> Numbers:
    """Return a block under its masks, modulo 2^w: of its numbers the bits are w.

    The masks are there first, and counts are added to them: memory that others read
    never holds counts alone. That is done part by part while it is in the cache.

    Parameters
    ----------
    parts
        How many numbers are next, and what adds them to masks.
    keys
        From :func:`get_keys`, one at least.
    stage, block
        No two blocks of a run have both the same.
    into
        The memory of the result, uint16 or uint32 (n,), contiguous.
    """
    nonce = struct.pack("<IB3xQ", 0, stage, block)  # counter of 32 bits, then 96 bits
    others = sorted(keys, key=str.encode, reverse=True)  # those first that are added
    streams = [
        (
            Cipher(ChaCha20(keys[other], nonce), mode=None).encryptor().update_into,
            np.add if mine.encode() < other.encode() else np.subtract,
        )
        for other in others
    ]
    drawn, at = np.empty(PIECE_BYTES, np.uint8), 0
    for n, add in parts:
        part = into[at : at + n]
        draw_masks(streams, part, drawn)
        add(part)
        at += n
    assert at == len(into)  # nothing goes that is not masked
    return into


def draw_masks(
    streams: Sequence[Stream], masks: Numbers, drawn: NDArray[np.uint8]
) -> None:
    """Write the next numbers of the sum of some streams.

    Parameters
    ----------
    streams
        What draws the next bytes of each, and adds or subtracts it; those added first.
    masks
        The result, uint16 or uint32 (n,).
    drawn
        Room for a piece of a stream, uint8 (PIECE_BYTES,).
    """
    (first, change_first), *rest = streams
    raw, memory, step = masks.view(np.uint8).data, drawn.data, PIECE_BYTES
    numbers = drawn.view(masks.dtype.newbyteorder("<"))
    for at in range(0, len(masks), len(numbers)):
        piece = masks[at : at + len(numbers)]
        zeros, stream = ZEROS, numbers
        if len(piece) < len(numbers):
            step, stream = piece.nbytes, numbers[: len(piece)]
            zeros, memory = ZEROS[:step], memory[:step]
        start = at * masks.itemsize
        first(zeros, raw[start : start + step])
        if sys.byteorder == "big":
            piece.byteswap(inplace=True)
        if change_first is np.subtract:
            np.negative(piece, piece)
        for draw, change in rest:
            draw(zeros, memory)
            change(piece, stream, piece)


def cut_parts(numbers: Numbers) -> Iterator[Part]:
    """Yield numbers that have been counted as the parts of a block."""
    step = PIECE_BYTES // numbers.itemsize
    for at in range(0, len(numbers), step):
        some = numbers[at : at + step]
        yield len(some), partial(add_to, some)


def add_to(numbers: Numbers, masks: Numbers) -> None:
    """Add numbers to masks, modulo 2^w."""
    masks += numbers


def sum_blocks(blocks: Sequence[Numbers]) -> Numbers:
    """Return the sum of the blocks of all sites, modulo 2^w: their masks cancel."""
    total = blocks[0].copy()
    for block in blocks[1:]:
        total += block
    return total
