"""Tasks of a run on ranks and in functions, with one ledger of both."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from hpc_connector.burst.batching import Goal, split, take_overflow, take_reserved
from hpc_connector.burst.config import read_settings
from hpc_connector.burst.connection import Connection, Remote, open_connection
from hpc_connector.burst.dispatch import Batch, Burst, Usage
from hpc_connector.burst.resources import grow_memory
from hpc_connector.options import RunOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.ranks import Outcome, Seat, run_on_ranks
from hpc_connector.storage.stores import NoAnswer
from hpc_connector.telemetry.calls import find_peak

logger = logging.getLogger(__name__)

Save = Callable[[int, list[int]], None]


def run_tasks(
    comm: Communicator,
    args: RunOptions,
    remote: Remote,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Save,
    *,
    show: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run tasks on all ranks, and in functions those that ``args.burst`` is for."""
    connection, facts = None, None
    with end_together(comm):
        if comm.rank == 0 and len(todo):
            connection, facts = try_connection(args, remote, comm.size, len(todo))
    if not comm.bcast(connection is not None):
        here = run_on_ranks(comm, run_task, todo, save, threads=args.threads, show=show)
        return here._replace(burst=facts)
    try:
        return _run_both(comm, args, run_task, todo, save, connection, show)
    finally:
        if connection:
            connection.close()


def try_connection(
    args: RunOptions, remote: Remote, size: int, n_tasks: int
) -> tuple[Connection | None, dict[str, Any] | None]:
    """Return the connection; or none, and the facts of a burst without functions.

    Raises
    ------
    BadInput
        As ``open_connection``, but for a store that does not answer.
    """
    assert args.burst  # functions are asked for
    try:
        return open_connection(args, remote, size, n_tasks), None
    except NoAnswer as error:
        logger.warning("no functions, the ranks do all tasks: %s", error)
        backend = read_settings(args.burst, args.burst_workers).backend
        usage = asdict(Usage(reason=str(error)))
        return None, {"backend": backend, "tasks_here": n_tasks} | usage


def _run_both(
    comm: Communicator,
    args: RunOptions,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Save,
    connection: Connection | None,
    show: Callable[[int, int], None] | None,
) -> Outcome:
    """Run tasks on ranks and in functions; then on ranks what functions did not do."""
    share = 1.0 if args.engine == "lithops" else args.burst_share or 0.0
    near, far = split(todo, share)
    end = End()
    away = None
    if connection:
        away = partial(run_away, connection, args, comm.size, far, len(near), end)
    run = partial(run_on_ranks, comm, run_task, threads=args.threads, show=show)
    save_first, save_rest = join_saves(save, args.threads)
    is_done = run(near, save_first, away=away).is_done
    n_done = end.burst.usage.tasks_done if end.burst else 0
    is_whole = not share or n_done + len(end.back) == len(far)
    left, is_whole = comm.bcast((end.back, is_whole))
    if left and is_done:
        if end.burst:
            say_given_back(end.burst, left)
        is_done = run(left, save_rest).is_done
    if connection is None or end.burst is None:
        return Outcome(is_done and is_whole)
    burst = describe(connection, end.burst, len(todo))
    return Outcome(is_done and is_whole, connection.found, burst)


@dataclass
class End:
    """What a burst has come to: ``back`` are the tasks that no function has done."""

    burst: Burst | None = None
    back: list[int] = field(default_factory=list)


def run_away(
    connection: Connection,
    args: RunOptions,
    size: int,
    far: list[int],
    n_near: int,
    end: End,
    seat: Seat,
) -> int:
    """Have tasks done in functions; return how many were taken from the ranks' tasks.

    Parameters
    ----------
    size
        Ranks.
    far
        Tasks that are for functions alone; where there are none, functions take what
        ranks would not do in time of their `n_near`.
    """
    goal = make_goal(args, size)
    reserved = list(far)
    if far:
        take = take_reserved(reserved, connection.settings, goal)
    else:
        take = take_overflow(seat, n_near, connection.settings, goal)
    is_alone = args.engine == "lithops"
    burst = make_burst(connection, take, seat, goal.rank_workers, is_alone=is_alone)
    end.burst, end.back = burst, burst.run(seat.is_stopped)
    if not seat.is_stopped():
        burst.usage.tasks_given_back += len(reserved)
        end.back += reserved
    return 0 if far else burst.usage.tasks_done + len(end.back)


