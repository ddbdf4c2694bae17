"""``hpc-connector account``: what Slurm says of a job goes into the manifest."""

import argparse
import logging
import os
import sys
from typing import Any, cast

from hpc_connector import cli
from hpc_connector.cli import find_out
from hpc_connector.cluster.accounting import (
    ask_figures,
    choose_attempts,
    close_attempt,
    has_ended,
    join_attempts,
    list_attempts,
    rate,
    read_figures,
)
from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import check_free
from hpc_connector.manifest import (
    NAME,
    list_jobs,
    read_manifest,
    save_manifest,
)
from hpc_connector.run_record import Attempt

logger = logging.getLogger(__name__)

Attempts = list[Attempt]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    said = "exit code of the program that has just ended (default: not known)"
    add("--code", type=int, metavar="N", help=said)
    add(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="those of the program; what sacct says is read from standard input, "
        "without it sacct is asked",
    )


def run(args: argparse.Namespace) -> int:
    """Add the figures to the manifest; without figures, or a run, do nothing.

    Raises
    ------
    BadInput
        A run works there, which writes the manifest.
    """
    out = find_out(args.arguments)
    if out is None or not (out / NAME).exists():
        logger.info("no figures of Slurm to keep: there is no run")
        return cli.DONE
    record = read_manifest(out)
    before = list_attempts(record)
    jobs = list_jobs(record)
    if args.code is None:
        check_free(out)
    elif args.code == cli.BAD_INPUT and os.environ.get("SLURM_JOB_ID") not in jobs:
        logger.info("no figures of Slurm to keep: this job was refused there")
        return cli.DONE
    given = choose_attempts(read_figures(read_input()), list_own(jobs))
    if given and args.code is not None:
        given[-1] = close_attempt(given[-1], args.code)
    kept = join_attempts(repair(before, jobs, given), given)
    if kept == before:
        logger.info("no figures of Slurm to keep")
        return cli.DONE
    save_manifest(out, record | {"slurm": [add_shares(attempt) for attempt in kept]})
    return cli.DONE


def read_input() -> str:
    """Return sacct's output on standard input, empty where a person sits there."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise BadInput("standard input is no text: expected what sacct says") from None


def list_own(jobs: list[str]) -> list[str]:
    """Return the jobs that standard input may tell of, the likeliest first."""
    return [os.environ.get("SLURM_JOB_ID", ""), *reversed(jobs)]


def repair(before: Attempts, jobs: list[str], given: Attempts) -> Attempts:
    """Return the attempts of a run with what Slurm says by now of those not given.

    A node that fails, or a job that is killed, leaves no account. Where some are given,
    only jobs are asked for whose end is not known.
    """
    told = {attempt["job"] for attempt in given}
    ended = {attempt.get("job") for attempt in before if has_ended(attempt)}
    asked = [job for job in jobs if job not in told and not (told and job in ended)]
    found = read_figures(ask_figures(*asked))
    for job in asked:
        now = [one for one in found if one["job"] == job and one["state"] != "PENDING"]
        before = join_attempts(before, now)
    places = {job: place for place, job in enumerate(jobs)}
    return sorted(before, key=lambda attempt: places.get(str(attempt.get("job")), -1))


def add_shares(attempt: Attempt) -> Attempt:
    """Return an attempt with the shares that it used of what it held, if it says so."""
    shares: Any = rate(attempt) if "max_rss_tasks" in attempt else {}
    return cast("Attempt", attempt | shares)
