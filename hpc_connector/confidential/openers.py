"""What opens the headers of encrypted inputs, from the options of a run.

``--key`` names it: a file of a private key, ``fd:N`` for one that is open. Another kind
of opener has a word of its own, and a function here that makes it.
"""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.keys import (
    load_key,
    load_open_key,
    read_passphrase,
)
from hpc_connector.crypt4gh.header import Header, get_fingerprint, read_header
from hpc_connector.crypt4gh.seal import check_uncut
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.storage import key_ring
from hpc_connector.storage.key_ring import Opener

KEY_ALONE = 0  # level of evidence: whoever has the key can open


def make_opener(options: KeyOptions) -> Opener:
    """Return the opener that the options of a run name.

    Raises
    ------
    BadInput
        There is no such key, others may read it, or its passphrase is wrong.
    """
    word, colon, rest = (options.key or "").partition(":")
    make = KINDS.get(word) if colon else None
    return make(rest, options) if make else open_by_file(options.key or "", options)


def open_by_file(path: str, options: KeyOptions) -> Opener:
    """Return the opener of a file of a private key."""
    passphrase = read_passphrase(options.passphrase_fd)
    return open_by_key(load_key(Path(path), passphrase))


def open_by_descriptor(number: str, options: KeyOptions) -> Opener:
    """Return the opener of an open file of a private key."""
    if not (number.isascii() and number.isdecimal()):
        raise BadInput(f"--key fd:{number}: expected the number of an open file")
    passphrase = read_passphrase(options.passphrase_fd)
    return open_by_key(load_open_key(int(number), passphrase))


def open_by_key(key: X25519PrivateKey) -> Opener:
    """Return the opener of a private key, which stays in this process."""

    def open_header(name: str, header: bytes, seal: bytes | None) -> Header:
        opened = read_header(header, key, name)
        if seal is not None and key_ring.get_trusted():
            check_uncut(opened.edits, name)
        return opened

    public = key.public_key().public_bytes_raw()
    facts = {"key": get_fingerprint(public), "evidence": KEY_ALONE}
    return Opener(open_header, facts, public)


def open_by_keeper(url: str, options: KeyOptions) -> Opener:
    """Return the opener that asks a keeper."""
    # which needs TLS: slow to import, and a key in a file does not
    from hpc_connector.confidential.keeper import opener

    return opener.open_by_keeper(url, options)


# By the word before the colon of --key; each takes what stands behind it
KINDS: dict[str, Callable[[str, KeyOptions], Opener]] = {
    "fd": open_by_descriptor,
    "keeper": open_by_keeper,
}