def join_saves(save: Save, threads: int) -> tuple[Save, Save]:
    """Return two functions that save the tasks of two rounds in one file."""
    finished: list[list[int]] = [[] for _ in range(threads)]

    def save_first(thread: int, done: list[int]) -> None:
        finished[thread] = list(done)
        save(thread, done)

    def save_rest(thread: int, done: list[int]) -> None:
        save(thread, [*finished[thread], *done])

    return save_first, save_rest


def make_goal(args: RunOptions, size: int) -> Goal:
    """Return the goal of a burst: deadline, budget, and the workers there are."""
    deadline_s = None
    if args.deadline is not None:
        deadline_s = args.started_s + args.deadline
    return Goal(size * args.threads, deadline_s, args.budget)


def make_burst(
    connection: Connection,
    take: Callable[[Burst], Batch | None],
    seat: Seat,
    rank_workers: int,
    *,
    is_alone: bool,
) -> Burst:
    """Return a burst over a connection.

    Parameters
    ----------
    rank_workers
        Ranks times threads.
    is_alone
        No rank runs tasks before functions have failed.
    """
    settings = connection.settings
    start_s, task_s = time.monotonic(), 0.0

    def get_task_s() -> float:
        nonlocal task_s
        if not seat.is_free():  # after that, only time goes on
            elapsed_s = time.monotonic() - start_s
            task_s = rank_workers * elapsed_s / max(seat.count_taken(), 1)
        return task_s

    return Burst(
        take,
        connection.send,
        connection.receive,
        connection.accept,
        lambda: seat.is_free() and not is_alone,
        get_task_s,
        partial(grow_memory, settings, connection.policy),
        int(settings.workers),
        int(settings.memory_mb),
        int(settings.tries),
        settings.patience_s,
    )


def say_given_back(burst: Burst, left: list[int]) -> None:
    """Log which tasks the ranks have to do after all."""
    reason = burst.usage.reason or "they did not answer in time"
    logger.warning("%d tasks are back from functions: %s", len(left), reason)


def describe(connection: Connection, burst: Burst, n_tasks: int) -> dict[str, Any]:
    """Return the facts of a burst for the manifest, and log them."""
    usage, settings = burst.usage, connection.settings
    cost = settings.get_cost_eur(usage.gb_s, usage.calls)
    facts = {
        "backend": settings.backend,
        "workers": settings.workers,
        "memory_mb": settings.memory_mb,
        "last_memory_mb": burst.memory_mb,
        "tasks_here": n_tasks - usage.tasks_done,
    }
    facts |= asdict(usage)
    facts |= {
        "function_s": round(usage.function_s, 3),
        "cpu_s": round(sum(f["cpu_s"] for f in connection.figures), 3),
        "gb_s": round(usage.gb_s, 3),
        "cost_eur": None if cost is None else round(cost, 6),
        "sent_bytes": connection.sent_bytes,
        "fetched_bytes": sum(f["net_rx_bytes"] for f in connection.figures),
        "answer_bytes": connection.answer_bytes,
    }
    facts |= describe_calls(connection.figures)
    logger.info(
        "%d of %d tasks in %d calls of functions: %.1f s, %s, %.1f MB there, %.1f MB "
        "back",
        usage.tasks_done,
        n_tasks,
        usage.calls,
        usage.function_s,
        "cost not known" if cost is None else f"{cost:.4f} EUR",
        connection.sent_bytes / 1e6,
        connection.answer_bytes / 1e6,
    )
    return facts


def describe_calls(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the greatest peak of a call, and P50 and P90 of its seconds a task."""
    if not figures:
        return {}
    p50_s, p90_s = np.quantile(
        [f["elapsed_s"] / f["tasks"] for f in figures], (0.5, 0.9)
    )
    task_s = {
        "task_p50_s": round(float(p50_s), 4),
        "task_p90_s": round(float(p90_s), 4),
    }
    return find_peak(figures) | task_s
