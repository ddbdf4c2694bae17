"""Runs in jobs that stand still after some tasks, so that none is over too early."""

import sys

from hpc_connector.cluster.site import Site
from programs import HOLDING, SAVING
from slurm_jobs import write_script, write_site

START = """#!/bin/bash
if [ -n "${{SLURM_RESTART_COUNT:-}}" ]; then exec "$@"; fi
shift
HELD={go}${{SLURM_ARRAY_TASK_ID:-}} exec {python} {held} "$@"
"""


def hold(folder, program="mdr_epistasis", python=sys.executable):
    """Return options of a job whose first attempt waits until it is told to go on.

    Parameters
    ----------
    folder
        Gets the scripts, and what :func:`let_go` leaves.
    """
    held = folder / "held.py"
    held.write_text(SAVING.format(program=program, more=HOLDING.format(n=3)))
    script = START.format(python=python, held=held, go=folder / "go")
    start = write_script(folder / "start", script)
    return write_site(folder, LAUNCH=f"{Site().launch} {start}")


def let_go(folder, element=""):
    """Let the ranks go on that :func:`hold` holds, those of an element of an array."""
    (folder / f"go{element}").touch()
