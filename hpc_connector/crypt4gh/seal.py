"""The seal of a body: a signature of the order, the count and the tag of all segments.

Crypt4GH seals each segment alone: whoever can write a file may cut it between two, or
exchange them. A seal stands beside the file as ``NAME.c4gh.seal``:

==========  =======================================================================
8 bytes     ``hpcseal1``
4 bytes     length of the head, little endian
head        JSON with sorted keys: what is sealed, SHA-256 of its pages, the signer
64 bytes    Ed25519 signature of all before it
pages       for each segment its nonce and its tag, 28 bytes, in order
==========  =======================================================================

A page is what stands there of 4,096 segments. Who knows the key of a segment can make
another of an equal tag, and a header takes session keys of anybody; so the head has
digests of those that were used (``key_digests``; older seals lack them). It holds then
against everybody who has none of them, but not against the readers of the file.
"""

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hpc_connector.crypt4gh.body import SEALED_BYTES, get_plain_size
from hpc_connector.crypt4gh.header import NONCE_BYTES, TAG_BYTES, get_fingerprint
from hpc_connector.errors import BadInput
from hpc_connector.text import pack_json

MAGIC = b"hpcseal1"
START = struct.Struct("<8sI")
MARK_BYTES = NONCE_BYTES + TAG_BYTES  # of a segment
PAGE_SEGMENTS = 4096
SIGNATURE_BYTES = 64
KEY_LABEL = b"hpc_connector sealed session key v1\0"
MOST_HEAD_BYTES = 64 << 20
KINDS = {
    "format_version": int,
    "name": str,
    "version": int,
    "created": str,
    "segments": int,
    "plain_bytes": int,
    "page_segments": int,
    "pages": list,
    "signer": str,
}


@dataclass(frozen=True)
class Seal:
    """A seal whose signature holds.

    Parameters
    ----------
    head
        What was signed.
    signer
        The public key that did, 32 bytes.
    size
        Bytes before the pages.
    """

    head: Mapping[str, Any]
    signer: bytes
    size: int


def make_seal(
    marks: bytes,
    plain_bytes: int,
    signer: Ed25519PrivateKey,
    *,
    name: str,
    created: str,
    version: int = 1,
    key_digests: Iterable[str] = (),
) -> bytes:
    """Return the seal of a body.

    Parameters
    ----------
    marks
        Nonce and tag of each segment, in order.
    plain_bytes
        Of the body, before an edit list.
    name
        Of the encrypted file.
    created
        Time in UTC (RFC 3339).
    version
        A later one replaces those before.
    key_digests
        Of the session keys of the segments; without them the seal does not say by which
        keys they must open.
    """
    page_bytes = PAGE_SEGMENTS * MARK_BYTES
    public = signer.public_key().public_bytes_raw()
    pages = [marks[at : at + page_bytes] for at in range(0, len(marks), page_bytes)]
    head = {
        "format_version": 1,
        "name": name,
        "version": version,
        "created": created,
        "segments": len(marks) // MARK_BYTES,
        "plain_bytes": plain_bytes,
        "page_segments": PAGE_SEGMENTS,
        "pages": [hashlib.sha256(page).hexdigest() for page in pages],
        "signer": base64.b64encode(public).decode(),
    }
    if digests := sorted(key_digests):
        head["key_digests"] = digests
    packed = pack_json(head)
    signed = START.pack(MAGIC, len(packed)) + packed
    return signed + signer.sign(signed) + marks


def digest_key(session_key: bytes) -> str:
    """Return what a seal says of a session key, which it does not tell."""
    return hashlib.sha256(KEY_LABEL + session_key).hexdigest()


def get_seal_size(data: bytes, name: str) -> int:
    """Return the bytes of a seal before its pages, from its first ones.

    Raises
    ------
    BadInput
        It is no seal.
    """
    if len(data) < START.size or not data.startswith(MAGIC):
        raise BadInput(f"{name} is not a seal: expected {MAGIC.decode()} at its start")
    length = int.from_bytes(data[len(MAGIC) : START.size], "little")
    if length > MOST_HEAD_BYTES:
        raise BadInput(f"{name} is not a seal: its head has {length} bytes")
    return START.size + length + SIGNATURE_BYTES


def read_seal(data: bytes, name: str) -> Seal:
    """Return a seal, once its signature was found to hold.

    Parameters
    ----------
    data
        What stands before its pages, at least.
    name
        Of the seal's file, for what is said of it.

    Raises
    ------
    BadInput
        It is no seal, its head is not one, or its signature does not hold.
    """
    size = get_seal_size(data, name)
    if len(data) < size:
        raise BadInput(f"{name} is cut: it ends within its head")
    signed, signature = data[: size - SIGNATURE_BYTES], data[size - SIGNATURE_BYTES :]
    head = _read_head(signed[START.size :], name)
    try:
        signer = base64.b64decode(head["signer"], validate=True)
        Ed25519PublicKey.from_public_bytes(signer).verify(
            signature[:SIGNATURE_BYTES], signed
        )
    except (InvalidSignature, binascii.Error, ValueError):
        raise BadInput(f"{name}: its signature does not hold: it was changed") from None
    return Seal(head, signer, size)


