"""Files wherever they are: local ones, and objects in S3 or behind HTTP as files.

What is encrypted is an object too, wherever it is: read by ranges, of its plaintext. An
object is read by ranges of one version, so that a rank fetches its share and no
more, and an object that changes meanwhile is an error.
"""

import functools
import io
import os
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hpc_connector.storage import address
from hpc_connector.storage.address import (
    Source,
    is_encrypted,
    is_object,
    is_remote,
)
from hpc_connector.storage.objects import get_object, get_stored, list_beside
from hpc_connector.storage.ranges import fetch, fetch_into, fetch_stored
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import NoSuchObject, NotAllowed

FIRST_BYTES, MOST_BYTES = 1 << 16, 8 << 20  # of an object at once: more as it goes on
DIRECT_BYTES = 1 << 17  # from which on what is decrypted goes where it is wanted
AHEAD_BYTES = 1 << 19  # of an encrypted file at most: nothing is gained by more


def get_size(path: str) -> int:
    """Return the bytes of a file.

    Raises
    ------
    OSError, BadInput
        There is no such file.
    """
    return get_object(path)[1].size if is_object(path) else os.path.getsize(path)


def exists(path: str) -> bool:
    """Return whether there is a file.

    Raises
    ------
    BadInput
        A store that does not answer, or does not let us look.
    """
    if not is_remote(path):
        return os.path.exists(path)
    try:
        get_object(path)
    except (NoSuchObject, address.NotSigned):
        return False
    except NotAllowed:
        # as S3 says of what is not there to who may not list, or has signed another
        if not address.is_derived(path):
            raise
        return False
    return True


def find_beside(path: str, ending: str, *, without: str = "") -> str:
    """Return the name of what stands beside a file, as ``storage.address.beside``.

    Of an encrypted file that of an encrypted one, if there is one, or has to be.
    """
    *first, last = list_beside(path, ending, without=without)
    return next((name for name in first if exists(name)), last)


def open_file(path: str) -> BinaryIO:
    """Open a file to read bytes at any place.

    Raises
    ------
    OSError, BadInput
        There is no such file.
    """
    if is_object(path):
        return io.BufferedReader(ObjectFile(path))
    return open(path, "rb")


def read_file(path: str) -> bytes:
    """Return all bytes of a file.

    Raises
    ------
    OSError, BadInput
        There is no such file.
    """
    if is_object(path):
        return read_range(path, 0, get_size(path))
    with open(path, "rb") as stream:
        return stream.read()


def read_range(path: str, first: int, last: int) -> bytes:
    """Return bytes of an object."""
    if is_encrypted(path):  # opened in pieces that stay in a cache: four times as fast
        return read_array(path, first, last).tobytes()
    source, version = get_object(path)
    return fetch(source, version, [(first, last)])[0]


def read_array(path: str, first: int, last: int) -> NDArray[np.uint8]:
    """Return bytes of an object, uint8."""
    source, version = get_object(path)
    data = np.empty(last - first, np.uint8)
    fetch_into(source, version, first, data.data)
    return data


def read_part(path: str, first: int, last: int) -> bytes:
    """Return as many bytes of a file as there are of a stretch.

    Raises
    ------
    OSError, BadInput
        There is no such file.
    """
    n_bytes = get_size(path)
    first, last = min(first, n_bytes), min(last, n_bytes)
    if is_object(path):
        return read_range(path, first, last) if first < last else b""
    with open(path, "rb") as stream:
        stream.seek(first)
        return stream.read(last - first)


def get_stored_size(path: str) -> int:
    """Return the bytes of a file as it is stored: of an encrypted one, ciphertext."""
    return get_stored(path)[1].size if is_encrypted(path) else get_size(path)


def read_stored(path: str, first: int, last: int) -> bytes:
    """Return bytes of a file as it is stored, as many as there are of a stretch."""
    if not is_encrypted(path):
        return read_part(path, first, last)
    source, stored = get_stored(path)
    wanted = min(first, stored.size), min(last, stored.size)
    return fetch_stored([(source, stored, [wanted])])[0]


@functools.lru_cache(maxsize=64)
def read_head(source: Source, version: Version) -> bytes:
    """Return the first bytes of an object; kept, for every part of it needs them."""
    return fetch(source, version, [(0, min(FIRST_BYTES, version.size))])[0]


def map_file(path: str) -> NDArray[np.uint8]:
    """Return all bytes of a file, uint8; of a local one only those that are used."""
    if is_object(path):
        return read_array(path, 0, get_size(path))
    return np.memmap(path, np.uint8, "r")


class ObjectFile(io.RawIOBase):
    """An object as a file of bytes to read."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, get_size(path)
        self.at, self.first = 0, 0
        self.held: bytes | memoryview = b""
        self.n_bytes = FIRST_BYTES // 2
        self.is_encrypted = is_encrypted(path)
        self.most = MOST_BYTES if is_remote(path) else AHEAD_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place; return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}
        self.at = max(0, base[whence] + offset)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read as many bytes as there are, and as the buffer holds."""
        if self.at >= self.size:
            return 0
        if len(buffer) >= DIRECT_BYTES and self.is_encrypted:
            return self.read_into(buffer)
        if not self.first <= self.at < self.first + len(self.held):
            self.fetch_more(len(buffer))
        skip = self.at - self.first
        data = self.held[skip : skip + len(buffer)]
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def read_into(self, buffer: memoryview) -> int:
        """Read a stretch into its place; what is read in small pieces is fetched."""
        source, version = get_object(self.path)
        n = min(len(buffer), self.size - self.at)
        fetch_into(source, version, self.at, buffer[:n])
        self.at += n
        return n

    def fetch_more(self, least: int) -> None:
        """Fetch what follows: twice as much as before, if that was read to its end."""
        goes_on = self.at == self.first + len(self.held)
        self.n_bytes = min(2 * self.n_bytes, self.most) if goes_on else FIRST_BYTES
        last = self.at + self.n_bytes
        if self.is_encrypted:
            last -= last % FIRST_BYTES  # where a segment ends: none is begun
        last = min(max(last, self.at + least), self.size)
        self.first = self.at
        if last <= FIRST_BYTES and self.at == 0:
            self.held = read_head(*get_object(self.path))
        elif self.is_encrypted:
            self.held = read_array(self.path, self.at, last).data
        else:
            self.held = read_range(self.path, self.at, last)
