"""``hpc-connector logs``: what the job of a run has said, in all its attempts."""

import argparse
import collections
import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from hpc_connector import cli
from hpc_connector.cluster.record import NAME as JOB
from hpc_connector.cluster.state import RunState, get_states, is_file, is_run
from hpc_connector.errors import BadInput
from hpc_connector.report.text import clean

POLL_S = 1.0  # of the file
ASK_EVERY = 10  # times that it is looked at, Slurm is asked once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("directory", type=Path, metavar="DIR", help="folder of a run")
    add("--follow", action="store_true", help="as it grows, until the job is over")
    add(
        "--lines",
        type=cli.at_least(0),
        metavar="N",
        help="last ones alone (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the log of a run; with ``--follow`` until its job is over, or Ctrl-C."""
    folder = args.directory
    if not is_run(folder):
        raise BadInput(f"{folder} holds no run: expected {JOB} in it")
    with contextlib.suppress(KeyboardInterrupt):
        place = -1  # in the file; before the first look, below 0
        while True:
            (state,) = get_states([folder])
            path = get_log(state)
            for _ in range(ASK_EVERY):
                place = print_more(path, place, args.lines)
                if state.is_over or not args.follow:
                    return end(state, place)
                time.sleep(POLL_S)
    return cli.DONE


def get_log(state: RunState) -> Path:
    """Return the file of the output of a run's job.

    Raises
    ------
    BadInput
        The folder does not say it.
    """
    if state.log:
        return Path(state.log)
    why = "".join(f"; {note}" for note in state.notes)
    raise BadInput(
        f"{state.run}: where its output goes is not known: expected {JOB} with its "
        f"log, which hpc-connector submit writes{why}"
    )


def print_more(path: Path, place: int, n_lines: int | None) -> int:
    """Print what a file has behind a place; return where it ends now.

    Parameters
    ----------
    n_lines
        At the first look, the last lines that are printed.
    """
    if not is_file(path):
        return place
    with open(path, "rb") as stream:
        if place < 0 and n_lines is not None:
            lines = collections.deque(stream, n_lines)
            sys.stdout.buffer.writelines(lines)
        else:
            stream.seek(max(place, 0))
            shutil.copyfileobj(stream, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return stream.tell()


def end(state: RunState, place: int) -> int:
    """Return the exit code.

    Raises
    ------
    BadInput
        There was no log to print.
    """
    if place < 0:
        waits = f" ({state.reason})" if state.reason else ""
        what = "is no file" if has_path(state.log) else "is not there"
        raise BadInput(
            f"{clean(state.log)} {what}: job {state.job} is {state.state}{waits}"
        )
    return cli.DONE


def has_path(name: str) -> bool:
    """Return whether there is something of a name, which can be one."""
    return "\0" not in name and os.path.lexists(name)
