"""What runs have published, read as it was before anybody encrypted it."""

from pathlib import Path
from typing import BinaryIO

from hpc_connector.publish import name_encrypted, open_kept, open_memory
from hpc_connector.storage import key_ring


def is_published(path: Path) -> bool:
    """Return whether a file was published, encrypted or not."""
    return path.exists() or name_encrypted(path).exists()


def open_published(path: Path) -> BinaryIO:
    """Return a file as it was published, to read; its plaintext is in memory alone.

    Raises
    ------
    BadInput
        It is encrypted, and no key is given, or another one's; or it is damaged.
    OSError
        It is not there, or cannot be read.
    """
    if kept := open_kept(path):
        return kept
    encrypted = name_encrypted(path)
    if not encrypted.exists():
        return open(path, "rb")
    opener = key_ring.get_opener(str(encrypted))
    from hpc_connector.confidential.files import decrypt_by  # of an extra

    plain = open_memory()
    try:
        decrypt_by(opener.open, encrypted, plain)
    except BaseException:
        plain.close()
        raise
    plain.seek(0)
    return plain


def read_published(path: Path) -> bytes:
    """Return what is in a file; see :func:`open_published`."""
    with open_published(path) as stream:
        return stream.read()
