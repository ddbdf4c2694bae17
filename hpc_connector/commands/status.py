"""``hpc-connector status``: what runs do now, and when they will be done.

``--json`` prints a list of objects, one for each run: the fields of
:class:`hpc_connector.cluster.state.RunState`, and "is_over".
"""

import argparse
import contextlib
import json
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hpc_connector import cli
from hpc_connector.cluster.state import RunState, find_runs, get_states
from hpc_connector.errors import BadInput
from hpc_connector.report.facts import format_duration
from hpc_connector.report.text import clean, shorten

WIDTH = 100  # columns
HEAD = ("run", "job", "state", "tasks", "left", "of its limit", "attempt")
WIDTHS = (24, 11, 13, 16, 11, 12, 7)  # of the columns, the last is not filled up
KEYS = ", ".join(RunState.__dataclass_fields__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "directories",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="folders of runs, or that hold such two levels deep (default: this one)",
    )
    add(
        "--json",
        action="store_true",
        help=f"print a list of objects: {KEYS}, is_over; times in seconds",
    )
    add("--watch", action="store_true", help="again and again, until all are over")
    add(
        "--interval",
        type=cli.seconds,
        default=10.0,
        metavar="TIME",
        help="of --watch: 30, 30s, 2m (default: 10 s)",
    )
    add(
        "--lines",
        type=cli.at_least(0),
        default=2,
        metavar="N",
        help="last lines of each log (default: 2)",
    )


def run(args: argparse.Namespace) -> int:
    """Say what runs do now; with ``--watch`` until all are over, or Ctrl-C."""
    folders = list_folders(args.directories)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            states = get_states(folders, args.lines)
            show(states, as_json=args.json, again=args.watch)
            if not args.watch or all(state.is_over for state in states):
                break
            time.sleep(args.interval)
    return cli.DONE


def list_folders(directories: Sequence[Path]) -> list[Path]:
    """Return the runs in some folders, in the current one if none is named.

    Raises
    ------
    BadInput
        A folder that holds no run.
    """
    found = []
    for directory in directories or [Path()]:
        runs = find_runs(directory)
        if not runs:
            raise BadInput(
                f"{directory if directories else Path().resolve()} holds no run: "
                "expected job.json or manifest.json in it, or in folders below it"
            )
        found += runs
    return list(dict.fromkeys(found))


def show(states: Sequence[RunState], *, as_json: bool, again: bool) -> None:
    """Print states; where they are shown again, in place on a terminal."""
    if as_json:
        text = json.dumps([asdict(one) | {"is_over": one.is_over} for one in states])
    else:
        text = format_table(states)
    if again and not as_json:
        text = f"\033[H\033[J{text}" if sys.stdout.isatty() else f"{text}\n"
    print(text, flush=True)


def format_table(states: Sequence[RunState]) -> str:
    """Return a line for each run, and below it what is to be said of it."""
    lines = [format_row(HEAD)]
    for state in states:
        lines.append(format_row(list_cells(state)))
        for said in list_words(state):
            lines += textwrap.wrap(
                said, WIDTH, initial_indent="    ", subsequent_indent="    "
            )
        ends = [clean(line) for line in state.last_lines]
        lines += [f"    | {line}"[:WIDTH] for line in ends]
    return "\n".join(lines)


def format_row(cells: Sequence[str]) -> str:
    """Return cells in columns; one that is too long goes on into the next."""
    pairs = zip(cells, WIDTHS, strict=True)
    return " ".join(f"{cell:<{width}}" for cell, width in pairs).rstrip()[:WIDTH]


def list_cells(state: RunState) -> tuple[str, ...]:
    """Return the words in the line of a run, "-" for what is not known."""
    tasks = "-"
    if state.tasks is not None:
        tasks = f"{state.tasks_done:,} of {state.tasks:,}"
    left, limit = (
        "-" if time_s is None else format_duration(time_s)
        for time_s in (state.left_s, state.limit_left_s)
    )
    name, job = shorten(clean(state.run), WIDTHS[0]), clean(state.job) or "-"
    attempts = str(state.attempts or "-")
    return name, job, state.state, tasks, left, limit, attempts


def list_words(state: RunState) -> list[str]:
    """Return sentences on a run: what it waits for, and what is odd."""
    words = []
    if state.reason:
        words.append(": ".join(filter(None, (state.reason, state.means))))
    if state.starts and state.reason:
        words.append(f"Slurm expects it to start at {state.starts}")
    return [clean(said) for said in (*words, *state.notes)]
