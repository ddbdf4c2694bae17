"""Whole files in memory, for whom a process writes them, such as itself."""

import io

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.crypt4gh.body import open_segments
from hpc_connector.crypt4gh.header import read_header
from hpc_connector.crypt4gh.writer import Writer


def make_own_key() -> tuple[X25519PrivateKey, bytes]:
    """Return a key that nobody else has, and its public part."""
    key = X25519PrivateKey.generate()
    return key, key.public_key().public_bytes_raw()


def encrypt(data: bytes, reader: bytes) -> bytes:
    """Return an encrypted file.

    Parameters
    ----------
    reader
        Public key of who can read it.
    """
    target = io.BytesIO()
    with Writer(target, [reader]) as writer:
        writer.write(data)
    return target.getvalue()


def decrypt(data: bytes, key: X25519PrivateKey, name: str) -> bytes:
    """Return what was encrypted.

    Parameters
    ----------
    name
        Of the file, for what is said of it.

    Raises
    ------
    BadInput
        It is not for the key, or damaged.
    """
    header = read_header(data, key, name)
    body = memoryview(data)[header.size :]
    return bytes(open_segments(body, header.session_keys, 0, name))
