"""What squeue says of jobs: their states, and what those that wait are waiting for."""

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from hpc_connector.slurm import UNKNOWN_JOB, ask_slurm
from hpc_connector.units import parse_time

T = TypeVar("T")

COLUMNS = "%i|%A|%T|%L|%S|%N|%r"  # the reason is last, for it may hold anything
JOB = re.compile(r"\d+(_\d+)?")

OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED"}
OVER |= {"NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REVOKED"}
OVER |= {"TIMEOUT"}

NEVER = "it will never start so: hpc-connector cancel it, and submit it with less"
MEANINGS = (  # of the reasons of Slurm; the first that fits
    (r"Resources", "it is next: it waits until enough of the cluster is free"),
    (r"Priority", "others are before it"),
    (r"DependencyNeverSatisfied", "what it waits for has failed: it will never start"),
    (r"Dependency", "it waits for another job"),
    (r"BeginTime", "it was queued again a moment ago, or is to begin later"),
    (r"JobHeldUser", "it is held: scontrol release lets it go"),
    (r"JobHeldAdmin|.*requeued held", "it is held, and only the site can release it"),
    (r"PartitionTimeLimit", f"--time is more than the partition gives: {NEVER}"),
    (r"PartitionNodeLimit", f"--nodes is more than the partition gives: {NEVER}"),
    (r"Partition(Down|Inactive)", "the partition is closed for now"),
    (r"QOSMaxWallDurationPerJob", f"--time is more than the QOS gives: {NEVER}"),
    (r"QOSMax\w*PerJob", f"it asks for more than the QOS gives a job: {NEVER}"),
    (
        r"QOSMax\w*(PerUser|PerAccount)",
        "jobs of yours have all that the QOS gives",
    ),
    (r"QOSMin", "it asks for less than the QOS wants of a job"),
    (r"QOSGrp", "the jobs of this QOS have all that it gives them together"),
    (r"QOS|InvalidQOS", "the QOS does not take it as it is"),
    (r"(Assoc|Account)Grp\w*Minutes", "the hours of the account are used up"),
    (r"AssocMaxWall", f"--time is more than the account gives: {NEVER}"),
    (r"Assoc|Account|InvalidAccount", "the account has all that it is given"),
    (r"JobArrayTaskLimit", "as many elements of its array run as may at once"),
    (r"ReqNodeNotAvail", "nodes that it needs are down, drained or reserved"),
    (r"Reservation", "its reservation has not begun"),
    (r"Licenses", "it waits for a licence"),
    (r"BadConstraints", f"no node has what it asks for: {NEVER}"),
    (r"Cleaning", "Slurm still clears up behind its last attempt"),
    (r"NodeDown", "a node that it needs is down"),
)


class Queued(NamedTuple):
    """A job as squeue shows it.

    Parameters
    ----------
    job
        Its number; of an element of an array 1234_3.
    raw
        The number that is its own, also of an element.
    left_s
        Of its limit of time; None where there is none.
    starts
        When it has started, or will as Slurm expects; empty where that is not known.
    """

    job: str
    raw: str
    state: str
    left_s: float | None
    starts: str
    nodes: str
    reason: str


def ask_queue(jobs: Iterable[str]) -> dict[str, Queued] | None:
    """Return squeue's rows of some jobs, None where it is missing or silent.

    Slurm forgets what has ended some minutes ago. A job is found by its own number and
    by that of its array, see :func:`find_job`.
    """
    known = sorted({job for job in jobs if JOB.fullmatch(job)})
    if not known:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", "--jobs"]
    command += [",".join(known), "--format", COLUMNS]
    done = ask_slurm(command)
    if done is None or (done.returncode and UNKNOWN_JOB not in done.stderr):
        return None
    return read_queue(done.stdout)


def read_queue(text: str) -> dict[str, Queued]:
    """Return the jobs in what squeue has printed."""
    found: dict[str, Queued] = {}
    own: dict[str, Queued] = {}
    for line in text.splitlines():
        words = [word.strip() for word in line.split("|", 6)]
        if len(words) < 7:
            continue
        job, raw, state, left, starts, nodes, reason = words
        left_s = parse_time(left) if left[:1].isdigit() else None
        starts = "" if starts in ("N/A", "Unknown", "NONE") else starts
        reason = "" if reason in ("None", "(null)") else reason
        queued = Queued(job, raw, state, left_s, starts, nodes, reason)
        found[name_array(job)] = queued
        own.setdefault(raw, queued)
    return own | found


def name_array(job: str) -> str:
    """Return the number of a job; 6_[] of the elements 6_[0-3] that never began."""
    return f"{job.partition('[')[0]}[]" if "[" in job else job


def find_job(found: dict[str, T], job: str) -> T | None:
    """Return a job of those that were found, also one that shares a line with others.

    Elements of an array that has not begun, or never did, may be told as one.
    """
    return found.get(job) or found.get(f"{job.partition('_')[0]}_[]")


def explain_reason(reason: str) -> str:
    """Return in plain words what a job is waiting for; empty for a reason not known.

    Examples
    --------
    >>> explain_reason("Priority")
    'others are before it'
    """
    said = (said for words, said in MEANINGS if re.match(words, reason))
    return next(said, "")
