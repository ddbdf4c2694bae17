"""The body: segments of 65,536 bytes of plaintext, each sealed by itself."""

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hpc_connector.crypt4gh.header import NONCE_BYTES, TAG_BYTES
from hpc_connector.errors import BadInput

SEGMENT_BYTES = 65_536  # of plaintext
SEALED_BYTES = NONCE_BYTES + SEGMENT_BYTES + TAG_BYTES  # of a whole segment
Range = tuple[int, int]
Ciphers = list[ChaCha20Poly1305]  # the one that opened the last segment comes first


def get_plain_size(size: int, name: str) -> int:
    """Return the bytes of plaintext of a body.

    Parameters
    ----------
    size
        Of the body: that of the file, less its header.

    Raises
    ------
    BadInput
        No body has that size: it ends within a segment.

    Examples
    --------
    >>> get_plain_size(65_564 + 29, "a file")
    65537
    """
    n_whole, rest = divmod(size, SEALED_BYTES)
    if size < 0 or 0 < rest <= NONCE_BYTES + TAG_BYTES:
        raise BadInput(f"{name} is cut: it ends within segment {max(n_whole, 0)}")
    return SEGMENT_BYTES * n_whole + max(0, rest - NONCE_BYTES - TAG_BYTES)


def find_segments(wanted: Range, plain_size: int) -> Range:
    """Return the first of the segments that hold a range of plaintext, and their end.

    Examples
    --------
    >>> find_segments((65_535, 65_537), plain_size=100_000)
    (0, 2)
    """
    first, last = wanted[0], min(wanted[1], plain_size)
    if first >= last:
        return first // SEGMENT_BYTES, first // SEGMENT_BYTES
    return first // SEGMENT_BYTES, -(-last // SEGMENT_BYTES)


def find_sealed(segments: Range, plain_size: int) -> Range:
    """Return the bytes of a body where some segments are."""
    first, end = segments
    sealed = SEALED_BYTES * end
    if end > plain_size // SEGMENT_BYTES:
        sealed = SEALED_BYTES * (end - 1)
        sealed += plain_size % SEGMENT_BYTES + NONCE_BYTES + TAG_BYTES
    return SEALED_BYTES * first, max(sealed, SEALED_BYTES * first)


def open_segments(
    data: bytes | memoryview, session_keys: Sequence[bytes], first: int, name: str
) -> bytearray:
    """Return the plaintext of consecutive segments.

    Parameters
    ----------
    data
        The segments, whole, as they stand in a body.
    session_keys
        Each is tried, the one that opened the segment before first.
    first
        Number of the first segment.
    name
        Of the file, for what is said of it.

    Raises
    ------
    BadInput
        No key opens one: it is damaged, or of another file.
    """
    plain = bytearray(get_plain_size(len(data), name))
    open_into(data, make_ciphers(session_keys), first, name, memoryview(plain))
    return plain


def make_ciphers(session_keys: Sequence[bytes]) -> Ciphers:
    """Return what opens segments of one of some session keys."""
    return [ChaCha20Poly1305(key) for key in session_keys]


def open_into(
    data: bytes | memoryview,
    ciphers: Ciphers,
    first: int,
    name: str,
    target: memoryview,
) -> None:
    """Open consecutive segments into memory, as :func:`open_segments`.

    Parameters
    ----------
    ciphers
        Of the session keys.
    target
        As long as their plaintext.
    """
    view, n_bytes = memoryview(data), len(data)
    for number, at in enumerate(range(0, n_bytes, SEALED_BYTES)):
        sealed = view[at : at + SEALED_BYTES]
        begin = number * SEGMENT_BYTES
        here = target[begin : begin + len(sealed) - NONCE_BYTES - TAG_BYTES]
        if not _open_segment(sealed, ciphers, here):
            raise BadInput(
                f"{name}: segment {first + number} is damaged, or no key of its header "
                "opens it"
            )


def _open_segment(sealed: memoryview, ciphers: Ciphers, target: memoryview) -> bool:
    """Open a segment by one of some keys, which comes to the front; say whether."""
    for k, cipher in enumerate(ciphers):
        try:
            cipher.decrypt_into(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None, target
            )
        except InvalidTag:
            continue
        if k:
            ciphers.insert(0, ciphers.pop(k))
        return True
    return False
