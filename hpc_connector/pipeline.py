"""Run tasks on ranks and threads; remember what is done; stop and go on."""

import contextlib
import ctypes
import logging
import resource
import signal
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.folder_lock import release_folder
from hpc_connector.manifest import enter_folder
from hpc_connector.partitioner.ending import abort_on_error, end_now, wait_asleep
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.shared_memory import get_node
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.publish import publish
from hpc_connector.storage.traffic import get_traffic
from hpc_connector.undo import Before, look_before, remove_empty, undo_run

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 5.0
LOG_EVERY_S = 60.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
TASK_CPU_S = [0.0]  # of this process so far: in tasks, on all threads
DAMAGED = (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error)

Arrays = dict[str, np.ndarray]


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


@contextlib.contextmanager
def on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Act on SIGTERM, SIGUSR1 (Slurm's warning) and Ctrl-C."""
    before = {s: signal.signal(s, lambda *_: act()) for s in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_program(name: str, run: Callable[[Any], int], args: Any = None) -> int:
    """Run a program on all ranks, none of which is left behind; return its exit code.

    Parameters
    ----------
    run
        Takes the communicator and returns an exit code.
    args
        Of the program; with ``args.telemetry`` an agent watches the ranks of each node.
        Of a new run that bad input ends before its first task, ``args.out`` keeps
        nothing.
    """
    try:
        comm = get_mpicomm()
    except Exception as error:
        return cli.explain(name, error)
    cli.set_up_log(name, rank=comm.rank)
    before: Any = None
    lock = ""

    def leave() -> None:
        if lock:
            release_folder(args.out, lock)

    def refuse(error: BaseException) -> int:
        leave()
        if before is not None:
            undo_run(before) if isinstance(error, BadInput) else remove_empty(before)
        return cli.explain(name, error)

    def stop() -> None:
        leave()
        end_now(comm, cli.STOPPED, f"{name}: stopped on request; --resume goes on\n")

    try:
        with abort_on_error(comm, refuse), on_signals(stop):
            if args is not None:
                before, lock = comm.bcast(begin(args) if comm.rank == 0 else None)
            if args is not None and args.telemetry:
                from hpc_connector.telemetry.session import run_watched

                return run_watched(comm, args, lambda: run(comm))
            return run(comm)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        if comm.rank == 0:
            leave()


def begin(args: Any) -> tuple[Before, str]:
    """Return what there was before a run, and the lock of its folder."""
    before = look_before(args.out)
    try:
        return before, enter_folder(args.out, resume=args.resume)
    except BadInput:
        remove_empty(before)
        raise


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


def save_ledger(path: Path, finished: Sequence[int], arrays: Arrays) -> None:
    """Record finished tasks and what they found, published by rename."""
    everything: Any = {"finished": np.array(finished, np.int64)} | arrays
    with publish(path) as stream:
        np.savez(stream, **everything)


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a .npz file; its checksums are checked.

    Raises
    ------
    DAMAGED
        One of these exceptions, for a file that is not whole.
    """
    with open(path, "rb") as stream, np.load(stream) as record:
        return dict(record)


def read_ledger(directory: Path) -> tuple[np.ndarray, list[Arrays]]:
    """Return the tasks that earlier attempts finished, and what they found.

    A damaged file is left out with a warning: running its tasks again costs time and
    changes no result.
    """
    finished, found = [np.zeros(0, np.int64)], []
    for path in sorted(directory.glob("*.npz")):
        try:
            arrays = read_arrays(path)
            finished.append(arrays.pop("finished"))
        except DAMAGED as error:
            logger.warning("%s is damaged, its tasks run again (%s)", path, error)
            continue
        found.append(arrays)
    return np.unique(np.concatenate(finished)), found


def make_progress(
    *, quiet: bool, unit: str = "tasks"
) -> Callable[[int, int], None] | None:
    """Return what shows progress: one line on a terminal, else a log line a minute."""
    if quiet:
        return None
    start_s = time.monotonic()
    shown_s = [start_s]
    is_terminal = sys.stderr.isatty()

    def show(taken: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s - shown_s[0] < (0.2 if is_terminal else LOG_EVERY_S) and taken < total:
            return
        shown_s[0] = now_s
        rate = taken / max(now_s - start_s, 1e-9)
        left_s = (total - taken) / rate
        line = f"{taken} of {total} {unit}, {rate:.1f}/s, {left_s:.0f} s left"
        if is_terminal:
            end = "\n" if taken == total else ""
            print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
        elif taken < total:
            logger.info(line)

    return show


def get_resources(
    comm: Any, threads: int, start_s: float, inputs: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return what the run used, summed over ranks.

    Parameters
    ----------
    inputs
        As the manifest describes them. Of objects, it counts what was not fetched.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = usage.ru_utime + usage.ru_stime
    used = comm.allgather((cpu_s, TASK_CPU_S[0], usage.ru_maxrss * 1024))
    fetched = [sum(n) for n in zip(*comm.allgather(get_traffic()), strict=True)]
    _, _, nodes = get_node(comm)
    found = {
        "ranks": comm.size,
        "nodes": nodes,
        "threads": threads,
        "wall_s": round(time.time() - start_s, 3),
        "cpu_s": round(sum(cpu for cpu, _, _ in used), 3),
        "task_cpu_s": round(sum(task for _, task, _ in used), 3),
        "max_rss_bytes": max(rss for _, _, rss in used),
    }
    if fetched[0]:
        total = sum(one["bytes"] for one in inputs if "etag" in one)
        found |= dict(zip(("fetch_requests", "fetched_bytes"), fetched, strict=True))
        found["avoided_bytes"] = max(total - fetched[1], 0)
    return found


def say_fetched(used: dict[str, Any]) -> None:
    """Log how much of the objects was fetched, if there were any."""
    if "fetched_bytes" in used:
        fetched, requests = used["fetched_bytes"], used["fetch_requests"]
        total = fetched + used["avoided_bytes"]
        said = "fetched %.1f of %.1f MB of the objects, in %d requests"
        logger.info(said, fetched / 1e6, total / 1e6, requests)
