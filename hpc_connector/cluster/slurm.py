"""What a command of Slurm's prints."""

import os
import subprocess

PATIENCE_S = 20  # with a controller that is busy
TASTES = ("SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SLURM_TIME_FORMAT")


def ask(*command: str) -> str:
    """Return what a command prints, nothing where it is missing, refuses or hangs."""
    try:
        done = subprocess.run(
            command,
            env=get_plain(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def ask_config() -> str:
    """Return the configuration of Slurm."""
    return ask("scontrol", "show", "config")


def get_plain() -> dict[str, str]:
    """Return the environment without what a user likes to see of Slurm.

    SQUEUE_STATES, say, hides jobs, and SCANCEL_INTERACTIVE asks first.
    """
    there = os.environ.items()
    return {name: text for name, text in there if not name.startswith(TASTES)}
