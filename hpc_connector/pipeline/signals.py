"""Signals that end a run: a warning of Slurm, SIGTERM, Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def on_signals(
    act: Callable[[], None],
) -> contextlib.AbstractContextManager[None]:
    """Act on SIGTERM, SIGUSR1 (Slurm's warning) and Ctrl-C; in the main thread only."""
    return handle_signals(lambda _: act())


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Hold the same signals until the end of the block, and act on them there."""
    held: list[int] = []
    try:
        with handle_signals(held.append):
            yield
    finally:
        for number in held:
            signal.raise_signal(number)


@contextlib.contextmanager
def handle_signals(act: Callable[[int], None]) -> Iterator[None]:
    """Act on these signals, by number; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield  # it is not told of signals
        return
    before = {s: signal.signal(s, lambda n, _: act(n)) for s in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
