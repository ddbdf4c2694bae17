"""What a run does now: its job by Slurm, how far it is, what it said last."""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hpc_connector.cluster.accounting import (
    ask_states,
    get_state,
    has_ended,
    list_attempts,
)
from hpc_connector.cluster.queue import (
    OVER,
    Queued,
    ask_queue,
    explain_reason,
    find_job,
)
from hpc_connector.cluster.record import NAME as JOB
from hpc_connector.cluster.record import read_job
from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import NAME as LOCK
from hpc_connector.locks.holder import is_at_work, parse_holder
from hpc_connector.locks.process_lock import read_text
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.pipeline.progress import read_progress
from hpc_connector.run_record import RunRecord

RECORDS = (JOB, NAME, LOCK)  # a folder with one of them is that of a run
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
ENDED = {*OVER, "stopped", "killed"}  # Slurm's states, and ours in small letters
BY_MANIFEST = {"done": "COMPLETED", "stopped": "stopped"}
TAIL_BYTES = 1 << 16  # of a log that are looked at
UNSEEN = re.compile("\x1b\\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class RunState:
    """What a run does now; None and empty where something is not known.

    Parameters
    ----------
    run
        Its folder.
    job
        Its number, of an element of an array 1234_3; empty for a run without Slurm.
    state
        As Slurm calls it; "stopped" for a run that was told to end, "killed" for one
        that is gone without a word, "unknown".
    told_by
        Who says so: "squeue", "sacct", "manifest.json" or "running.json".
    reason, means
        Of a job that waits: Slurm's word, and what it means.
    starts
        When it has started, or will as Slurm expects.
    tasks, tasks_done
        All that there are, and those in the ledger.
    left_s
        Seconds that the other tasks take at the rate of this attempt.
    limit_left_s
        Seconds that the job has left of its limit of time.
    log
        The file of the job's output, of all attempts.
    last_lines
        Of that file.
    """

    run: str
    program: str = ""
    job: str = ""
    state: str = "unknown"
    told_by: str = ""
    reason: str = ""
    means: str = ""
    nodes: str = ""
    starts: str = ""
    tasks: int | None = None
    tasks_done: int | None = None
    left_s: float | None = None
    limit_left_s: float | None = None
    attempts: int = 0
    notes: tuple[str, ...] = ()
    log: str = ""
    last_lines: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Return whether nothing changes any more by itself."""
        return self.state in ENDED


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, begun or submitted."""
    return any((folder / name).is_file() for name in RECORDS)


def find_runs(folder: Path) -> list[Path]:
    """Return the runs two levels deep in a folder; the folder itself if it is one."""
    if is_run(folder):
        return [folder]
    places = {path.parent for name in RECORDS for path in folder.glob(f"*/{name}")}
    places |= {path.parent for name in RECORDS for path in folder.glob(f"*/*/{name}")}
    return sorted(place for place in places if is_run(place))


def get_states(folders: Sequence[Path], n_lines: int = 0) -> list[RunState]:
    """Return the states of runs; Slurm is asked once for all of them.

    Parameters
    ----------
    n_lines
        Last lines of each log that are wanted.
    """
    runs = [read_run(folder) for folder in folders]
    jobs = [job for run in runs if (job := get_job(run))]
    queue = ask_queue(jobs)
    ended = ask_states(job for job in jobs if not find_job(queue or {}, job))
    found = [make_state(run, queue, ended) for run in runs]
    return [
        replace(one, last_lines=tuple(read_end(Path(one.log), n_lines)))
        if one.log and n_lines
        else one
        for one in found
    ]


@dataclass(frozen=True)
class RunFolder:
    """What the folder of a run holds: job.json, manifest.json and running.json."""

    folder: Path
    submitted: dict[str, Any]
    manifest: RunRecord
    lock: dict[str, Any]
    notes: tuple[str, ...]


def read_run(folder: Path) -> RunFolder:
    """Return the run in a folder; what cannot be read is noted and left out."""
    notes: list[str] = []
    found: dict[str, Any] = {}
    for name, read in ((JOB, read_job), (NAME, read_manifest), (LOCK, read_lock)):
        found[name] = {}
        if (folder / name).exists():
            try:
                found[name] = read(folder)
            except (BadInput, OSError) as error:
                notes.append(str(error))
    return RunFolder(folder, found[JOB], found[NAME], found[LOCK], tuple(notes))


def read_lock(folder: Path) -> dict[str, Any]:
    """Return who works in a folder now; nothing where that has just ended.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    text = read_text(folder / LOCK)
    return {} if text is None else parse_holder(folder / LOCK, text)


def get_job(run: RunFolder) -> str:
    """Return the job that a run belongs to by now: that of what came last."""
    has_begun = run.manifest and (not run.submitted or has_begun_since(run))
    return get_text(run.manifest if has_begun else run.submitted, "job")


def has_begun_since(run: RunFolder) -> bool:
    """Return whether the last attempt began after the job was submitted."""
    times = run.manifest.get("started"), run.submitted.get("submitted")
    try:
        started, submitted = (datetime.fromisoformat(str(time)) for time in times)
        return started >= submitted
    except (ValueError, TypeError):  # none, or one without a zone
        return False


def get_text(record: Mapping[str, Any], name: str) -> str:
    """Return a text of a record, empty if it is none."""
    found = record.get(name)
    return found if isinstance(found, str) else ""


def make_state(
    run: RunFolder, queue: dict[str, Queued] | None, ended: dict[str, tuple[str, str]]
) -> RunState:
    """Return the state of a run, by what Slurm knows of its job."""
    job, attempt = get_job(run), run.manifest.get("attempt", 0)
    state = RunState(
        str(run.folder),
        get_text(run.manifest, "program") or get_text(run.submitted, "program"),
        job,
        attempts=attempt if isinstance(attempt, int) else 0,
        notes=run.notes,
        log=get_text(run.submitted, "log"),
    )
    queued = find_job(queue or {}, job) if job else None
    if queued is not None and not has_left(run, queued):
        state = add_queued(state, queued)
    elif told := find_job(ended, job):
        number = choose_number(job, told[0])
        state = replace(state, job=number, state=told[1], told_by="sacct")
    else:
        state = add_recorded(state, run, queue)
    return add_progress(state, run)


def add_queued(state: RunState, queued: Queued) -> RunState:
    """Return the state of a run as squeue has it."""
    waits = queued.state in WAITING
    return replace(
        state,
        job=choose_number(state.job, queued.job),
        state=queued.state,
        told_by="squeue",
        reason=queued.reason if waits else "",
        means=explain_reason(queued.reason) if waits else "",
        nodes=queued.nodes,
        starts=queued.starts,
        limit_left_s=None if waits or queued.state in OVER else queued.left_s,
    )


def has_left(run: RunFolder, queued: Queued) -> bool:
    """Return whether a run is done, and its job goes on: one that people work in."""
    is_done = run.manifest.get("status") == "done"
    return is_done and not run.submitted and queued.state not in OVER


def choose_number(job: str, told: str) -> str:
    """Return the number that people know a job by: 1234_3 of an element."""
    return job if "[" in told else told


def add_recorded(
    state: RunState, run: RunFolder, queue: dict[str, Queued] | None
) -> RunState:
    """Return the state of a run that Slurm does not know, by its own files."""
    status = run.manifest.get("status")
    is_newer = bool(run.submitted) and not has_begun_since(run)
    if is_newer or not (run.manifest or run.lock):
        asked = "has forgotten it" if queue is not None else "does not answer here"
        said = f"job {state.job} has not begun, and Slurm {asked}"
        return replace(state, notes=(*state.notes, said)) if state.job else state
    if told := get_account(run, state.job):
        return replace(state, state=told, told_by=NAME)
    if found := BY_MANIFEST.get(str(status)):
        return replace(state, state=found, told_by=NAME)
    return add_lock(state, run.lock, run.folder / LOCK)


def get_account(run: RunFolder, job: str) -> str:
    """Return the end of a run's last job by its account, empty if that has none."""
    last: Mapping[str, Any] = [{}, *list_attempts(run.manifest)][-1]
    is_it = bool(job) and last.get("job") == job and has_ended(last)
    return get_state(last["state"]) if is_it else ""


def get_end(folder: Path) -> RunState:
    """Return the outcome of a run; Slurm is asked only if its files do not say it."""
    run = read_run(folder)
    job = get_job(run)
    is_done = run.manifest.get("status") == "done" and not (job and run.submitted)
    if get_account(run, job) or is_done:
        return make_state(run, {}, {})
    return get_states([folder])[0]


def say_goes_on(state: RunState) -> str:
    """Say of a run that is not over that its figures are not the last."""
    whose = f"job {state.job} is {state.state}" if state.job else f"it is {state.state}"
    return f"The run is not over ({whose}): these are the figures so far."


def add_lock(state: RunState, lock: dict[str, Any], path: Path) -> RunState:
    """Return the state of a run whose end nobody tells, by who works in its folder.

    Where no one does, it was killed or it raised.
    """
    if not lock:
        said = "it ended before it was done, and has not said why: --resume goes on"
        return replace(state, state="killed", told_by=NAME, notes=(*state.notes, said))
    host, pid = lock["host"], lock["pid"]
    if is_at_work(lock, path) is False:
        said = f"process {pid} on {host} is gone: --resume goes on"
        return replace(state, state="killed", told_by=LOCK, notes=(*state.notes, said))
    said = f"process {pid} on {host}"
    notes = (*state.notes, said)
    return replace(state, state="RUNNING", told_by=LOCK, nodes=str(host), notes=notes)


def add_progress(state: RunState, run: RunFolder) -> RunState:
    """Return a state with the tasks, and a word on whether they end in time."""
    found = read_progress(run.folder, run.manifest)
    if found is None:
        return state
    is_running = state.state == "RUNNING"
    left_s = found.left_s if is_running else None
    state = replace(state, tasks=found.tasks, tasks_done=found.done, left_s=left_s)
    if left_s is None or state.limit_left_s is None or left_s <= state.limit_left_s:
        return state
    said = "its tasks will not end within the limit of the job: it is queued again then"
    return replace(state, notes=(*state.notes, said))


def is_file(path: Path) -> bool:
    """Return whether a path is that of a file, and can be one."""
    with contextlib.suppress(ValueError, OSError):  # too long, with a NUL
        return path.is_file()
    return False


def read_end(path: Path, n: int) -> list[str]:
    """Return the last lines of a log, none where it cannot be read."""
    if not is_file(path):  # a pipe or a device may have no end
        return []
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.path.getsize(path) - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    lines = [UNSEEN.sub("", line).rstrip() for line in re.split("[\r\n]+", text)]
    return [line for line in lines if line][-n:] if n else []
