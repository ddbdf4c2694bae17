"""A file that says which process holds something, and that its death does not block.

A lock is there whole or not at all: a process writes what it says to a file of its own,
and links that to the name of the lock, which fails where there is one. One that is left
by a dead process is replaced by a rename, so there is no instant without a holder; who
does so holds a claim meanwhile, a lock as well, whose name is the digest of what the
dead one says. As no process writes that again, a claim that comes late finds another
text and ends. Whatever a process leaves that is killed, at whatever moment, is so taken
over, or is removed by the next that holds the lock.

Where a file system has no hard links a lock is made by O_CREAT | O_EXCL, and written
then: one at a time as well, but a process that is killed in the instant between leaves
a file that says nothing, which people have to remove.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.locks.holder import (
    describe_process,
    is_at_work,
    name_holder,
    parse_holder,
)

TRIES, POLL_S = 50, 0.1
BESIDE = re.compile(r"\.[0-9a-f]{64}$")  # ends the names of what lies beside a lock
NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class Lock(NamedTuple):
    """A lock, and the words of messages about it.

    Parameters
    ----------
    where
        What it locks.
    doing
        What its holder does: "works there".
    expected
        "one run at a time in a folder".
    others
        Those who want it: "runs".
    """

    path: Path
    where: str
    doing: str
    expected: str
    others: str


def take(lock: Lock) -> str:
    """Take a lock, also of a process that is gone; return what it says.

    Of several that try so at a time one succeeds.

    Raises
    ------
    BadInput
        Another process holds it, or may do so.
    """
    text = f"{json.dumps(describe_process())}\n"
    for _ in range(TRIES):
        if make(lock.path, text) or replace_dead(lock, lock.path, text):
            remove_left(lock.path)
            return text
        time.sleep(POLL_S)
    raise BadInput(
        f"{lock.where}: other {lock.others} begin and end there all the time"
    )


def check_over(lock: Lock, path: Path, text: str) -> None:
    """Check that the process is gone that a lock, or a claim to it, names.

    Raises
    ------
    BadInput
        It is there, or may be.
    """
    holder = parse_holder(path, text)
    at_work = is_at_work(holder, path)
    if at_work is not False:
        unless = "" if at_work else f"; remove {path} if that is over"
        raise BadInput(
            f"{lock.where}: {name_holder(holder)}, {lock.doing} since "
            f"{holder['started']}: expected {lock.expected}{unless}"
        )


def make(path: Path, text: str) -> bool:
    """Make a lock; return whether there was none."""
    with write_beside(path, text) as own:
        try:
            return link(own, path)
        except FileNotFoundError:  # it was removed before it said anything
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return create(path, text)


def link(own: Path, path: Path) -> bool:
    """Give a file a second name; return whether it was free."""
    try:
        os.link(own, path)
    except FileExistsError:  # NFS may say so of what it has just made: open(2)
        return own.stat().st_nlink == 2
    return True


def create(path: Path, text: str) -> bool:
    """Write a file where there is none; return whether there was none."""
    try:
        write_new(path, text)
    except FileExistsError:
        return False
    return True


def replace_dead(lock: Lock, path: Path, text: str) -> bool:
    """Replace the lock, or claim, of a process that is gone; return whether it was.

    Raises
    ------
    BadInput
        The process is there, or may be; or another one is replacing it.
    """
    if (dead := read_text(path)) is None:
        return False
    check_over(lock, path, dead)
    claim = name_beside(path, hashlib.sha256(dead.encode()).hexdigest())
    if not (make(claim, text) or replace_dead(lock, claim, text)):
        return False
    try:
        return read_text(path) == dead and replace(path, text)
    finally:
        claim.unlink(missing_ok=True)


def replace(path: Path, text: str) -> bool:
    """Write a lock in place of another; return whether it was done."""
    with write_beside(path, text) as own, contextlib.suppress(FileNotFoundError):
        own.replace(path)
        return True
    return False  # it was removed before it said anything


@contextlib.contextmanager
def write_beside(path: Path, text: str) -> Iterator[Path]:
    """Give a file of this process alone, beside a lock; it is removed afterwards."""
    own = name_beside(path, os.urandom(32).hex())
    write_new(own, text)
    try:
        yield own
    finally:
        own.unlink(missing_ok=True)


def write_new(path: Path, text: str) -> None:
    """Write a file that is new, to the disk; an error names it, and leaves none."""
    stream = open(path, "x")  # noqa: SIM115
    try:
        with stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())  # or a node that dies could leave it empty
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def name_beside(path: Path, digest: str) -> Path:
    """Return the name of what lies beside a lock, or beside a claim to it."""
    return path.with_name(f"{BESIDE.sub('', path.name)}.{digest}")


def remove_left(path: Path) -> None:
    """Remove what dead processes have left beside a lock that this process holds.

    A writer of one of them that is alive after all tries again, or finds with its claim
    that the lock is held by now.
    """
    for other in path.parent.glob(f"{path.name}.*"):
        if BESIDE.sub("", other.name) == path.name and is_left(other):
            with contextlib.suppress(OSError):
                other.unlink()


def is_left(path: Path) -> bool:
    """Return whether the writer of a file is dead, or has not come to its end."""
    try:
        return is_at_work(parse_holder(path, read_text(path) or ""), path) is False
    except BadInput:
        return True
    except OSError:
        return False


def release(path: Path, text: str) -> None:
    """Remove a lock, if it still says so."""
    with contextlib.suppress(OSError):
        if text and read_text(path) == text:
            path.unlink()


def describe_holder(path: Path) -> str:
    """Return who holds a lock, for people; empty if nobody does."""
    if (text := read_text(path)) is None:
        return ""
    with contextlib.suppress(BadInput):
        return name_holder(parse_holder(path, text))
    return "unknown"


def read_text(path: Path) -> str | None:
    """Return the text of a file, None if there is none."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None
