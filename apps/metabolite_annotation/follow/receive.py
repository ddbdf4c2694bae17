"""The spectra of a stream, until a result is due or the acquisition has ended."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from hpc_connector.errors import UNUSABLE, BadInput
from hpc_connector.streams.follow import follow
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.stream import Stream
from metabolite_annotation.follow.dataset import Growing
from metabolite_annotation.follow.options import FollowOptions
from metabolite_annotation.follow.pace import Pace

SEGMENT = 0  # which has all spectra
MOST_RECORDS = 64  # at once, each of a megabyte at most
WAIT_S = 0.5
LOOK_S = 0.2


def open_source(options: FollowOptions) -> Stream:
    """Return the stream of an acquisition, which has one segment.

    Raises
    ------
    BadInput
        There is none, or it has several.
    """
    stream = open_stream(options.dataset, profile=options.stream_profile)
    if (n := stream.n_segments) != 1:
        raise BadInput(f"{options.dataset} has {n} segments: expected one")
    return stream


def receive(
    stream: Stream,
    growing: Growing,
    pace: Pace,
    show: Callable[[int, int], None] | None = None,
) -> bool:
    """Take spectra until a result is due; return whether the acquisition has ended.

    What is there already is taken first: no time is lost on results of less.

    Parameters
    ----------
    show
        Called with the spectra that are there, and their number in all.

    Raises
    ------
    BadInput
        A record that cannot be, a spectrum that is missing at the end, or an image too
        large for its pixels.
    """
    at = {SEGMENT: growing.position}
    for records in follow(stream, at, most_records=MOST_RECORDS, wait_s=WAIT_S):
        growing.add(records)
        now_s = time.monotonic()
        pace.count(len(growing), now_s)
        if growing.head:
            pace.expected = growing.head.n_spectra
        if show and pace.expected:
            show(len(growing), pace.expected)
        is_all = len(records) < MOST_RECORDS
        if is_all and growing.has_signal and pace.is_due(now_s):
            growing.check_room()
            return False
    growing.check_whole()
    return True


@contextlib.contextmanager
def watch_seal(
    options: FollowOptions | None, is_stopped: threading.Event, is_over: threading.Event
) -> Iterator[None]:
    """Set two events once the acquisition has ended: what is in hand is of less.

    A thread looks, with a stream of its own; where that cannot be used, nobody does.

    Parameters
    ----------
    options
        None where another rank looks.
    is_stopped
        Which signals set too.
    is_over
        Which nothing else sets.
    """
    if options is None:
        yield
        return
    is_left = threading.Event()

    def look() -> None:
        with contextlib.suppress(*UNUSABLE), open_source(options) as stream:
            while not is_left.wait(LOOK_S):
                if stream.is_sealed(SEGMENT):
                    is_over.set()
                    is_stopped.set()
                    return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_left.set()
        thread.join()
