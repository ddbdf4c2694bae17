"""Files as objects: read in place, written by rename."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hpc_connector.storage.store import (
    Changed,
    Denied,
    Missing,
    Range,
    Response,
    Version,
)

PARTIAL = ".partial"


class FolderStore:
    """Files, by their paths."""

    def look(self, key: str) -> Version:
        """Return size and tag of a file."""
        with explain(key):
            return _get_version(os.stat(key))

    def read(self, key: str, wanted: Range | None = None, tag: str = "") -> Response:
        """Return bytes of a file, all if no range is given; of one tag only."""
        with explain(key), open(key, "rb", buffering=0, opener=_open) as stream:
            version = _get_version(os.fstat(stream.fileno()))
            if tag not in ("", version.etag):
                raise Changed(key)
            first, last = wanted or (0, version.size)
            data = _read(stream.fileno(), first, last)
            return Response(data, (first, first + len(data)), version.etag)

    def read_into(self, key: str, first: int, target: memoryview, tag: str) -> int:
        """Read a file of one tag into memory; return how many bytes there were."""
        with explain(key), open(key, "rb", buffering=0, opener=_open) as stream:
            if _get_version(os.fstat(stream.fileno())).etag != tag:
                raise Changed(key)
            n_read = 0
            while n_read < len(target) and (
                n := os.preadv(stream.fileno(), [target[n_read:]], first + n_read)
            ):
                n_read += n
            return n_read

    def write(self, key: str, data: bytes | memoryview, *, only_new: bool) -> str:
        """Write a file whole; return its tag."""
        own = f"{key}-{os.getpid()}-{os.urandom(4).hex()}{PARTIAL}"
        with explain(key):
            os.makedirs(os.path.dirname(key), exist_ok=True)
            try:
                Path(own).write_bytes(data)
                (os.link if only_new else os.replace)(own, key)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(own)
        return self.look(key).etag

    def list(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, the folder left out."""
        found = (
            os.path.relpath(os.path.join(place, name), folder)
            for place, _, names in os.walk(folder)
            for name in names
        )
        return sorted(name for name in found if PARTIAL not in name)

    def remove(self, key: str) -> None:
        """Remove a file."""
        with explain(key):
            os.unlink(key)


@contextlib.contextmanager
def explain(key: str) -> Iterator[None]:
    """Turn the errors of files into those of stores; a full disk stays what it is."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise Missing(key) from None
    except PermissionError as error:
        raise Denied(error.strerror) from None
    except FileExistsError:
        raise Changed(key) from None


def _open(path: str, flags: int) -> int:
    """Open a file; one that would wait for a writer does not."""
    return os.open(path, flags | os.O_NONBLOCK)


def _get_version(found: os.stat_result) -> Version:
    """Return size and tag of a file, by its inode and time of change."""
    if not stat.S_ISREG(found.st_mode):
        raise Missing("no file")
    micros = found.st_mtime_ns // 1000
    tag = f'"{found.st_ino:x}-{micros:x}-{found.st_size:x}"'
    return Version(found.st_size, tag)


def _read(number: int, first: int, last: int) -> bytes:
    """Return a stretch of an open file, as much of it as there is."""
    pieces = []
    while first < last and (piece := os.pread(number, last - first, first)):
        pieces.append(piece)
        first += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
