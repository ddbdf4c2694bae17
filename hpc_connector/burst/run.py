"""Tasks of a run on ranks and in functions, with one ledger of both."""

import argparse
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import cli, pipeline, storage
from hpc_connector.allocation import Cost
from hpc_connector.burst.aim import Aim, split, take_overflow, take_reserved
from hpc_connector.burst.config import Settings, read_settings
from hpc_connector.burst.executor import open_executor
from hpc_connector.burst.overflow import Answer, Batch, Burst
from hpc_connector.burst.resources import choose_resources, grow_memory
from hpc_connector.burst.worker import (
    FAILED,
    FOUND,
    Parcel,
    decode_answer,
    run_parcel,
)
from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import end_together
from hpc_connector.storage import Source
from hpc_connector.telemetry.agent import COLUMNS
from hpc_connector.telemetry.functions import append_call, find_peak
from hpc_connector.telemetry.policy import Policy

logger = logging.getLogger(__name__)

OURS = ["hpc_connector", "mdr_epistasis", "metabolite_annotation"]
Save = Callable[[int, list[int]], None]


@dataclass(frozen=True)
class Remote:
    """How the tasks of a program run in a function.

    Parameters
    ----------
    module
        Which has ``run_tasks(package, tasks)``.
    pack
        Puts what tasks need into a folder; returns the package's name and bytes sent.
    ledger
        Folder of the files that finished tasks are recorded in.
    prefix
        Of the names of those files.
    program, cost
        Which program it is, and what its formula says of the whole run.
    """

    module: str
    pack: Callable[[Source], tuple[str, int]]
    ledger: Path
    prefix: str
    program: str
    cost: Cost

    def get_path(self, name: str) -> Path:
        """Return the file that finished tasks are recorded in, by a name of theirs."""
        return self.ledger / f"{self.prefix}-{name}.npz"


def make_remote(
    comm: Any,
    args: argparse.Namespace,
    record: dict[str, Any],
    module: str,
    pack: Callable[[Source], tuple[str, int]],
) -> Remote:
    """Return how the tasks of a run are done elsewhere; files are of this rank alone.

    Parameters
    ----------
    record
        Of the run so far.
    module, pack
        See :class:`Remote`.
    """
    prefix = f"{record['attempt']:04d}-{comm.rank:05d}"
    cost = Cost(**record["plan"])
    return Remote(module, pack, args.out / "ledger", prefix, record["program"], cost)


@dataclass
class Line:
    """The line to the functions of one run: a package, an executor, and a folder.

    ``found`` are the arrays of all answers that count, ``figures`` what their calls
    used; these rows are kept in the folder ``watched``, if any.
    """

    settings: Settings
    executor: Any
    remote: Remote
    package: str
    sent_bytes: int
    answers: Source
    policy: Policy = field(default_factory=Policy)
    watched: Path | None = None
    futures: dict[tuple[int, int], Any] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    found: list[pipeline.Arrays] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    answer_bytes: int = 0

    def send(self, batch: int, attempt: int, tasks: Batch, memory_mb: int) -> None:
        """Start a function."""
        answer = self.answers.beside(f"/{batch:06d}-{attempt}")
        parcel = Parcel(
            self.remote.module, self.settings.folder, self.package, tasks, answer
        )
        self.futures[batch, attempt] = self.executor.call_async(
            run_parcel,
            {"parcel": parcel},
            runtime_memory=memory_mb,
            exclude_modules=OURS,
        )

    def receive(self) -> list[Answer]:
        """Return the answers that have come since.

        A function that Lithops says has failed before it could answer is one too.
        """
        # looked at first, for who ends has answered before
        ended = [key for key, f in self.futures.items() if f.ready or f.success]
        answers = list(self._read_answers())
        for key in ended:
            if key in self.futures and (error := get_failure(self.futures.pop(key))):
                answers.append(make_failed(*key, error))
        return answers

    def _read_answers(self) -> Iterator[Answer]:
        """Yield what functions have put into the store since."""
        for name in storage.list_names(self.answers):
            if name in self.seen or not name.endswith((FAILED, FOUND)):
                continue
            self.seen.add(name)
            found = storage.read_whole(self.answers.beside(f"/{name}"))
            data = found[0] if found else b""
            words = name.partition(".")[0].partition("-")
            batch, attempt = int(words[0]), int(words[2])
            self.futures.pop((batch, attempt), None)
            if name.endswith(FAILED):
                yield make_failed(batch, attempt, data.decode(errors="replace"))
            else:
                yield Answer(batch, attempt, data)

    def accept(self, batch: int, tasks: Batch, data: bytes) -> float:
        """Record what a function found as if a rank had; return its seconds.

        Raises
        ------
        ValueError
            What came is not whole, or is of other tasks.
        """
        try:
            arrays, figures = decode_answer(data)
            finished = arrays.pop("finished")
        except pipeline.DAMAGED as error:
            raise ValueError(f"an answer is damaged: {error}") from None
        if finished.tolist() != list(tasks):
            raise ValueError("an answer is of other tasks")
        if not figures.keys() >= {*COLUMNS}:
            raise ValueError("an answer is of another version of hpc_connector")
        path = self.remote.get_path(f"away-{batch:06d}")
        pipeline.save_ledger(path, tasks, arrays)
        self.found.append(arrays)
        self.figures.append(figures | {"tasks": len(tasks)})
        self.answer_bytes += len(data)
        if self.watched:
            append_call(self.watched, figures)
        return float(figures["elapsed_s"])

    def close(self) -> None:
        """Let go of the functions, and remove the answers."""
        self.executor.__exit__(None, None, None)
        try:
            names = storage.list_names(self.answers)
            storage.delete([self.answers.beside(f"/{name}") for name in names])
        except BadInput as error:
            logger.warning("answers of functions were not removed: %s", error)


