"""The header: session keys, and perhaps an edit list, for each reader of a file."""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hpc_connector.errors import BadInput

MAGIC = b"crypt4gh"
VERSION = 1
START = struct.Struct("<8sII")  # magic, version, packets
PACKET = struct.Struct("<II")  # length, this field counted, and method
MOST_BYTES = 1 << 20  # of a header
SESSION_KEY, EDIT_LIST = 0, 1  # types of packets
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
SEALED = PACKET.size + KEY_BYTES + NONCE_BYTES  # where the ciphertext of a packet is


class Header(NamedTuple):
    """What a key opens of a header.

    Parameters
    ----------
    size
        Bytes of the header; the body begins there.
    session_keys
        Of the segments, 32 bytes each.
    edits
        Numbers of the edit list, None without one: alternately bytes of plaintext to
        skip and to keep.
    """

    size: int
    session_keys: tuple[bytes, ...]
    edits: tuple[int, ...] | None = None


def get_header_size(data: bytes, name: str) -> int:
    """Return the bytes of a header, or those needed to tell, if `data` are fewer.

    Parameters
    ----------
    data
        The first bytes of a file.
    name
        Of the file, for what is said of it.

    Raises
    ------
    BadInput
        They are not of a header of version 1, or of one that is too long.
    """
    found = data[: len(MAGIC)]
    if found != MAGIC[: len(found)]:
        raise BadInput(f"{name} is not Crypt4GH: begins with {found!r}")
    if len(data) < START.size:
        return START.size
    _, version, n_packets = START.unpack_from(data)
    if version != VERSION:
        raise BadInput(f"{name} is Crypt4GH of version {version}: expected {VERSION}")
    if n_packets == 0:
        raise BadInput(f"{name} has a header without packets: expected at least one")
    end = START.size
    for number in range(n_packets):
        if end + 4 > len(data):
            return _limit(end + 4 * (n_packets - number), name)
        (length,) = struct.unpack_from("<I", data, end)
        if length < PACKET.size:  # a method that is not known may need no more
            raise BadInput(
                f"{name}: packet {number + 1} of {length} bytes is too short"
            )
        end = _limit(end + length, name)
    return end


def _limit(size: int, name: str) -> int:
    """Return a size of a header, if one may have it."""
    if size > MOST_BYTES:
        raise BadInput(f"{name} has a header of over {MOST_BYTES} bytes")
    return size


def list_packets(data: bytes, name: str) -> list[bytes]:
    """Return the packets of a whole header, as they are."""
    if len(data) < get_header_size(data, name):
        raise BadInput(f"{name} ends within its header, after {len(data)} bytes")
    _, _, n_packets = START.unpack_from(data)
    packets, at = [], START.size
    for _ in range(n_packets):
        (length,) = struct.unpack_from("<I", data, at)
        packets.append(bytes(data[at : at + length]))
        at += length
    return packets


def derive_key(
    own: X25519PrivateKey, other: bytes, reader: bytes, writer: bytes
) -> bytes:
    """Return the key that seals a packet between two key pairs.

    Raises
    ------
    ValueError
        `other` is a point of small order, which makes a key that all know.
    """
    shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    return hashlib.blake2b(shared + reader + writer).digest()[:KEY_BYTES]


def open_packets(data: bytes, key: X25519PrivateKey, name: str) -> Iterator[bytes]:
    """Yield what is in those packets of a header that a key opens.

    Packets for others, and of methods that are not known, are passed over.
    """
    reader = key.public_key().public_bytes_raw()
    for packet in list_packets(data, name):
        _, method = PACKET.unpack_from(packet)
        if method != 0:
            continue
        writer = packet[PACKET.size : PACKET.size + KEY_BYTES]
        nonce = packet[PACKET.size + KEY_BYTES : SEALED]
        try:
            shared = derive_key(key, writer, reader, writer)
            yield ChaCha20Poly1305(shared).decrypt(nonce, packet[SEALED:], None)
        except (InvalidTag, ValueError):
            continue


