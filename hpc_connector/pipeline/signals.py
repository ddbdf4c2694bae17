"""Signals that end a run: a warning of Slurm, SIGTERM, Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextlib.contextmanager
def on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Act on SIGTERM, SIGUSR1 (Slurm's warning) and Ctrl-C; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield  # it is not told of signals
        return
    before = {s: signal.signal(s, lambda *_: act()) for s in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
