"""``hpc-connector telemetry grow``: what a job that ran short is to ask for next."""

import argparse
import logging
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.allocation.growth import (
    cap,
    find_shortage,
    get_given,
    grow_after,
    list_attempts,
)
from hpc_connector.allocation.limits import (
    TIME_OUT,
    read_policy,
)
from hpc_connector.cli import find_out
from hpc_connector.cluster.limits import ask_place
from hpc_connector.cluster.site import Site, get_site

logger = logging.getLogger(__name__)


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
