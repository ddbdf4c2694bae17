"""Signals that end a run: a warning of Slurm, SIGTERM, Ctrl-C."""

import contextlib
import signal
from collections.abc import Callable, Iterator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextlib.contextmanager
def on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Act on SIGTERM, SIGUSR1 (Slurm's warning) and Ctrl-C."""
    before = {s: signal.signal(s, lambda *_: act()) for s in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
