"""Keys from files: of readers (Crypt4GH's), and of those who sign (Ed25519, PEM)."""

import getpass
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.files import open_input
from hpc_connector.crypt4gh.key_files import (
    NeedsPassphrase,
    make_keys,
    read_private_key,
    read_public_key,
)
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish

TRIES = 3  # of a passphrase that is typed
MOST_KEY_BYTES = 1 << 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO
PUBLIC, PRIVATE = b"PUBLIC KEY-----", b"PRIVATE KEY-----"  # end of a first line


def read_secret(path: Path) -> bytes:
    """Return a file that nobody but its owner may read.

    Raises
    ------
    BadInput
        Others may, it is no file, or a public key was taken for the private one.
    """
    with open_input(path, expected="a key file") as stream:
        data = stream.read(MOST_KEY_BYTES)
        if is_key(data, PUBLIC):
            raise BadInput(f"{path} is a public key: expected the private one")
        mode = os.fstat(stream.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & OTHERS:
            raise BadInput(
                f"{path} is open to others (mode {stat.S_IMODE(mode):o}): expected "
                "chmod 600"
            )
        return data


def is_key(data: bytes, kind: bytes) -> bool:
    """Return whether the first line of a file says that it is such a key."""
    first, _, _ = data.partition(b"\n")
    return first.startswith(b"-----BEGIN ") and first.rstrip().endswith(kind)


def open_descriptor(number: int, option: str) -> BinaryIO:
    """Open a file that is open already, to read; it stays open.

    Parameters
    ----------
    option
        That named it, for messages.

    Raises
    ------
    BadInput
        It is not open.
    """
    try:
        return cast("BinaryIO", open(number, "rb", closefd=False))
    except (OSError, OverflowError, TypeError) as error:  # a number beyond an int
        said = getattr(error, "strerror", None) or "too large"
        raise BadInput(f"{option}: {said}: expected an open file") from None


def read_passphrase(descriptor: int | None) -> bytes | None:
    """Return the first line of an open file, None without one.

    Raises
    ------
    BadInput
        That file is not open.
    """
    if descriptor is None:
        return None
    option = f"--passphrase-fd {descriptor}"
    try:
        with open_descriptor(descriptor, option) as stream:
            return stream.readline(MOST_KEY_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise BadInput(f"{option}: {error.strerror}: expected an open file") from None


def load_key(path: Path, passphrase: bytes | None = None) -> X25519PrivateKey:
    """Return the private key of a reader; ask for its passphrase on a terminal.

    Parameters
    ----------
    passphrase
        None to ask for it, if there is one, three times at most.

    Raises
    ------
    BadInput
        It is not one, others may read it, or the passphrase is wrong.
    """
    data, name = read_secret(path), str(path)
    if passphrase is not None or not is_terminal():
        return read_private_key(data, name, passphrase or b"")
    typed = b""
    for left in range(TRIES, -1, -1):
        try:
            return read_private_key(data, name, typed)
        except NeedsPassphrase:
            if not left:
                raise
        typed = getpass.getpass(f"Passphrase of {path}: ").encode()
    raise AssertionError  # the last try returns or raises


def is_terminal() -> bool:
    """Return whether somebody can be asked; there may be no standard input at all."""
    return sys.stdin is not None and sys.stdin.isatty()


def load_open_key(descriptor: int, passphrase: bytes | None) -> X25519PrivateKey:
    """Return the private key of a reader from an open file.

    Raises
    ------
    BadInput
        It is not open, is not one, or the passphrase is missing or wrong.
    """
    name = f"--key fd:{descriptor}"
    try:
        with open_descriptor(descriptor, name) as stream:
            data = stream.read(MOST_KEY_BYTES)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}: expected an open file") from None
    return read_private_key(data, name, passphrase or b"")


def load_recipients(paths: Iterable[Path]) -> list[bytes]:
    """Return the public keys of readers, 32 bytes each, each once.

    Raises
    ------
    BadInput
        One cannot be read, or is none.
    """
    keys = [read_public_key(_read(path), str(path)) for path in paths]
    return list(dict.fromkeys(keys))


def load_signer(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a signer.

    Raises
    ------
    BadInput
        It is not one, or others may read it.
    """
    from cryptography.hazmat.primitives import serialization  # a third of the start

    data = read_secret(path)
    key = _load_pem(serialization.load_pem_private_key, path, data, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path} is no Ed25519 key: expected one to sign with")
    return key


def load_trusted(paths: Iterable[Path]) -> list[bytes]:
    """Return the public keys of those who are trusted to sign, 32 bytes each.

    Raises
    ------
    BadInput
        One cannot be read, or is none of Ed25519.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for path in paths:
        data = _read(path)
        if is_key(data, PRIVATE):
            raise BadInput(
                f"{path} is a private key: expected the public one, NAME.pub.pem"
            )
        key = _load_pem(load_pem_public_key, path, data)
        if not isinstance(key, Ed25519PublicKey):
            raise BadInput(f"{path} is no public Ed25519 key: expected a signer's")
        found.append(key.public_bytes_raw())
    return found


def _load_pem(load: Any, path: Path, *what: Any) -> Any:
    try:
        return load(*what)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{path} is no key of PEM: expected an Ed25519 key") from None


def _read(path: Path) -> bytes:
    with open_input(path, expected="a key file") as stream:
        return stream.read(MOST_KEY_BYTES)


def save_new_keys(name: Path, passphrase: bytes = b"") -> list[Path]:
    """Write the key of a new reader, NAME.sec and NAME.pub; return their paths.

    Raises
    ------
    BadInput
        One is there: a key that is lost loses what was encrypted for it.
    """
    pair = make_keys(passphrase)
    return _save_pair({".sec": pair.private, ".pub": pair.public}, name)


def save_new_signer(name: Path) -> list[Path]:
    """Write the key of a new signer, NAME.pem and NAME.pub.pem."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return _save_pair({".pem": private, ".pub.pem": public}, name)


def _save_pair(files: dict[str, bytes], name: Path) -> list[Path]:
    paths = [name.with_name(name.name + ending) for ending in files]
    for path in paths:
        if path.exists():
            raise BadInput(f"{path} is there: expected the name of a new key")
    for path, data in zip(paths, files.values(), strict=True):
        with publish(path, "open", private=path is paths[0]) as stream:
            stream.write(data)
    return paths
