"""Tasks on ranks and threads, each taking the next that is left."""

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpc_connector.partitioner.ending import wait_asleep
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.pipeline.signals import on_signals

SAVE_EVERY_S = 5.0
TASK_CPU_S = [0.0]  # of this process so far: in tasks, on all threads


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


def run_on_ranks(
    comm: Any,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Callable[[int, list[int]], None],
    *,
    threads: int = 1,
    show: Callable[[int, int], None] | None = None,
    first: Callable[[], None] | None = None,
    away: Callable[[Seat], int] | None = None,
) -> bool:
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

    Returns
    -------
    Whether all tasks were run; False after a stop signal on any rank.

    Notes
    -----
    Where a task raises, all ranks finish and save the tasks in hand if they are quick,
    and then that rank raises.
    """
    return_memory()
    lock, stop, is_free = threading.Lock(), threading.Event(), threading.Event()
    taken = 0
    with on_signals(stop.set), count_tickets(comm, len(todo)) as (take, end):

        def take_task() -> int:
            nonlocal taken
            with lock:
                if not stop.is_set():
                    ticket = take()
                    taken = max(taken, min(ticket + 1, len(todo)))
                    return ticket
                end()
                return len(todo)

        def take_for_away() -> int | None:
            ticket = take_task()
            return int(todo[ticket]) if ticket < len(todo) else None

        def work(thread: int) -> int:
            finished: list[int] = []
            saved_s = time.monotonic()
            began_s = time.thread_time()
            try:
                if first and thread == 0:
                    first()
                while (ticket := take_task()) < len(todo):
                    task = int(todo[ticket])
                    run_task(task, thread)
                    finished.append(task)
                    if time.monotonic() - saved_s > SAVE_EVERY_S:
                        save(thread, finished)
                        saved_s = time.monotonic()
                    if show and comm.rank == 0:
                        show(ticket + 1, len(todo))
            except BaseException:
                stop.set()
                take_task()  # leaves none to other ranks
                raise
            finally:
                save(thread, finished)
                with lock:
                    TASK_CPU_S[0] += time.thread_time() - began_s
            return len(finished)

        if threads == 1 and away is None:
            n_finished = work(0)
        else:
            seat = Seat(take_for_away, lambda: taken, is_free.is_set, stop.is_set)
            with ThreadPoolExecutor(threads + 1) as pool:
                others = pool.submit(away, seat) if away else None
                try:
                    n_finished = sum(pool.map(work, range(threads)))
                finally:
                    is_free.set()
                n_finished += others.result() if others else 0
    wait_asleep(comm)
    return sum(comm.allgather(n_finished)) == len(todo)


def return_memory() -> None:
    """Give memory that is free back to the system, where the C library is glibc.

    It would keep what was read, although that lies in memory of the node by now: tens
    of megabytes a rank.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
