"""A program that is started with what it starts, and ends with a block of code."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from hpc_connector.pipeline.signals import hold_signals

SOON_S = 5.0  # between SIGTERM and SIGKILL


@contextlib.contextmanager
def start_group(
    words: Sequence[str], **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program as a group of processes; end all of them if the block raises.

    Parameters
    ----------
    words
        The program and its arguments.
    options
        Of ``subprocess.Popen``.
    """
    process = None
    try:
        with hold_signals():  # one that comes now is raised when the process is known
            process = subprocess.Popen(words, start_new_session=True, **options)
        yield process
    except BaseException:
        if process is not None:
            end_group(process)
        raise


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a process and what it has started, which may clean up for some seconds."""
    with hold_signals(), process, contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SOON_S)
        os.killpg(process.pid, signal.SIGKILL)
