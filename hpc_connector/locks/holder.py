"""The process that a lock names: who it is, and whether it is over.

By the process itself on the same machine, else by its Slurm job.
"""

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.slurm import UNKNOWN_JOB, ask_slurm

AT_WORK = {"RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "SIGNALING", "STAGE_OUT"}
# From job.sh, as a container has no squeue: when it looked, and jobs that ran then
RUNNING = "CONNECTOR_RUNNING"
NAMES = ("host", "job", "restarts", "started", "birth", "namespace")


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


def name_holder(holder: dict[str, Any]) -> str:
    """Return whose a lock is, for people."""
    job = f"job {holder['job']}, " if holder["job"] else ""
    return f"{job}process {holder['pid']} on {holder['host']}"


def is_at_work(holder: dict[str, Any], path: Path) -> bool | None:
    """Return whether the process of a lock is at work; None if nothing tells."""
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
        When it took the lock, which may be after a job script has asked.
    """
    if running := os.environ.get(RUNNING):
        asked, *jobs = running.split()
        return True if job in jobs else None if started >= asked else False
    done = ask_slurm(["squeue", "--noheader", "--jobs", job, "--format", "%A %T"])
    if done is None or (done.returncode and UNKNOWN_JOB not in done.stderr):
        return None
    rows = [line.split() for line in done.stdout.splitlines()]
    return any(row[0] == job and row[-1] in AT_WORK for row in rows)
