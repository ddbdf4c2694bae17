"""More memory or time for a run whose last attempt ran short."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpc_connector.allocation.ask import ask_each
from hpc_connector.allocation.cost import Allocation
from hpc_connector.allocation.limits import (
    OUT_OF_MEMORY,
    TIME_OUT,
    Policy,
    grow,
    read_policy,
)
from hpc_connector.cli import find_out
from hpc_connector.cluster.accounting import (
    ask_figures,
    choose_attempts,
    join_attempts,
    read_figures,
)
from hpc_connector.cluster.groups import cover
from hpc_connector.cluster.limits import Place, find_limits
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.run_record import Attempt

EARLY_S = 60  # by which Slurm may be early with its warning
STOPPED = ("RUNNING", "REQUEUED")  # what a job is while its script asks, and after that


def grow_most(
    runs: Sequence[tuple[str, ...]],
    chosen: Allocation,
    asked: Allocation,
    place: Place,
    policy: Path | None,
    warn_s: float,
) -> Allocation:
    """Return an allocation with as much as the last jobs of all runs were short of.

    Parameters
    ----------
    runs
        The arguments of each.
    chosen, asked
        What they would get, and what of it was asked for, which stays.
    policy
        TOML; how much more.
    warn_s
        How long before its end a job is warned.
    """
    allowed = read_policy(policy)

    def grow_one(arguments: tuple[str, ...]) -> Allocation:
        out = find_out(list(arguments))
        if out is None or not out.exists():
            return chosen
        return raise_to(chosen, asked, out, allowed, place, warn_s)

    grown = list(ask_each(grow_one, runs))
    for run, found in zip(runs, grown, strict=True):
        if isinstance(found, BadInput):
            raise BadInput(f"{find_out(list(run))}: {found}")
    return cover(chosen, [found for found in grown if isinstance(found, Allocation)])


def raise_to(
    chosen: Allocation,
    asked: Allocation,
    out: Path | None,
    policy: Policy,
    place: Place,
    warn_s: float,
) -> Allocation:
    """Return an allocation with more of what the last job of an unfinished run lacked.

    Parameters
    ----------
    chosen
        What would be asked for.
    asked
        What the user gives stays as it is.

    Raises
    ------
    BadInput
        No more may be asked for.
    """
    given = {OUT_OF_MEMORY: asked.mem_bytes, TIME_OUT: asked.time_s}
    attempts = list_attempts(out)
    if not attempts or given.get(find_shortage(attempts[-1], warn_s), True):
        return chosen
    more = grow_after(attempts, cap(policy, place, chosen), warn_s)
    return replace(
        chosen,
        mem_bytes=asked.mem_bytes or max(chosen.mem_bytes, more.mem_bytes),
        time_s=asked.time_s or max(chosen.time_s, more.time_s),
        reasons=(*chosen.reasons, *more.reasons),
    )


def list_attempts(out: Path | None, figures: str = "") -> list[Attempt]:
    """Return Slurm's records of the jobs of an unfinished run, the last one at the end.

    Parameters
    ----------
    figures
        Of its last job. Without them Slurm is asked, for a job that is killed leaves
        none.
    """
    has_run = out is not None and (out / NAME).exists()
    record = read_manifest(out) if out and has_run else {}
    if record.get("status") == "done":
        return []
    job = str(record.get("job", ""))
    own = [os.environ.get("SLURM_JOB_ID", ""), job] if figures else [job]
    found = choose_attempts(read_figures(figures or ask_figures(job)), own)
    return join_attempts(record.get("slurm", []), found)


def cap(policy: Policy, place: Place, job: Allocation) -> Policy:
    """Return a policy that gives a job no more than it may have there."""
    limits = find_limits(place, replace(job, mem_bytes=0))
    in_all = limits.most_mem_bytes // max(job.nodes, 1)
    most_bytes = limits.largest_bytes or limits.mem_bytes
    mem_bytes = (policy.most_mem, most_bytes, in_all)
    most_s = min(filter(None, (policy.most_time, limits.most_s)), default=0)
    return replace(
        policy,
        most_mem=float(min(filter(None, mem_bytes))),
        most_time=float(60 * (most_s // 60)),  # Slurm's times are whole minutes
    )


def get_given(attempt: Attempt) -> Allocation:
    """Return the allocation of an attempt; memory is 0 where a record does not say it.

    Where it was given the time of its partition, that is at least what it took.
    """
    nodes = max(attempt["n_nodes"], 1)
    return Allocation(
        nodes,
        attempt.get("cores", 0) // nodes,
        mem_bytes=attempt.get("node_mem_bytes", 0),
        time_s=attempt.get("limit_s") or attempt["elapsed_s"],
    )


def grow_after(attempts: list[Attempt], policy: Policy, warn_s: float) -> Allocation:
    """Return memory and time of the last attempt, more of what it was short of.

    Without more time a run goes on where it was stopped.

    Raises
    ------
    BadInput
        No more memory may be asked for, or it was tried often enough; or it is not
        known how much it had, such as all of a node.
    """
    last, given = attempts[-1], get_given(attempts[-1])
    short = find_shortage(last, warn_s)
    alike = itertools.takewhile(
        lambda attempt: find_shortage(attempt, warn_s) == short, reversed(attempts)
    )
    attempt, peak_bytes = sum(1 for _ in alike), get_used(last)
    if short == OUT_OF_MEMORY and not given.mem_bytes:
        raise BadInput(
            f"job {last['job']} ran out of memory, and Slurm does not say how much it "
            "had: expected --mem"
        )
    try:
        more = grow(policy, given, short, attempt=attempt, peak_bytes=peak_bytes)
    except BadInput as error:
        if short != TIME_OUT:
            raise
        again = f"{error}; the same time again, for finished tasks are kept"
        return replace(given, reasons=(again,))
    said = {
        OUT_OF_MEMORY: f"memory, {given.mem_bytes:,} bytes a node: {more.mem_bytes:,}",
        TIME_OUT: f"time, {given.time_s:,} s: {more.time_s:,}",
    }
    reasons = (f"job {last['job']} ran out of {said[short]}",) if short in said else ()
    return replace(more, reasons=reasons)


def find_shortage(attempt: Attempt, warn_s: float) -> str:
    """Return ``OUT_OF_MEMORY`` or ``TIMEOUT`` if an attempt ended so, else its state.

    Where Slurm's accounting kills what is over its memory, instead of a cgroup, the
    step is cancelled. A program that was told to stop near the end of its time leaves a
    job that seems to run, or was queued again.
    """
    state, step = attempt["state"], attempt.get("step_state", "")
    given = attempt.get("node_mem_bytes", 0)
    is_killed = step.startswith("CANCELLED") and 0 < given < get_used(attempt)
    if OUT_OF_MEMORY in (state, step) or is_killed:
        return OUT_OF_MEMORY
    left_s = attempt.get("limit_s", 0) - attempt["elapsed_s"]
    is_stopped = state in STOPPED and left_s <= warn_s + EARLY_S
    if attempt.get("limit_s") and (state == TIME_OUT or is_stopped):
        return TIME_OUT
    return state


def get_used(attempt: Attempt) -> int:
    """Return the bytes on a node as Slurm counts: what ranks share, for each."""
    ranks = -(-attempt.get("n_tasks", 0) // max(attempt["n_nodes"], 1))
    return ranks * attempt["max_rss_bytes"]
