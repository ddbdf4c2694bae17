"""Figures of a run that should agree and do not, each pair with the reason."""

from typing import Any

from hpc_connector.cluster.accounting import complete, list_attempts
from hpc_connector.report.facts import format_bytes, format_duration
from hpc_connector.report.text import say_count
from hpc_connector.run_record import Attempt, NodeUse, RankUse, RunRecord, Summary
from hpc_connector.telemetry.summary import FROM_RANKS

NEAR = 0.02  # two figures this near to each other agree
FROM_MARKS = ("proc", FROM_RANKS)  # sources that add the marks of ranks

SHARED = "Slurm counts what ranks share once for each of them."
UNSEEN = "The agent has ended before rows are joined and the job ends; Slurm has not."
SAMPLED = "Slurm looks every few seconds, and misses a peak between."
OF_RANKS = "The agent adds the kernel's marks of its ranks."
OF_GROUP = "The agent has the kernel's mark of the whole job, with the page cache."
WHOLE = (
    "Slurm's is of the whole job: the script, the launcher, and what ranks did before "
    "and after the agent watched them."
)
LACKING = (
    "Slurm has none of a step that was killed or has not ended, or lacks some of the "
    "attempts."
)
AROUND = (
    "Before the program the job prepares its nodes and starts the ranks; behind it, it "
    "keeps compiled kernels and waits for Slurm's account."
)
ANOTHER = "They are not of one attempt: Slurm's account of the last one is missing."


def explain_differences(summary: Summary, record: RunRecord) -> list[str]:
    """Return a sentence for each pair of figures that differ.

    Parameters
    ----------
    summary
        As ``collect`` makes it.
    record
        The manifest, with Slurm's account.
    """
    jobs = [complete(attempt) for attempt in list_attempts(record)]
    if not jobs:
        return []
    said = [
        explain_memory(summary["nodes"], jobs),
        explain_cpu(summary["ranks"], jobs),
        explain_time(record.get("resources"), jobs[-1]),
    ]
    return [words for words in said if words]


def differ(first: float, second: float) -> bool:
    """Return whether two figures are both known, and not near."""
    near = NEAR * max(first, second)
    return min(first, second) > 0 and abs(first - second) > near


def explain_memory(nodes: list[NodeUse], jobs: list[Attempt]) -> str:
    """Say why Slurm's memory of a node is not the agent's."""
    fullest = max(nodes, key=lambda node: node["peak_bytes"])
    job = max(jobs, key=lambda job: job["max_rss_bytes"])
    ranks = max(1, -(-job["max_rss_tasks"] // max(job["n_nodes"], 1)))
    by_slurm, by_agent = ranks * job["max_rss_bytes"], fullest["peak_bytes"]
    if not differ(by_slurm, by_agent):
        return ""
    why = SAMPLED if by_slurm < by_agent else SHARED if ranks > 1 else UNSEEN
    each = f" ({say_count(ranks, 'rank')} of {format_bytes(job['max_rss_bytes'])})"
    return (
        f"Memory of a node: {format_bytes(by_slurm)}{each if ranks > 1 else ''} by "
        f"Slurm's MaxRSS, {format_bytes(by_agent)} by the agent. "
        f"{why} "
        f"{OF_RANKS if fullest['source'] in FROM_MARKS else OF_GROUP}"
    )


def explain_cpu(ranks: list[RankUse], jobs: list[Attempt]) -> str:
    """Say why Slurm's CPU time is not that of the ranks."""
    by_slurm = sum(job["cpu_s"] for job in jobs)
    by_agent = sum(rank["cpu_s"] for rank in ranks)
    if not differ(by_slurm, by_agent):
        return ""
    return (
        f"CPU time: {format_duration(by_slurm)} by Slurm, {format_duration(by_agent)} "
        f"of the ranks by the agent. {WHOLE if by_slurm > by_agent else LACKING}"
    )


def explain_time(used: Any, job: Attempt) -> str:
    """Say why the time of the program is not that of its job."""
    wall_s = used.get("wall_s") if isinstance(used, dict) else None
    elapsed_s = job["elapsed_s"]
    if not isinstance(wall_s, int | float) or not differ(wall_s, elapsed_s):
        return ""
    return (
        f"Time: {format_duration(wall_s)} of the program by its manifest, "
        f"{format_duration(elapsed_s)} of the job by Slurm. "
        f"{AROUND if wall_s < elapsed_s else ANOTHER}"
    )
