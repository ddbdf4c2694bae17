"""``hpc-connector cancel``: end the jobs of runs."""

import argparse
from pathlib import Path

from hpc_connector import cli
from hpc_connector.cluster.queue import JOB
from hpc_connector.cluster.state import RunState, get_states, is_run
from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import NAME as LOCK
from hpc_connector.slurm import ask_slurm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "directories", nargs="+", type=Path, metavar="DIR", help="folders of runs"
    )


def run(args: argparse.Namespace) -> int:
    """Cancel the job of each run that is not over, and say so."""
    for folder in args.directories:
        if not is_run(folder):
            raise BadInput(
                f"{folder} holds no run: expected job.json or manifest.json in it"
            )
    for state in get_states(args.directories):
        print(cancel(state), flush=True)
    return cli.DONE


def cancel(state: RunState) -> str:
    """Cancel the job of a run; return what was done.

    Its script asks to be queued again when its ranks are stopped, which Slurm grants
    also to a job that was cancelled, unless it may not be queued again.

    Raises
    ------
    BadInput
        The run has no job, or Slurm refuses.
    """
    name = f"{state.run}: job {state.job}" if state.job else state.run
    if state.is_over:
        return f"{name} is over ({state.state}): nothing to cancel"
    if not JOB.fullmatch(state.job) or state.told_by == LOCK:
        said = "; ".join(state.notes) or "nothing is known of it"
        raise BadInput(
            f"{state.run}: no job of Slurm works there ({said}): kill ends a process, "
            "and --resume goes on"
        )
    ask_slurm(["scontrol", "update", f"JobId={state.job}", "Requeue=0"])
    done = ask_slurm(["scancel", state.job])
    if done is None:
        raise BadInput("scancel is not here, or does not answer: expected a login node")
    if done.returncode or "error" in done.stderr:
        raise BadInput(f"{name}: scancel refuses: {' '.join(done.stderr.split())}")
    return f"{name} was {state.state}: cancelled; submit it again to go on"
