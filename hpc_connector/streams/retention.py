"""Which files of segments are old enough to be deleted."""

import contextlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hpc_connector.streams.segment_layout import HEAD_BYTES, get_first, list_files
from hpc_connector.streams.segment_reader import read_pieces


class Old(NamedTuple):
    """A file that is not the last of its segment.

    Parameters
    ----------
    until_ns
        Time of the first record behind it.
    """

    until_ns: int
    path: Path
    n_bytes: int


def list_deletable(
    folder: Path, segments: Iterable[int], before: int | None, keep_bytes: int | None
) -> list[Path]:
    """Return files that can be deleted, in the order in which that is to happen.

    Of each segment these are its first ones, and never its last.

    Parameters
    ----------
    before
        Nanoseconds since 1970, of which all records of them are older.
    keep_bytes
        Of all segments: the oldest files are deleted until they have no more.
    """
    files = [list_files(folder, segment) for segment in segments]
    n_bytes = sum((folder / name).stat().st_size for names in files for name in names)
    old = [one for names in files for one in list_old(folder, names)]
    found = []
    for one in sorted(old):
        is_old = before is not None and one.until_ns <= before
        if is_old or (keep_bytes is not None and n_bytes > keep_bytes):
            found.append(one.path)
            n_bytes -= one.n_bytes
    return found


def list_old(folder: Path, files: list[str]) -> list[Old]:
    """Return the files of a segment before its last that has records, in order.

    A clock that went backwards does not change the order: a file is as old as the
    newest before it.
    """
    found: list[Old] = []
    until_ns = 0
    for name, following in pairwise(files):
        first_ns = get_first_time(folder / following, is_last=following == files[-1])
        if first_ns is None:
            break
        until_ns = max(until_ns, first_ns)
        path = folder / name
        found.append(Old(until_ns, path, path.stat().st_size))
    return found


def get_first_time(path: Path, *, is_last: bool) -> int | None:
    """Return the time of the first record of a file, None if it has none yet."""
    after = get_first(path.name) - 1
    for _, _, wholes in read_pieces(path, HEAD_BYTES, after, is_last=is_last, most=1):
        return wholes[0][3]
    return None


def delete_file(path: Path) -> int:
    """Delete a file, and return how many bytes it had."""
    with contextlib.suppress(FileNotFoundError):
        n_bytes = path.stat().st_size
        path.unlink()
        return n_bytes
    return 0
