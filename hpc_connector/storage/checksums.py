"""Checksums of files and folders, also by a thread while a run goes on.

A file is read once for all of its checksums.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from hpc_connector.errors import BadInput

PIECE_BYTES = 8 << 20  # at once, so that a thread seldom asks for the interpreter
SHA256 = ("sha256",)

Checksums = dict[str, str]  # hexadecimal digits by algorithm
Stamp = tuple[int, int, int]  # of a file: inode, bytes, nanoseconds of its last change


def get_checksum(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal; of a folder, of all below it.

    Of a folder: that of the names of its files, and the SHA-256 of each.
    """
    return hash_path(path)["sha256"]


def hash_path(
    path: str,
    algorithms: Sequence[str] = SHA256,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Checksums:
    """Return the checksums of a file, by algorithms of ``hashlib``, or of a folder.

    Parameters
    ----------
    is_stopped
        Returns whether they are wanted no more; then they are wrong.

    Raises
    ------
    OSError
        What cannot be read.
    """
    if not os.path.isdir(path):
        return hash_file(path, algorithms, is_stopped)
    lines = [
        f"{name} {hash_path(os.path.join(path, name), SHA256, is_stopped)['sha256']}\n"
        for name in list_files(path)
    ]
    return {"sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def hash_file(
    path: str, algorithms: Sequence[str], is_stopped: Callable[[], bool]
) -> Checksums:
    """Return the checksums of a file; see :func:`hash_path`."""
    found = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with open(path, "rb", buffering=0) as stream:
        n_bytes = min(os.fstat(stream.fileno()).st_size + 1, PIECE_BYTES)
        piece = memoryview(bytearray(n_bytes))
        while not is_stopped() and (n_read := stream.readinto(piece)):
            for one in found.values():
                one.update(piece[:n_read])
    return {name: one.hexdigest() for name, one in found.items()}


def list_files(folder: str) -> list[str]:
    """Return the files below a folder, by their names from there, in order."""
    paths = (
        Path(where) / name for where, _, names in os.walk(folder) for name in names
    )
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def get_stamp(path: str) -> Stamp:
    """Return what changes with a file."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


class Hasher:
    """A thread that hashes files, which a run meanwhile reads.

    The block that it is opened for may end at any time, also by an error: what is not
    hashed by then is left.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "checksums")
        self._is_stopped = threading.Event()
        self._begun: dict[str, tuple[Stamp, Future[Checksums]]] = {}

    def __enter__(self) -> Self:
        """Return the hasher, whose thread begins with the first file."""
        return self

    def __exit__(self, *_: Any) -> None:
        """End the thread."""
        self._is_stopped.set()
        self._pool.shutdown()

    def begin(
        self, path: str, algorithms: Sequence[str] = SHA256, copy: str = ""
    ) -> None:
        """Have a file, or folder, hashed after those that were begun before.

        Parameters
        ----------
        copy
            The file to read, where that is another.
        """
        try:
            stamp = get_stamp(path)
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
        told = self._is_stopped.is_set
        found = self._pool.submit(hash_path, copy or path, algorithms, told)
        self._begun[path] = stamp, found

    def get(self, path: str) -> Checksums:
        """Wait for the checksums of a file, and return them.

        Raises
        ------
        BadInput
            It cannot be read, or is no longer the file that it was.
        """
        stamp, found = self._begun[path]
        try:
            checksums = found.result()
            is_same = get_stamp(path) == stamp
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
        if not is_same:
            raise BadInput(
                f"{path} was changed while it was read: expected it to stay as it is "
                "until the run has ended"
            )
        return checksums
