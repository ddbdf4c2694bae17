"""Tasks on ranks and threads, each taking the next that is left."""

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import wait_asleep
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.pipeline.signals import on_signals

SAVE_EVERY_S = 5.0


class Clock:
    """CPU seconds that all threads of this process have spent in tasks."""

    def __init__(self) -> None:
        self.cpu_s, self._lock = 0.0, threading.Lock()

    def add(self, cpu_s: float) -> None:
        """Add what a thread has spent."""
        with self._lock:
            self.cpu_s += cpu_s


task_clock = Clock()  # goes on from run to run; a run takes differences


@dataclass(frozen=True)
class Seat:
    """What a helper beside the ranks is given, which takes tasks as they do.

    Parameters
    ----------
    take
        Returns the next task, None where none is left.
    count_taken
        Returns how many were taken by all, about.
    is_free
        Returns whether the threads of this rank have nothing left to do.
    is_stopped
        Returns whether the run is to end.
    """

    take: Callable[[], int | None]
    count_taken: Callable[[], int]
    is_free: Callable[[], bool]
    is_stopped: Callable[[], bool]


class Outcome(NamedTuple):
    """What came of the tasks of a run.

    Parameters
    ----------
    is_done
        Whether all were run.
    found
        What functions found, on rank 0.
    burst
        The facts of a burst for the manifest, on rank 0; None without one.
    """

    is_done: bool
    found: Sequence[Arrays] = ()
    burst: dict[str, Any] | None = None


class Queue:
    """The tasks that no thread of any rank has taken yet.

    Parameters
    ----------
    todo
        The tasks, the same on every rank.
    take, end
        Take the next ticket of all ranks, and leave none to any; of
        :func:`hpc_connector.partitioner.tickets.count_tickets`.
    is_stopped
        Set once the run is to end, by whoever sees that.
    """

    def __init__(
        self,
        todo: Sequence[int] | np.ndarray,
        take: Callable[[], int],
        end: Callable[[], None],
        is_stopped: threading.Event,
    ) -> None:
        self.todo, self.n_taken, self.is_stopped = todo, 0, is_stopped
        self._take, self._end, self._lock = take, end, threading.Lock()

    def take(self) -> int | None:
        """Return the next task; None where none is left, or the run is to end."""
        with self._lock:
            if self.is_stopped.is_set():
                self._end()
                return None
            ticket = self._take()
            self.n_taken = max(self.n_taken, min(ticket + 1, len(self.todo)))
        return int(self.todo[ticket]) if ticket < len(self.todo) else None

    def __iter__(self) -> Iterator[int]:
        """Take tasks until there is none."""
        while (task := self.take()) is not None:
            yield task

    def stop(self) -> None:
        """Leave no task to any rank."""
        self.is_stopped.set()
        self.take()


def run_on_ranks(
    comm: Communicator,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Callable[[int, list[int]], None],
    *,
    threads: int = 1,
    show: Callable[[int, int], None] | None = None,
    first: Callable[[], None] | None = None,
    away: Callable[[Seat], int] | None = None,
    is_stopped: threading.Event | None = None,
) -> Outcome:
    """Run tasks on all ranks, each rank and thread taking the next that is left.

    Parameters
    ----------
    run_task
        Called with a task and the thread that runs it, 0 .. threads - 1.
    todo
        The tasks, the same on every rank.
    save
        Called with a thread and the tasks it has finished: every few seconds, and
        before this returns.
    show
        Called on rank 0 with the tasks taken by all and their number.
    first
        Work of this rank alone, which it does before it takes a task.
    away
        Runs beside the threads, and has tasks done elsewhere; returns how many of those
        that it took need not be run again.
    is_stopped
        Ends the run as a signal does, once it is set on any rank.

    Returns
    -------
    Whether all tasks were run, which is not so after a stop signal on any rank.

    Notes
    -----
    Where a task raises, all ranks finish and save the tasks in hand if they are quick,
    and then that rank raises.
    """
    return_memory()
    is_stopped = is_stopped or threading.Event()
    with on_signals(is_stopped.set), count_tickets(comm, len(todo)) as (take, end):
        queue = Queue(todo, take, end, is_stopped)
        shown = show if comm.rank == 0 else None
        if threads > 1 or away:
            work = partial(run_queue, queue, run_task, save, first, shown)
            n_finished = run_threads(queue, work, threads, away)
        else:  # as run_queue, one call less deep
            with record_tasks(queue, save, shown, 0) as (finished, note):
                if first:
                    first()
                for task in queue:
                    run_task(task, 0)
                    note(task)
            n_finished = len(finished)
    wait_asleep(comm)
    counts: list[int] = comm.allgather(n_finished)
    return Outcome(sum(counts) == len(todo))


@contextlib.contextmanager
def record_tasks(
    queue: Queue,
    save: Callable[[int, list[int]], None],
    show: Callable[[int, int], None] | None,
    thread: int,
) -> Iterator[tuple[list[int], Callable[[int], None]]]:
    """Record the tasks of a thread: every few seconds, and at its end in any case.

    Yields
    ------
    The tasks that are finished, and the function that is told of each.
    """
    finished: list[int] = []
    saved_s = time.monotonic()
    began_s = time.thread_time()

    def note(task: int) -> None:
        nonlocal saved_s
        finished.append(task)
        if time.monotonic() - saved_s > SAVE_EVERY_S:
            save(thread, finished)
            saved_s = time.monotonic()
        if show:
            show(queue.n_taken, len(queue.todo))

    try:
        yield finished, note
    except BaseException:
        queue.stop()
        raise
    finally:
        save(thread, finished)
        task_clock.add(time.thread_time() - began_s)


def run_queue(
    queue: Queue,
    run_task: Callable[[int, int], None],
    save: Callable[[int, list[int]], None],
    first: Callable[[], None] | None,
    show: Callable[[int, int], None] | None,
    thread: int,
) -> int:
    """Run tasks of a queue in this thread until none is left; return their number."""
    with record_tasks(queue, save, show, thread) as (finished, note):
        if first and thread == 0:
            first()
        for task in queue:
            run_task(task, thread)
            note(task)
    return len(finished)


def run_threads(
    queue: Queue,
    work: Callable[[int], int],
    threads: int,
    away: Callable[[Seat], int] | None,
) -> int:
    """Work in some threads, and elsewhere; return how many tasks came to an end."""
    is_free = threading.Event()
    seat = Seat(
        queue.take, lambda: queue.n_taken, is_free.is_set, queue.is_stopped.is_set
    )
    with ThreadPoolExecutor(threads + 1) as pool:
        others = pool.submit(away, seat) if away else None
        try:
            n_finished = sum(pool.map(work, range(threads)))
        finally:
            is_free.set()
        return n_finished + (others.result() if others else 0)


def return_memory() -> None:
    """Give memory that is free back to the system, where the C library is glibc.

    It would keep what was read, although that lies in memory of the node by now: tens
    of megabytes a rank.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