def read_header(data: bytes, key: X25519PrivateKey, name: str) -> Header:
    """Return what a key opens of a header.

    Parameters
    ----------
    data
        The first bytes of a file, the header at least.
    name
        Of the file, for what is said of it.

    Raises
    ------
    BadInput
        It is not a whole header, no packet is for the key, or one is not understood.
    """
    keys: list[bytes] = []
    edits: tuple[int, ...] | None = None
    for packet in open_packets(data, key, name):
        kind, content = int.from_bytes(packet[:4], "little"), packet[4:]
        if kind == SESSION_KEY:
            keys.append(_read_session_key(content, name))
        elif kind == EDIT_LIST and edits is None:
            edits = _read_edits(content, name)
        else:
            found = "a second edit list" if kind == EDIT_LIST else f"a type {kind}"
            raise BadInput(f"{name}: its header has {found}: expected a session key")
    if not keys:
        n = len(list_packets(data, name))
        raise BadInput(
            f"{name}: no packet for this key (fingerprint {get_fingerprint(key)}); it "
            f"has {n} packet{'s' * (n != 1)}"
        )
    return Header(get_header_size(data, name), tuple(dict.fromkeys(keys)), edits)


def get_fingerprint(key: X25519PrivateKey | bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of a public key."""
    public = key if isinstance(key, bytes) else key.public_key().public_bytes_raw()
    return hashlib.sha256(public).hexdigest()[:16]


def _read_session_key(content: bytes, name: str) -> bytes:
    method = int.from_bytes(content[:4], "little")
    if method != 0 or len(content) != 4 + KEY_BYTES:
        raise BadInput(f"{name}: its segments are encrypted by a method {method}")
    return content[4:]


def _read_edits(content: bytes, name: str) -> tuple[int, ...]:
    n = int.from_bytes(content[:4], "little")
    if len(content) != 4 + 8 * n:
        raise BadInput(f"{name}: an edit list of {n} numbers has {len(content)} bytes")
    return struct.unpack_from(f"<{n}Q", content, 4)


def make_header(
    session_keys: Sequence[bytes],
    recipients: Sequence[bytes],
    edits: Sequence[int] | None = None,
    writer: X25519PrivateKey | None = None,
) -> bytes:
    """Return a header that each of some readers can open.

    Parameters
    ----------
    recipients
        Public keys, 32 bytes each.
    edits
        Numbers of an edit list, None for none.
    writer
        Whose key seals the packets; by default one that nobody keeps.
    """
    contents = [struct.pack("<II", SESSION_KEY, 0) + key for key in session_keys]
    if edits is not None:
        contents.append(struct.pack(f"<II{len(edits)}Q", EDIT_LIST, len(edits), *edits))
    return seal_packets(contents, recipients, writer)


def seal_packets(
    contents: Sequence[bytes],
    recipients: Sequence[bytes],
    writer: X25519PrivateKey | None = None,
) -> bytes:
    """Return a header of packets, each sealed for each of some readers."""
    own = writer or X25519PrivateKey.generate()
    packets = [_seal(own, to, content) for to in recipients for content in contents]
    return START.pack(MAGIC, VERSION, len(packets)) + b"".join(packets)


def _seal(own: X25519PrivateKey, recipient: bytes, content: bytes) -> bytes:
    public = own.public_key().public_bytes_raw()
    nonce = os.urandom(NONCE_BYTES)
    key = derive_key(own, recipient, recipient, public)
    sealed = ChaCha20Poly1305(key).encrypt(nonce, content, None)
    length = SEALED + len(sealed)
    return PACKET.pack(length, 0) + public + nonce + sealed


def reencrypt_header(
    data: bytes, key: X25519PrivateKey, recipients: Sequence[bytes], name: str
) -> bytes:
    """Return a header with the same packets for other readers; the body may stay.

    Raises
    ------
    BadInput
        As :func:`read_header`.
    """
    read_header(data, key, name)
    return seal_packets(list(open_packets(data, key, name)), recipients)