def _read_head(packed: bytes, name: str) -> dict[str, Any]:
    """Return a head that has all it must."""
    try:
        head: dict[str, Any] = json.loads(packed)
    except (ValueError, RecursionError):
        raise BadInput(f"{name}: its head is not JSON") from None
    is_right = isinstance(head, dict) and all(
        type(head.get(key)) is kind for key, kind in KINDS.items()
    )
    if is_right and type(head.get("key_digests", [])) is not list:
        is_right = False
    if not is_right:
        raise BadInput(f"{name}: its head lacks one of {', '.join(KINDS)}")
    if head["format_version"] != 1 or head["page_segments"] != PAGE_SEGMENTS:
        raise BadInput(
            f"{name} is of format {head['format_version']}: this version reads 1"
        )
    if len(head["pages"]) != -(-head["segments"] // PAGE_SEGMENTS):
        raise BadInput(f"{name}: its pages are not those of its segments")
    return head


def check_signer(seal: Seal, trusted: Iterable[bytes], name: str) -> None:
    """Raise where a seal is of nobody who is trusted.

    Parameters
    ----------
    trusted
        Public keys, 32 bytes each.

    Raises
    ------
    BadInput
        The message has the fingerprint of who it is of.
    """
    if seal.signer not in set(trusted):
        found = get_fingerprint(seal.signer)
        raise BadInput(f"{name} was signed by {found}: expected one of --trust")


def check_uncut(edits: Sequence[int] | None, name: str) -> None:
    """Raise where a header that nobody has signed leaves something of a body out.

    Whoever knows the public key of a reader can put an edit list into a header, without
    a session key, and every segment is still the one that was sealed.

    Parameters
    ----------
    edits
        Of the header, None without an edit list.
    """
    if edits is not None:
        raise BadInput(
            f"{name} has an edit list, which a seal does not cover: anybody may have "
            "put it there: expected none with --trust"
        )


def choose_keys(
    seal: Seal, session_keys: Sequence[bytes], name: str
) -> tuple[bytes, ...]:
    """Return those session keys of a header by which the segments were sealed.

    Raises
    ------
    BadInput
        It is none of them.
    """
    known = seal.head.get("key_digests")
    if known is None:
        return tuple(session_keys)
    found = tuple(key for key in session_keys if digest_key(key) in known)
    if not found:
        raise BadInput(f"{name}: its header has no session key that was sealed")
    return found


def check_size(seal: Seal, body_bytes: int, name: str) -> None:
    """Raise where a body has not as many bytes as its seal says.

    Raises
    ------
    BadInput
        Segments are missing, or there are more.
    """
    n_segments = -(-body_bytes // SEALED_BYTES)
    plain = get_plain_size(body_bytes, name)
    if (n_segments, plain) != (seal.head["segments"], seal.head["plain_bytes"]):
        raise BadInput(
            f"{name} has {n_segments} segments, {plain} bytes of plaintext: its seal "
            f"says {seal.head['segments']}, {seal.head['plain_bytes']}"
        )


def find_page(number: int, seal: Seal) -> tuple[int, int]:
    """Return where in a seal's file a page stands: its first byte, and its end."""
    page_bytes = PAGE_SEGMENTS * MARK_BYTES
    last = seal.size + MARK_BYTES * seal.head["segments"]
    first = seal.size + page_bytes * number
    return first, min(first + page_bytes, last)


def check_page(page: bytes, number: int, seal: Seal, name: str) -> bytes:
    """Return a page of a seal, once it was found to be the one that was signed."""
    if hashlib.sha256(page).hexdigest() != seal.head["pages"][number]:
        raise BadInput(f"{name}: page {number} was changed: it is not what was signed")
    return page


def list_marks(data: bytes | memoryview) -> list[bytes]:
    """Return nonce and tag of each of some segments, 28 bytes."""
    view = memoryview(data)
    found = []
    for at in range(0, len(view), SEALED_BYTES):
        sealed = view[at : at + SEALED_BYTES]
        found.append(bytes(sealed[:NONCE_BYTES]) + bytes(sealed[-TAG_BYTES:]))
    return found


def check_segments(
    data: bytes | memoryview, marks: bytes | memoryview, first: int, name: str
) -> None:
    """Raise where segments are not those that were sealed.

    Parameters
    ----------
    data
        Consecutive segments, as they stand in a body.
    marks
        Of the same segments, from pages that were checked.
    first
        Number of the first segment.
    """
    for number, found in enumerate(list_marks(data)):
        if found != marks[number * MARK_BYTES : (number + 1) * MARK_BYTES]:
            raise BadInput(
                f"{name}: segment {first + number} is not the one that was sealed"
            )
