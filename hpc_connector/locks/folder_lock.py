"""One run at a time works in a folder of results: ``running.json`` says which.

A run that is killed leaves it behind. Whether its process or its job is over is found
out by the next run, which then takes the folder.
"""

from pathlib import Path

from hpc_connector.locks.process_lock import Lock, check_over, read_text, release, take

NAME = "running.json"


def check_free(out: Path) -> None:
    """Check that no run is at work in a folder.

    Raises
    ------
    BadInput
        One works there, or may do so.
    """
    lock = name_lock(out)
    if (text := read_text(lock.path)) is not None:
        check_over(lock, lock.path, text)


def take_folder(out: Path) -> str:
    """Take a folder, which is made if there is none; return what its lock says.

    Of several runs that try so at a time one succeeds.

    Raises
    ------
    BadInput
        Another run works there, or may do so.
    """
    out.mkdir(parents=True, exist_ok=True)
    return take(name_lock(out))


def release_folder(out: Path, lock: str) -> None:
    """Remove a lock, if it still is this one."""
    release(out / NAME, lock)


def name_lock(out: Path) -> Lock:
    """Return the lock of a folder."""
    expected = "one run at a time in a folder"
    return Lock(out / NAME, str(out), "works there", expected, "runs")


def is_of_lock(name: str) -> bool:
    """Return whether a file is the lock of a folder, or is left of one."""
    return name == NAME or name.startswith(f"{NAME}.")