def make_failed(batch: int, attempt: int, error: str) -> Answer:
    """Return the answer of a function that has failed; its error begins with a name."""
    is_short = error.startswith(MemoryError.__name__)
    return Answer(batch, attempt, None, error, is_short)


def get_failure(future: Any) -> str:
    """Return why a function of Lithops has failed, empty where it has not.

    Lithops tells a worker that was killed for its memory by MemoryError.
    """
    try:
        future.status(throw_except=False)
        kind, error = future._exception[:2] if future.error else (None, None)
    except Exception as trouble:  # of a store, or in what it keeps
        logger.debug("Lithops does not say how a function ended: %s", trouble)
        return ""
    return f"{kind.__name__}: {error}" if kind else ""


def open_line(
    args: argparse.Namespace, remote: Remote, size: int, n_tasks: int
) -> Line:
    """Connect with Lithops, and put what tasks need into the store.

    Parameters
    ----------
    size, n_tasks
        Ranks, and tasks that are left.

    Raises
    ------
    BadInput
        A configuration that does not hold, or a store that does not take it.
    """
    settings = read_settings(args.burst, args.burst_workers)
    if args.budget is not None and settings.eur_per_gb_s is None:
        raise BadInput(
            f"--budget: {args.burst} has no eur_per_gb_s in its section burst: "
            f"expected what a GB second of {settings.backend} costs"
        )
    settings, policy = size_functions(args, remote, settings, size, n_tasks)
    package, sent_bytes = remote.pack(settings.folder)
    answers = settings.folder.beside(f"/answers/{uuid.uuid4().hex}")
    executor = open_executor(settings.lithops)
    watched = args.out if args.telemetry else None
    return Line(
        settings, executor, remote, package, sent_bytes, answers, policy, watched
    )


def size_functions(
    args: argparse.Namespace,
    remote: Remote,
    settings: Settings,
    size: int,
    n_tasks: int,
) -> tuple[Settings, Policy]:
    """Return settings with memory and number of functions, and the policy.

    What is left to do is known by now, and how long loading has taken.
    """
    cost = remote.cost
    cpu_s = cost.cpu_s * min(1.0, n_tasks / max(cost.tasks, 1))
    left = replace(cost, cpu_s=cpu_s, tasks=n_tasks, serial_s=cli.get_age_s())
    ranks = 0 if args.engine == "lithops" else size * args.threads
    chosen = choose_resources(args, settings, left, ranks, remote.program)
    for reason in chosen[2]:
        logger.info("%s", reason)
    return chosen[:2]


def run_tasks(
    comm: Any,
    args: argparse.Namespace,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Save,
    remote: Remote,
    show: Callable[[int, int], None] | None = None,
) -> tuple[bool, list[pipeline.Arrays], dict[str, Any] | None]:
    """Run tasks on all ranks, and in functions those that ``args.burst`` is for.

    Returns
    -------
    Whether all were run; what functions found, on rank 0; and the facts of the burst
    for the manifest, on rank 0, None without one.
    """
    if not args.burst or not len(todo):
        is_done = pipeline.run_on_ranks(
            comm, run_task, todo, save, threads=args.threads, show=show
        )
        return is_done, [], None
    line: Line | None = None
    with end_together(comm):
        if comm.rank == 0:
            line = open_line(args, remote, comm.size, len(todo))
    try:
        return _run_both(comm, args, run_task, todo, save, line, show)
    finally:
        if line:
            line.close()


def _run_both(
    comm: Any,
    args: argparse.Namespace,
    run_task: Callable[[int, int], None],
    todo: Sequence[int] | np.ndarray,
    save: Save,
    line: Line | None,
    show: Callable[[int, int], None] | None,
) -> tuple[bool, list[pipeline.Arrays], dict[str, Any] | None]:
    """Run tasks on ranks and in functions; then on ranks what functions did not do."""
    share = 1.0 if args.engine == "lithops" else args.burst_share or 0.0
    near, far = split(todo, share)
    end = End()
    away = None
    if line:
        away = partial(run_away, line, args, comm.size, far, len(near), end)
    run = partial(
        pipeline.run_on_ranks, comm, run_task, threads=args.threads, show=show
    )
    save_first, save_rest = join_saves(save, args.threads)
    is_done = run(near, save_first, away=away)
    n_done = end.burst.books.tasks_done if end.burst else 0
    is_whole = not share or n_done + len(end.back) == len(far)
    left, is_whole = comm.bcast((end.back, is_whole))
    if left and is_done:
        if end.burst:
            say_given_back(end.burst, left)
        is_done = run(left, save_rest)
    if line is None or end.burst is None:
        return is_done and is_whole, [], None
    return is_done and is_whole, line.found, describe(line, end.burst, len(todo))


