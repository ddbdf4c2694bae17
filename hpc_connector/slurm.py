"""Commands of Slurm, and what they print."""

import os
import subprocess
from collections.abc import Sequence

PATIENCE_S = 60.0  # with a controller that is busy
SHORT_S = 20.0  # where an answer can be done without
TASTES = ("SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SLURM_TIME_FORMAT")
UNKNOWN_JOB = "Invalid job id"  # what squeue says of one that Slurm has forgotten


def ask_slurm(
    command: Sequence[str], patience_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str] | None:
    """Run a command of Slurm's; None where it is missing, or does not answer."""
    try:
        return subprocess.run(
            command,
            env=get_plain(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def ask(*command: str) -> str:
    """Return the output of a command, empty where it is missing, refuses or hangs."""
    done = ask_slurm(command, SHORT_S)
    return done.stdout if done and done.returncode == 0 else ""


def ask_config() -> str:
    """Return the configuration of Slurm."""
    return ask("scontrol", "show", "config")


def get_plain() -> dict[str, str]:
    """Return the environment without what a user likes to see of Slurm.

    SQUEUE_STATES, say, hides jobs, and SCANCEL_INTERACTIVE asks first.
    """
    there = os.environ.items()
    return {name: text for name, text in there if not name.startswith(TASTES)}
