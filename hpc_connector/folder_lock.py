"""One run at a time works in a folder of results: ``running.json`` says which.

A run that is killed leaves it behind. Whether its process or its job is over is found
out by the next run, which then takes the folder.
"""

import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.slurm import UNKNOWN_JOB, ask_slurm

NAME = "running.json"
PARTIAL = f"{NAME}.partial"  # held for an instant, by the one run that writes the other
TRIES, POLL_S = 50, 0.1
AT_WORK = {"RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "SIGNALING", "STAGE_OUT"}
# From job.sh, as a container has no squeue: when it looked, and jobs that ran then
RUNNING = "CONNECTOR_RUNNING"
NAMES = ("host", "job", "restarts", "started", "birth", "namespace")


def check_free(out: Path) -> str | None:
    """Return the lock that a run which is over has left in a folder, None if none.

    Raises
    ------
    BadInput
        A run works there, or may do so.
    """
    path = out / NAME
    if (text := read_text(path)) is None:
        return None
    holder = parse_holder(path, text)
    at_work = is_at_work(holder, path)
    if at_work is False:
        return text
    job = f"job {holder['job']}, " if holder["job"] else ""
    who = f"{job}process {holder['pid']} on {holder['host']}"
    unless = "" if at_work else f"; remove {path} if that is over"
    raise BadInput(
        f"{out}: {who}, works there since {holder['started']}: expected one run at a "
        f"time in a folder{unless}"
    )


def take_folder(out: Path) -> str:
    """Take a folder, which is made if there is none; return the lock.

    Of several runs that try so at a time one succeeds.

    Raises
    ------
    BadInput
        Another run works there, or may do so.
    """
    for _ in range(TRIES):
        before = check_free(out)
        out.mkdir(parents=True, exist_ok=True)
        if lock := replace_lock(out, before):
            return lock
        time.sleep(POLL_S)
    raise BadInput(
        f"{out / PARTIAL}: a run begins there, or was killed as it did: remove it if "
        "that is over"
    )


def replace_lock(out: Path, before: str | None) -> str:
    """Write the lock of this run in place of one that is over; return it.

    Returns
    -------
    Nothing where another run is doing so, or has.
    """
    lock = f"{json.dumps(describe_process())}\n"
    partial = out / PARTIAL
    try:
        stream = open(partial, "x")  # noqa: SIM115
    except FileExistsError:
        return ""
    try:
        with stream:
            stream.write(lock)
            stream.flush()
            os.fsync(stream.fileno())  # or a node that dies could leave it empty
        if read_text(out / NAME) == before:
            partial.replace(out / NAME)
            return lock
        return ""
    finally:
        partial.unlink(missing_ok=True)


def release_folder(out: Path, lock: str) -> None:
    """Remove a lock, if it still is this one."""
    with contextlib.suppress(OSError):
        if lock and read_text(out / NAME) == lock:
            (out / NAME).unlink()


def read_text(path: Path) -> str | None:
    """Return the text of a file, None if there is none."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None


def describe_process() -> dict[str, Any]:
    """Return the identity of this process, also where its number is used again."""
    return {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "restarts": os.environ.get("SLURM_RESTART_COUNT", "0"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "birth": get_birth(os.getpid()),
        "namespace": get_namespace(),
    }


def parse_holder(path: Path, text: str) -> dict[str, Any]:
    """Return whose a lock is.

    Raises
    ------
    BadInput
        It does not say so.
    """
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        pid = found.get("pid") if isinstance(found, dict) else None
        if type(pid) is int and pid > 0:  # True is no number, -1 is all processes
            return {name: str(found.get(name) or "") for name in NAMES} | {"pid": pid}
    raise BadInput(f"{path}: cannot be read: remove it if no run works there")


def is_at_work(holder: dict[str, Any], path: Path) -> bool | None:
    """Return whether the run that a lock names is at work; None if nothing tells."""
    here = (os.uname().nodename, get_namespace())
    if (holder["host"], holder["namespace"]) == here:
        return is_alive(holder["pid"], holder["birth"])
    if holder["job"] == "":
        return None
    if holder["job"] == os.environ.get("SLURM_JOB_ID"):
        is_same = holder["restarts"] == os.environ.get("SLURM_RESTART_COUNT", "0")
        return None if is_same else False  # it was queued again
    found = ask_job(holder["job"], holder["started"])
    with contextlib.suppress(FileNotFoundError):
        if not found and path.stat().st_uid != os.getuid():
            return None  # Slurm may hide the jobs of others
    return found


def is_alive(pid: int, birth: str) -> bool:
    """Return whether a process of this machine is there, and is the one that it was."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user, and /proc may hide it
        return get_birth(pid) in (birth, "")
    return get_birth(pid) == birth


def get_birth(pid: int) -> str:
    """Return when a process began, in ticks; nothing if it is not seen, or is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def get_namespace() -> str:
    """Return in which namespace the numbers of processes are those of this one."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def ask_job(job: str, started: str) -> bool | None:
    """Return whether a job is at work, by Slurm; None if it does not answer.

    Parameters
    ----------
    started
        When it took the folder, which may be after a job script has asked.
    """
    if running := os.environ.get(RUNNING):
        asked, *jobs = running.split()
        return True if job in jobs else None if started >= asked else False
    done = ask_slurm(["squeue", "--noheader", "--jobs", job, "--format", "%A %T"])
    if done is None or (done.returncode and UNKNOWN_JOB not in done.stderr):
        return None
    rows = [line.split() for line in done.stdout.splitlines()]
    return any(row[0] == job and row[-1] in AT_WORK for row in rows)
