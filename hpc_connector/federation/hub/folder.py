"""The folder of a party's state, which one process at a time uses."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from hpc_connector.errors import BadInput


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time use a folder, which is made if it is not there.

    Raises
    ------
    BadInput
        Another does; or it is none.
    """
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        lock = open(folder / "lock", "ab")  # noqa: SIM115
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}: expected a folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"{folder}: another process is at work there: expected one at a time"
            ) from None
        yield