@dataclass
class End:
    """What a burst has come to: ``back`` are the tasks that no function has done."""

    burst: Burst | None = None
    back: list[int] = field(default_factory=list)


def run_away(
    line: Line,
    args: argparse.Namespace,
    size: int,
    far: list[int],
    n_near: int,
    end: End,
    seat: pipeline.Seat,
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
    aim = make_aim(args, size)
    reserved = list(far)
    if far:
        take = take_reserved(reserved, line.settings, aim)
    else:
        take = take_overflow(seat, n_near, line.settings, aim)
    is_alone = args.engine == "lithops"
    burst = make_burst(line, take, seat, aim.rank_workers, is_alone=is_alone)
    end.burst, end.back = burst, burst.run(seat.is_stopped)
    if not seat.is_stopped():
        burst.books.tasks_given_back += len(reserved)
        end.back += reserved
    return 0 if far else burst.books.tasks_done + len(end.back)


def join_saves(save: Save, threads: int) -> tuple[Save, Save]:
    """Return what saves the tasks of a first and of a second round in one file."""
    finished: list[list[int]] = [[] for _ in range(threads)]

    def save_first(thread: int, done: list[int]) -> None:
        finished[thread] = list(done)
        save(thread, done)

    def save_rest(thread: int, done: list[int]) -> None:
        save(thread, [*finished[thread], *done])

    return save_first, save_rest


def make_aim(args: argparse.Namespace, size: int) -> Aim:
    """Return what a burst is for."""
    deadline_s = None
    if args.deadline is not None:
        deadline_s = time.monotonic() - cli.get_age_s() + args.deadline
    return Aim(size * args.threads, deadline_s, args.budget)


def make_burst(
    line: Line,
    take: Callable[[Burst], Batch | None],
    seat: pipeline.Seat,
    rank_workers: int,
    *,
    is_alone: bool,
) -> Burst:
    """Return a burst over a line.

    Parameters
    ----------
    rank_workers
        Ranks times threads.
    is_alone
        No rank runs tasks before functions have failed.
    """
    settings = line.settings
    start_s, task_s = time.monotonic(), 0.0

    def get_task_s() -> float:
        nonlocal task_s
        if not seat.is_free():  # after that, only time goes on
            elapsed_s = time.monotonic() - start_s
            task_s = rank_workers * elapsed_s / max(seat.count_taken(), 1)
        return task_s

    return Burst(
        take,
        line.send,
        line.receive,
        line.accept,
        lambda: seat.is_free() and not is_alone,
        get_task_s,
        partial(grow_memory, settings, line.policy),
        int(settings.workers),
        int(settings.memory_mb),
        int(settings.tries),
        settings.patience_s,
    )


def say_given_back(burst: Burst, left: list[int]) -> None:
    """Log which tasks the ranks have to do after all."""
    reason = burst.books.reason or "they did not answer in time"
    logger.warning("%d tasks are back from functions: %s", len(left), reason)


def describe(line: Line, burst: Burst, n_tasks: int) -> dict[str, Any]:
    """Return the facts of a burst for the manifest, and log them."""
    books, settings = burst.books, line.settings
    cost = settings.get_cost_eur(books.gb_s, books.calls)
    facts = {
        "backend": settings.backend,
        "workers": settings.workers,
        "memory_mb": settings.memory_mb,
        "last_memory_mb": burst.memory_mb,
        "tasks_here": n_tasks - books.tasks_done,
    }
    facts |= asdict(books)
    facts |= {
        "function_s": round(books.function_s, 3),
        "cpu_s": round(sum(f["cpu_s"] for f in line.figures), 3),
        "gb_s": round(books.gb_s, 3),
        "cost_eur": None if cost is None else round(cost, 6),
        "sent_bytes": line.sent_bytes,
        "fetched_bytes": sum(f["net_rx_bytes"] for f in line.figures),
        "answer_bytes": line.answer_bytes,
    }
    facts |= describe_calls(line.figures)
    logger.info(
        "%d of %d tasks in %d calls of functions: %.1f s, %s, %.1f MB there, %.1f MB "
        "back",
        books.tasks_done,
        n_tasks,
        books.calls,
        books.function_s,
        "cost not known" if cost is None else f"{cost:.4f} EUR",
        line.sent_bytes / 1e6,
        line.answer_bytes / 1e6,
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
