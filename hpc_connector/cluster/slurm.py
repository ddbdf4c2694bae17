"""What a command of Slurm's prints."""

import subprocess

PATIENCE_S = 20  # with a controller that is busy


def ask(*command: str) -> str:
    """Return what a command prints, nothing where it is missing, refuses or hangs."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
