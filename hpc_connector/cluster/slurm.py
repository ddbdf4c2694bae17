"""What a command of Slurm's prints."""

import os
import subprocess

PATIENCE_S = 20  # with a controller that is busy
FILTERS = ("SACCT_", "SINFO_", "SQUEUE_", "SLURM_TIME_FORMAT")


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
    """Return the environment without what changes what Slurm shows, and how."""
    return {n: text for n, text in os.environ.items() if not n.startswith(FILTERS)}
