"""Runs in jobs that stand still after some tasks, so that none is over too early."""

import sys

from hpc_connector.cluster.site import Site

# Saves after each task, and waits for a file or the end once it has had three
HELD = """
import os
import sys
import time
from pathlib import Path

from hpc_connector.pipeline import ranks
from {program}.program import main

go = Path("{go}" + os.environ.get("SLURM_ARRAY_TASK_ID", ""))
take_next, n_taken = ranks.Queue.take, 0


def take(queue):
    global n_taken
    n_taken += 1
    while n_taken > 3 and not (queue.is_stopped.is_set() or go.exists()):
        time.sleep(0.05)
    return take_next(queue)


ranks.Queue.take, ranks.SAVE_EVERY_S = take, 0.0
sys.exit(main(sys.argv[1:]))
"""
START = """#!/bin/bash
if [ -n "${{SLURM_RESTART_COUNT:-}}" ]; then exec "$@"; fi
shift
exec {python} {held} "$@"
"""


def hold(folder, program="mdr_epistasis", python=sys.executable):
    """Return options of a job whose first attempt waits until it is told to go on.

    Parameters
    ----------
    folder
        Gets the scripts, and what :func:`let_go` leaves.
    """
    held, start, site = folder / "held.py", folder / "start", folder / "held.env"
    held.write_text(HELD.format(program=program, go=folder / "go"))
    start.write_text(START.format(python=python, held=held))
    start.chmod(0o755)
    site.write_text(f"CONNECTOR_LAUNCH='{Site().launch} {start}'\n")
    return "--site", site


def let_go(folder, element=""):
    """Let the ranks go on that :func:`hold` holds, those of an element of an array."""
    (folder / f"go{element}").touch()
