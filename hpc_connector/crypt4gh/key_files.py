"""Key files, as Crypt4GH's own tools write them: text around base64.

Source: the format of private keys is that of the reference implementation
(crypt4gh.readthedocs.io, "Keys format"): strings behind their length.
"""

import base64
import hashlib
import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hpc_connector.crypt4gh.header import KEY_BYTES, NONCE_BYTES
from hpc_connector.errors import BadInput

PRIVATE, PUBLIC = "CRYPT4GH PRIVATE KEY", "CRYPT4GH PUBLIC KEY"
MAGIC = b"c4gh-v1"
SALT_BYTES = 16
MOST_ROUNDS = 10_000_000


class NeedsPassphrase(BadInput):  # it is one line of bad input
    """A private key that opens by a passphrase only, and by none or the wrong one."""


class KeyPair(NamedTuple):
    """The text of both files of a key."""

    private: bytes
    public: bytes


def make_keys(passphrase: bytes = b"") -> KeyPair:
    """Return the files of a new key; with a passphrase, by scrypt, if there is one."""
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    strings = _lock(key.private_bytes_raw(), passphrase)
    packed = MAGIC + b"".join(len(s).to_bytes(2, "big") + s for s in strings)
    return KeyPair(_wrap(PRIVATE, packed), _wrap(PUBLIC, public))


def _lock(private: bytes, passphrase: bytes) -> list[bytes]:
    """Return the strings of a private key: what derives a key, the cipher, the key."""
    if not passphrase:
        return [b"none", b"none", private]
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    key = derive_from_passphrase(b"scrypt", passphrase, salt, 0)
    sealed = nonce + ChaCha20Poly1305(key).encrypt(nonce, private, None)
    return [b"scrypt", bytes(4) + salt, b"chacha20_poly1305", sealed]


def derive_from_passphrase(
    method: bytes, passphrase: bytes, salt: bytes, rounds: int
) -> bytes:
    """Return the key that a passphrase makes, 32 bytes."""
    if method == b"scrypt":
        return hashlib.scrypt(
            passphrase, salt=salt, n=1 << 14, r=8, p=1, dklen=KEY_BYTES
        )
    if method == b"pbkdf2_hmac_sha256":
        return hashlib.pbkdf2_hmac("sha256", passphrase, salt, rounds, KEY_BYTES)
    found = "bcrypt" if method == b"bcrypt" else "unknown"
    raise ValueError(f"the method of its passphrase is {found}: expected scrypt")


def read_public_key(data: bytes, name: str) -> bytes:
    """Return the 32 bytes of a public key from its file.

    Raises
    ------
    BadInput
        It is not one.
    """
    return _check_length(_unwrap(PUBLIC, data, name), name)


def read_private_key(
    data: bytes, name: str, passphrase: bytes = b""
) -> X25519PrivateKey:
    """Return a private key from its file.

    Raises
    ------
    NeedsPassphrase
        It has a passphrase, and this is not it.
    BadInput
        It is not a private key.
    """
    packed = _unwrap(PRIVATE, data, name)
    if not packed.startswith(MAGIC):
        raise BadInput(f"{name} is not a private key of Crypt4GH")
    strings = _split(packed[len(MAGIC) :], name)
    try:
        private = _unlock(strings, passphrase, name)
    except (ValueError, IndexError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{name} is not a private key: {error}") from None
    if len(private) != KEY_BYTES:
        raise BadInput(
            f"{name} has a key of {len(private)} bytes: expected {KEY_BYTES}"
        )
    return X25519PrivateKey.from_private_bytes(private)


def _check_length(key: bytes, name: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise BadInput(f"{name} has a key of {len(key)} bytes: expected {KEY_BYTES}")
    return key


def _unlock(strings: list[bytes], passphrase: bytes, name: str) -> bytes:
    if strings[0] == b"none":
        if strings[1] != b"none":
            raise ValueError("a cipher without a passphrase")
        return strings[2]
    method, options, cipher, sealed = strings[:4]
    if cipher != b"chacha20_poly1305":
        # What stands there is not shown: in a damaged file it may be the key
        raise ValueError("expected the cipher chacha20_poly1305")
    if not passphrase:
        raise NeedsPassphrase(f"{name} needs its passphrase")
    rounds = int.from_bytes(options[:4], "big")
    if rounds > MOST_ROUNDS:
        raise ValueError(f"{rounds} rounds: expected at most {MOST_ROUNDS}")
    key = derive_from_passphrase(method, passphrase, options[4:], rounds)
    try:
        return ChaCha20Poly1305(key).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None
        )
    except InvalidTag:
        raise NeedsPassphrase(f"{name}: the passphrase is wrong") from None


def _split(packed: bytes, name: str) -> list[bytes]:
    """Return strings that stand behind their length, two bytes each."""
    strings, at = [], 0
    while at < len(packed):
        n = int.from_bytes(packed[at : at + 2], "big")
        if at + 2 + n > len(packed):
            raise BadInput(f"{name} is not a private key: it is cut")
        strings.append(packed[at + 2 : at + 2 + n])
        at += 2 + n
    return strings


def _wrap(kind: str, content: bytes) -> bytes:
    lines = (f"-----BEGIN {kind}-----", base64.b64encode(content).decode())
    return "\n".join([*lines, f"-----END {kind}-----", ""]).encode()


def _unwrap(kind: str, data: bytes, name: str) -> bytes:
    """Return what stands between the first and the last line of a key file."""
    lines = data.decode("latin-1").split("\n")
    lines = [line.strip() for line in lines if line.strip()]
    if lines and "OPENSSH" in lines[0]:
        raise BadInput(f"{name} is a key of OpenSSH: expected one of Crypt4GH")
    ends = [f"-----{end} {kind}-----" for end in ("BEGIN", "END")]
    if len(lines) < 3 or [lines[0], lines[-1]] != ends:
        raise BadInput(f"{name} is not a {kind.lower()}: expected {ends[0]}")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError as error:  # binascii.Error is one
        raise BadInput(f"{name}: its base64 is damaged: {error}") from None
