"""One writer a segment: a file says which, and a dead one is taken over.

The file has its content from its first moment on: it is linked to its name, which
fails where there is one, as O_CREAT | O_EXCL does. What a process left behind that was
killed, at whatever moment, is found to be its, and is replaced by one other alone.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.folder_lock import (
    POLL_S,
    TRIES,
    describe_process,
    is_at_work,
    parse_holder,
    read_text,
)


def take(path: Path, where: str) -> str:
    """Take a lock, also of a process that is gone; return what it says.

    Parameters
    ----------
    where
        What it locks, for the message.

    Raises
    ------
    BadInput
        Another process holds it, or may do so.
    """
    lock = f"{json.dumps(describe_process())}\n"
    own = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(8).hex()}")
    try:
        write(own, lock)
        for _ in range(TRIES):
            if link(own, path) or replace_dead(own, path, where):
                remove_left(path)
                return lock
            time.sleep(POLL_S)
        raise BadInput(f"{where}: other writers begin and end there all the time")
    finally:
        own.unlink(missing_ok=True)


def write(path: Path, lock: str) -> None:
    """Write what a lock says; an error names the file."""
    try:
        path.write_text(lock)
    except OSError as error:
        error.filename = str(path)
        raise


def link(own: Path, path: Path) -> bool:
    """Give a file a second name; return whether it was free."""
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    return True


def replace_dead(own: Path, path: Path, where: str) -> bool:
    """Replace the lock of a process that is gone; return whether this one did.

    Who replaces one holds a lock of its own for that, named by what the dead one says:
    nobody else does so meanwhile. That may be left behind as well, and is taken so.

    Raises
    ------
    BadInput
        The process is there, or may be.
    """
    if (text := read_text(path)) is None:
        return False
    holder = parse_holder(path, text)
    at_work = is_at_work(holder, path)
    if at_work is not False:
        job = f"job {holder['job']}, " if holder["job"] else ""
        unless = "" if at_work else f"; remove {path} if that is over"
        raise BadInput(
            f"{where}: {job}process {holder['pid']} on {holder['host']}, has appended "
            f"there since {holder['started']}: expected one writer a segment{unless}"
        )
    claim = path.with_name(".".join([*path.name.split(".")[:2], get_digest(text)]))
    if not (link(own, claim) or replace_dead(own, claim, where)):
        return False
    try:
        if read_text(path) != text:
            return False
        fresh = claim.with_suffix(".next")
        write(fresh, own.read_text())
        fresh.replace(path)
        return True
    finally:
        claim.unlink(missing_ok=True)


def remove_left(path: Path) -> None:
    """Remove what processes that were killed have left beside a lock that is held."""
    for other in path.parent.glob(f"{path.name}.*"):
        text = read_text(other)
        with contextlib.suppress(BadInput, OSError):
            if text and is_at_work(parse_holder(other, text), other) is False:
                other.unlink()


def get_digest(text: str) -> str:
    """Return the name of what a lock says."""
    return hashlib.sha256(text.encode()).hexdigest()


def release(path: Path, lock: str) -> None:
    """Remove a lock, if it still is that of this process."""
    with contextlib.suppress(OSError):
        is_ours = bool(lock) and json.loads(lock)["pid"] == os.getpid()
        if is_ours and read_text(path) == lock:
            path.unlink()


def describe_holder(path: Path) -> str:
    """Return who holds a lock, for people; empty if nobody does."""
    if (text := read_text(path)) is None:
        return ""
    with contextlib.suppress(BadInput):
        holder = parse_holder(path, text)
        job = f"job {holder['job']}, " if holder["job"] else ""
        return f"{job}process {holder['pid']} on {holder['host']}"
    return "unknown"
