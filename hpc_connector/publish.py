"""Files that have their name only once they are whole; encrypted, if there are readers.

A process that has readers encrypts all that it publishes, but for what is said to be
open: nothing becomes readable because somebody forgot it.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import ENCRYPTED

PIECE_BYTES = 1 << 22
Kind = Literal["result", "ledger", "open"]


class Readers(NamedTuple):
    """Who can read what a run writes.

    Parameters
    ----------
    result, ledger
        Public keys, 32 bytes each: of those who read results, and of those who can also
        go on with the run.
    fingerprints
        Of the keys of results, for people.
    """

    result: tuple[bytes, ...]
    ledger: tuple[bytes, ...]
    fingerprints: tuple[str, ...]


_readers: Readers | None = None
_kept: dict[Path, BinaryIO] = {}  # what was published, as it was, in memory


def set_readers(readers: Readers | None) -> None:
    """Have who reads what this process writes, None for anybody; keep nothing of it."""
    global _readers
    _readers = readers
    for stream in _kept.values():
        stream.close()
    _kept.clear()


def get_readers() -> Readers | None:
    """Return who reads what this process writes, None for anybody."""
    return _readers


def name_encrypted(path: Path) -> Path:
    """Return the path of a published file if it is encrypted."""
    return path.with_name(path.name + ENCRYPTED)


def name_published(path: Path) -> Path:
    """Return the path that :func:`publish` gives a result."""
    return name_encrypted(path) if _readers else path


def name_outputs(names: Iterable[str]) -> list[str]:
    """Return the names that results have."""
    return [str(name_published(Path(name))) for name in names]


@contextlib.contextmanager
def publish(
    path: Path, kind: Kind = "result", *, seeks: bool = False, private: bool = False
) -> Iterator[BinaryIO]:
    """Give a stream to write; the file is renamed to `path` when it is on the disk.

    With readers it is encrypted on the way, and has the name `path` with ``.c4gh``.

    Parameters
    ----------
    kind
        By which its readers are chosen; "open" for what anybody may read.
    seeks
        Whether the stream must have a descriptor, and any place in it be written. An
        encrypted one is in memory then, until it is whole; and after that, for
        :func:`open_kept`.
    private
        Whether only its owner may read it, from its first byte on.
    """
    if _readers is None or kind == "open":
        with _publish(path, private=private) as stream:
            yield stream
        return
    public = _readers.result if kind == "result" else _readers.ledger
    with _publish(name_published(path)) as stream, _encrypt(stream, public) as sealed:
        if not seeks:
            yield sealed
            return
        plain = open_memory()
        try:
            yield plain
            plain.flush()
            _copy(plain, sealed)
        except BaseException:
            plain.close()
            raise
        if before := _kept.pop(path.absolute(), None):
            before.close()
        _kept[path.absolute()] = plain


@contextlib.contextmanager
def _publish(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Give the file to write.

    Without the sync a crash of the machine could leave an empty file of that name. An
    error leaves no half file, and names `path`, which an error of writing does not.

    Raises
    ------
    BadInput
        There is no such folder.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        if private:  # who has opened what was there before would read what comes
            partial.unlink(missing_ok=True)
        opener = _open_private if private else None
        with open(partial, "w+b", opener=opener) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise BadInput(
                f"{path}: expected a folder {path.parent} that is there"
            ) from None
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def _encrypt(stream: BinaryIO, readers: Iterable[bytes]) -> Iterator[BinaryIO]:
    """Give a stream of plaintext, which cannot seek."""
    from hpc_connector.crypt4gh.writer import Writer  # of an extra

    with Writer(stream, tuple(readers)) as writer:
        yield cast("BinaryIO", writer)


def open_memory() -> BinaryIO:
    """Return a new file that is in memory alone, and gone with this process."""
    return open(os.memfd_create("plaintext"), "w+b")


def open_kept(path: Path) -> BinaryIO | None:
    """Return what this process has published by a name, to read; None if it is not."""
    kept = _kept.get(path.absolute())
    return kept and open(f"/proc/self/fd/{kept.fileno()}", "rb")


@contextlib.contextmanager
def publish_by_name(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Give paths for a library that opens what it writes; renamed when all are whole.

    What is encrypted is in memory: its paths are links to what has no name.

    Parameters
    ----------
    paths
        Of one folder.
    """
    wanted = list(paths)
    with contextlib.ExitStack() as stack, make_partial(wanted[0]) as folder:
        own = [folder / path.name for path in wanted]
        if _readers is None:
            yield own
            for path, target in zip(own, wanted, strict=True):
                path.replace(target)
            return
        memory = [stack.enter_context(open_memory()) for _ in own]
        for path, plain in zip(own, memory, strict=True):
            path.symlink_to(f"/proc/{os.getpid()}/fd/{plain.fileno()}")
        yield own
        for plain, target in zip(memory, wanted, strict=True):
            with publish(target) as sealed:
                _copy(plain, sealed)


@contextlib.contextmanager
def make_partial(path: Path) -> Iterator[Path]:
    """Give an empty folder, beside `path`, for what has its name once it is whole.

    What a process that was killed had left there is removed first.
    """
    folder = path.with_name(path.name + ".partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    """Write a file from its beginning."""
    source.seek(0)
    while piece := source.read(PIECE_BYTES):
        target.write(piece)
