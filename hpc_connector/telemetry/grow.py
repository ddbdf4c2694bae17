"""``hpc-connector telemetry grow``: what a job that ran short is to ask for next."""

import argparse
import itertools
import logging
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.allocation import Allocation
from hpc_connector.cluster.accounting import (
    ask_figures,
    choose_attempts,
    join_attempts,
    read_figures,
)
from hpc_connector.cluster.limits import Place, ask_place, find_limits
from hpc_connector.cluster.site import Site, get_site
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, find_out, read_manifest
from hpc_connector.telemetry.policy import (
    OUT_OF_MEMORY,
    TIME_OUT,
    Policy,
    grow,
    read_policy,
)

logger = logging.getLogger(__name__)

EARLY_S = 60  # by which Slurm may be early with its warning
STOPPED = ("RUNNING", "REQUEUED")  # what a job is while its script asks, and after that


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    said = "TOML: caps, and how much it grows"
    add("--policy", type=Path, metavar="FILE", help=said)
    said = "exit code that it ended with (default: %(default)s)"
    add("--code", type=int, default=cli.STOPPED, metavar="N", help=said)
    said = "before the end, that it was warned (default: %(default)s)"
    add("--warn", type=cli.at_least(0), default=120, metavar="SECONDS", help=said)
    add(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="those of the program, whose job has ended",
    )


def run(args: argparse.Namespace) -> int:
    """Print what the next attempt gets more of, as ``scontrol update`` takes it.

    What sacct says is read from standard input: a container has no Slurm in it.
    """
    attempts = list_attempts(find_out(args.arguments), sys.stdin.read())
    if not attempts:
        return cli.DONE
    last = attempts[-1]
    last["node_mem_bytes"] = last.get("node_mem_bytes") or get_own_memory()
    if find_shortage(last, args.warn) == TIME_OUT and args.code != cli.STOPPED:
        return cli.DONE  # it failed near the end of its time
    given = get_given(last)
    policy = cap(read_policy(args.policy), ask_place(get_own_site()), given)
    more = grow_after(attempts, policy, args.warn)
    if more.mem_bytes > given.mem_bytes:
        print(format_memory(more.mem_bytes))
    elif more.time_s > given.time_s:
        print(f"TimeLimit={math.ceil(more.time_s / 60)}")
    for reason in more.reasons:
        logger.info("%s", reason)
    return cli.DONE


def get_own_memory() -> int:
    """Return the bytes of a node that this job asked for, 0 if it does not say."""
    node_mib, cpu_mib = (
        int(os.environ.get(f"SLURM_MEM_PER_{of}", 0)) for of in ("NODE", "CPU")
    )
    return (node_mib or cpu_mib * get_own_cpus()) << 20


def get_own_cpus() -> int:
    """Return the processors of this job on a node."""
    return int(os.environ.get("SLURM_CPUS_ON_NODE", 1))


def format_memory(n_bytes: int) -> str:
    """Return the memory of a node as scontrol takes it, by the CPU if it is so now."""
    mib = -(-n_bytes >> 20)
    if "SLURM_MEM_PER_CPU" in os.environ:
        return f"MinMemoryCPU={-(-mib // get_own_cpus())}"
    return f"MinMemoryNode={mib}"


def get_own_site() -> Site:
    """Return the site of this job: where it runs, and what its script says."""
    own = {
        "account": "SLURM_JOB_ACCOUNT",
        "qos": "SLURM_JOB_QOS",
        "slurm_partition": "SLURM_JOB_PARTITION",
    }
    found: dict[str, Any] = {k: v for k, n in own.items() if (v := os.environ.get(n))}
    return replace(get_site(), **found)


def raise_to(
    chosen: Allocation,
    asked: Allocation,
    out: Path | None,
    policy: Policy,
    place: Place,
    warn_s: float,
) -> Allocation:
    """Return what to ask for, more of what the last job of an unfinished run lacked.

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


def list_attempts(out: Path | None, figures: str = "") -> list[dict[str, Any]]:
    """Return what Slurm says of the jobs of an unfinished run, the last one at the end.

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


def get_given(attempt: dict[str, Any]) -> Allocation:
    """Return what an attempt was given; memory is 0 where a record does not say it.

    Where it was given the time of its partition, that is at least what it took.
    """
    nodes = max(attempt["n_nodes"], 1)
    return Allocation(
        nodes,
        attempt.get("cores", 0) // nodes,
        mem_bytes=attempt.get("node_mem_bytes", 0),
        time_s=attempt.get("limit_s") or attempt["elapsed_s"],
    )


def grow_after(
    attempts: list[dict[str, Any]], policy: Policy, warn_s: float
) -> Allocation:
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


def find_shortage(attempt: dict[str, Any], warn_s: float) -> str:
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


def get_used(attempt: dict[str, Any]) -> int:
    """Return the bytes on a node as Slurm counts: what ranks share, for each."""
    ranks = -(-attempt.get("n_tasks", 0) // max(attempt["n_nodes"], 1))
    return ranks * attempt["max_rss_bytes"]
