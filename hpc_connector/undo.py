"""A run that its inputs forbid leaves no folder behind.

Only what it has written is taken away, and only before there is anything to keep: a
result, or a task in the ledger.
"""

import contextlib
import shutil
from pathlib import Path
from typing import NamedTuple

from hpc_connector.manifest import NAME, is_in_use, makes_no_run


class Before(NamedTuple):
    """What was there before a run.

    Parameters
    ----------
    names
        In its folder.
    missing
        The folder and those above it that were not there, the innermost first.
    is_ours
        Whether the run may have it: it held no run, and nothing of the user.
    """

    out: Path
    names: frozenset[str]
    missing: tuple[Path, ...]
    is_ours: bool


def look_before(out: Path) -> Before:
    """Return the state of a folder before a run begins."""
    try:
        names = frozenset(path.name for path in out.iterdir())
    except OSError:  # there is none, or it cannot be read
        names = frozenset()
    places = [out, *out.parents]
    missing = tuple(path for path in places if not path.exists())
    is_free = bool(missing) or (out.is_dir() and not is_in_use(out))
    return Before(out, names, missing, is_free)


def undo_run(before: Before) -> None:
    """Take away what a run has written, unless it has begun to find something."""
    if not before.is_ours or has_results(before.out):
        return
    for path in list_paths(before.out):
        if path.name in before.names:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    remove_empty(before)


def remove_empty(before: Before) -> None:
    """Take away the folders that a run has made, as far as nothing is in them."""
    for folder in before.missing:
        with contextlib.suppress(OSError):  # another rank was faster, or it is in use
            folder.rmdir()


def has_results(out: Path) -> bool:
    """Return whether a folder has more files than a run begins with."""
    return any(
        path.is_file()
        for top in list_paths(out)
        if top.name != NAME and not makes_no_run(top.name)
        for path in (top, *top.rglob("*"))
    )


def list_paths(out: Path) -> list[Path]:
    """Return the entries of a folder; none if it is not there."""
    try:
        return list(out.iterdir())
    except OSError:
        return []
