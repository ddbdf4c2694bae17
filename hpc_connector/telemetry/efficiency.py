"""How much of what a job held it has used: cores over time, and memory."""

from hpc_connector.cluster.accounting import complete, list_attempts
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.text import say_count
from hpc_connector.run_record import Attempt, NodeUse, RunRecord, Share, Summary
from hpc_connector.telemetry.summary import FROM_RANKS

THREADS = "More than 100%: ranks ran more threads than they were to have"
DEFAULT = (
    "Where a site gives memory with each core and nobody asked for more, a low figure "
    "is no fault of the job."
)
OVER = {
    True: "the peaks of ranks are added, which need not have come at once and count "
    "shared memory for each.",
    False: "the peak is with the page cache, or the site does not hold jobs to it.",
}
UNKNOWN = (
    "What memory the job held is not known: the manifest has it of jobs of "
    "hpc-connector submit, where Slurm accounts for memory."
)


def get_efficiency(
    summary: Summary, record: RunRecord, threads: int
) -> dict[str, Share]:
    """Return the shares that were used, each with a sentence that says of what.

    Parameters
    ----------
    summary
        As ``collect`` makes it.
    record
        The manifest; Slurm's account in it says what the job held.
    threads
        Of each rank.

    Returns
    -------
    "cores" and "memory", each with "used", "held", "share" and "said"; seconds, and
    bytes on a node. What was held is None where it is not known, and so is the share.
    "time" is there where the job had a limit: what its last attempt took of that.
    """
    jobs = [complete(attempt) for attempt in list_attempts(record)]
    return {
        "cores": get_cpu(summary, jobs, threads),
        "memory": get_memory(summary["nodes"], jobs),
    } | get_time(jobs)


def get_time(jobs: list[Attempt]) -> dict[str, Share]:
    """Return the time of the last attempt of its limit; nothing without a limit."""
    if not jobs or not jobs[-1]["limit_s"]:
        return {}
    used, held = jobs[-1]["elapsed_s"], jobs[-1]["limit_s"]
    share = round(used / held, 4)
    name = "The job" if len(jobs) == 1 else "The last attempt"
    said = f"{name} took {format_duration(used)} of the {format_duration(held)} asked."
    over = " More than 100%: Slurm ends a job some time after its limit."
    said += over if share > 1 else ""
    return {"time": {"used": used, "held": held, "share": share, "said": said}}


def get_cpu(summary: Summary, jobs: list[Attempt], threads: int) -> Share:
    """Return the CPU time of all ranks, of the time of the cores that there were.

    The cores are those that Slurm gave, else those that the ranks were to have.
    """
    used_s = round(sum(rank["cpu_s"] for rank in summary["ranks"]), 3)
    if jobs and all(job["cores"] for job in jobs):
        held_s = float(sum(job["cores"] * job["elapsed_s"] for job in jobs))
        whose = "the job held from its start to its end"
        over = f"{THREADS}, or Slurm's account lacks some of its attempts."
    else:
        held_s = sum(node["core_s"] for node in summary["nodes"])
        each = f" of {threads} threads" if threads > 1 else ""
        whose = f"{say_count(len(summary['ranks']), 'rank')}{each} could have used"
        over = f"{THREADS}."
    share = round(used_s / held_s, 4) if held_s else None
    said = (
        f"Ranks used {format_duration(used_s)} of CPU time of the "
        f"{format_duration(held_s)} of cores that {whose}."
    )
    if share is not None and share > 1:
        said += f" {over}"
    return {"used": used_s, "held": held_s, "share": share, "said": said}


def get_memory(nodes: list[NodeUse], jobs: list[Attempt]) -> Share:
    """Return the peak of the fullest node, of the memory that the job held on it."""
    fullest = max(nodes, key=lambda node: node["peak_bytes"])
    used = fullest["peak_bytes"]
    held = jobs[-1]["node_mem_bytes"] if jobs else None
    if not held:
        return {"used": used, "held": None, "share": None, "said": UNKNOWN}
    share = round(used / held, 4)
    said = (
        f"The peak of {fullest['node']} was {format_bytes(used)}, of the "
        f"{format_bytes(held)} that the job held on a node. "
    )
    over = f"More than 100%: {OVER[fullest['source'] in ('proc', FROM_RANKS)]}"
    said += over if share > 1 else DEFAULT
    return {"used": used, "held": held, "share": share, "said": said}
