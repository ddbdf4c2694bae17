"""What Slurm says of a job that asks for a key."""

import re
from typing import NamedTuple

from hpc_connector.confidential.refused import Refused
from hpc_connector.slurm import UNKNOWN_JOB, ask_slurm

USER = re.compile(r".*\((\d+)\)")
LIST_MARKS = "[,"  # of several nodes
NEEDED = ("JobState", "NodeList", "Restarts", "UserId")


class JobNow(NamedTuple):
    """A job, as the controller knows it.

    Parameters
    ----------
    array
        The number of the array that it is an element of, else its own.
    nodes
        As Slurm writes it, ``node[1-4]``.
    """

    job_id: str
    array: str
    uid: int
    state: str
    restarts: int
    nodes: str


def ask_job(job_id: str, cluster: str = "") -> JobNow:
    """Return what the controller says of a job.

    Parameters
    ----------
    cluster
        Whose controller is asked; empty for that of this machine.

    Raises
    ------
    Refused
        There is none, or its record says something twice: its name or comment does.
    OSError
        The controller does not answer.
    """
    if not job_id.isdecimal():
        raise Refused("job", f"{job_id[:40]!r}: expected a number")
    said = ask("show", "job", "--oneliner", job_id, cluster=cluster, word="job")
    lines = [line for line in said.splitlines() if line.startswith(f"JobId={job_id} ")]
    if len(lines) != 1:
        raise Refused("job", f"{job_id} is not known to Slurm")
    return parse_job(lines[0])


def parse_job(line: str) -> JobNow:
    """Return a job from its record in one line.

    A name and a comment are what a user likes: what stands there twice is not believed.

    Raises
    ------
    Refused
        It is not that of a job.
    """
    pairs = [word.partition("=")[::2] for word in line.split()]
    names = [name for name, _ in pairs]
    if any(names.count(name) != 1 for name in NEEDED):
        raise Refused("job", "its record has no, or a second, " + " or ".join(NEEDED))
    told = dict(reversed(pairs))  # JobId and ArrayJobId come before the name
    user = USER.fullmatch(told["UserId"])
    if not user or not told["Restarts"].isdecimal():
        raise Refused("job", "its record is not that of a job")
    job_id = told["JobId"]
    name, array = pairs[1]  # of an element; of another job something else
    return JobNow(
        job_id,
        array if name == "ArrayJobId" else job_id,
        int(user[1]),
        told["JobState"],
        int(told["Restarts"]),
        told["NodeList"],
    )


def list_nodes(job: JobNow, cluster: str = "") -> list[str]:
    """Return the names of the nodes that a job runs on; see :func:`ask`."""
    if not any(mark in job.nodes for mark in LIST_MARKS):
        return [job.nodes]
    return ask("show", "hostnames", job.nodes, cluster=cluster, word="node").split()


def ask(*question: str, cluster: str, word: str) -> str:
    """Return what ``scontrol`` says.

    Raises
    ------
    Refused
        By that word: it knows no such thing.
    OSError
        It is not here, or does not answer.
    """
    where = [f"--clusters={cluster}"] if cluster else []
    done = ask_slurm(["scontrol", *where, *question])
    if done is None:
        raise OSError("scontrol does not answer: expected a machine of the cluster")
    if done.returncode:
        if UNKNOWN_JOB.lower() in done.stderr.lower():
            raise Refused(word, "not known to Slurm")
        raise OSError(f"scontrol: {' '.join(done.stderr.split())}")
    return done.stdout
