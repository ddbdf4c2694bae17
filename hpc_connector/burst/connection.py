"""The connection to the functions of one run: what goes there, and what comes back."""

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hpc_connector.allocation.cost import Cost
from hpc_connector.allocation.limits import Policy
from hpc_connector.burst.config import Settings, read_settings
from hpc_connector.burst.dispatch import Answer, Batch
from hpc_connector.burst.lithops.executor import open_executor
from hpc_connector.burst.outage import outlast
from hpc_connector.burst.resources import choose_resources
from hpc_connector.burst.worker import (
    FAILED,
    FOUND,
    Payload,
    decode_answer,
    run_payload,
)
from hpc_connector.errors import BadInput
from hpc_connector.options import RunOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.ledger import DAMAGED, Arrays, name_ledger, save_ledger
from hpc_connector.run_record import RunRecord
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import delete, list_names, read_whole
from hpc_connector.telemetry.calls import append_call
from hpc_connector.telemetry.columns import COLUMNS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """How the tasks of a program run in a function.

    Parameters
    ----------
    module
        Which has ``run_tasks(package, tasks)``.
    pack
        Puts what tasks need into a folder; returns the package's name and bytes sent.
    name_ledger
        Returns the file that finished tasks are recorded in, by a name of theirs.
    program, cost
        Which program it is, and what its formula says of the whole run.
    """

    module: str
    pack: Callable[[Source], tuple[str, int]]
    name_ledger: Callable[[str], Path]
    program: str
    cost: Cost


def make_remote(
    comm: Communicator,
    args: RunOptions,
    record: RunRecord,
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
    name = partial(name_ledger, args.out, record["attempt"], comm.rank)
    cost = Cost(**record["plan"])
    return Remote(module, pack, name, record["program"], cost)


@dataclass
class Connection:
    """The connection to the functions of one run: a package, an executor, and a folder.

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
    found: list[Arrays] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    answer_bytes: int = 0

    def send(self, batch: int, attempt: int, tasks: Batch, memory_mb: int) -> None:
        """Start a function."""
        answer = self.answers.beside(f"/{batch:06d}-{attempt}")
        payload = Payload(
            self.remote.module, self.settings.folder, self.package, tasks, answer
        )
        installed = (__name__, self.remote.module)  # there, so they need not travel
        self.futures[batch, attempt] = self.executor.call_async(
            run_payload,
            {"payload": payload},
            runtime_memory=memory_mb,
            exclude_modules=[name.partition(".")[0] for name in installed],
        )

    def receive(self) -> Iterator[Answer]:
        """Yield the answers that have come since.

        A function that Lithops says has failed before it could answer is one too.

        Raises
        ------
        BadInput
            The store does not give them; they come the next time.
        """
        # looked at first, for who ends has answered before
        ended = [key for key, f in self.futures.items() if f.ready or f.success]
        yield from self._read_answers()
        for key in ended:
            if key in self.futures and (error := get_failure(self.futures.pop(key))):
                yield make_failed(*key, error)

    def _read_answers(self) -> Iterator[Answer]:
        """Yield what functions have put into the store since."""
        for name in list_names(self.answers):
            if name in self.seen or not name.endswith((FAILED, FOUND)):
                continue
            found = read_whole(self.answers.beside(f"/{name}"))
            self.seen.add(name)
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
        except DAMAGED as error:
            raise ValueError(f"an answer is damaged: {error}") from None
        if finished.tolist() != list(tasks):
            raise ValueError("an answer is of other tasks")
        if not figures.keys() >= {*COLUMNS}:
            raise ValueError("an answer is of another version of hpc_connector")
        path = self.remote.name_ledger(f"away-{batch:06d}")
        save_ledger(path, tasks, arrays)
        self.found.append(arrays)
        self.figures.append(figures | {"tasks": len(tasks)})
        self.answer_bytes += len(data)
        if self.watched:
            append_call(self.watched, figures)
        return float(figures["elapsed_s"])

    def close(self) -> None:
        """Let go of the functions, and remove the answers, as far as that can be."""
        try:
            self.executor.__exit__(None, None, None)
        except Exception as error:  # of its store, of many kinds
            logger.warning("Lithops did not clean up: %s", error)
        try:
            names = list_names(self.answers)
            delete([self.answers.beside(f"/{name}") for name in names])
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


def open_connection(
    args: RunOptions, remote: Remote, size: int, n_tasks: int
) -> Connection:
    """Connect with Lithops, and put what tasks need into the store.

    Parameters
    ----------
    size, n_tasks
        Ranks, and tasks that are left.

    Raises
    ------
    BadInput
        A configuration that does not hold, or a store that does not take it.
    NoAnswer
        The store has not answered for as long as a function is waited for.
    """
    assert args.burst  # functions are asked for
    settings = read_settings(args.burst, args.burst_workers)
    if args.budget is not None and settings.eur_per_gb_s is None:
        raise BadInput(
            f"--budget: {args.burst} has no eur_per_gb_s in its section burst: "
            f"expected what a GB second of {settings.backend} costs"
        )
    settings, policy = size_functions(args, remote, settings, size, n_tasks)
    pack = partial(remote.pack, settings.folder)
    package, sent_bytes = outlast(pack, settings.patience_s)
    answers = settings.folder.beside(f"/answers/{uuid.uuid4().hex}")
    connect = partial(open_executor, settings.lithops)
    executor = outlast(connect, settings.patience_s)
    watched = args.out if args.telemetry else None
    return Connection(
        settings, executor, remote, package, sent_bytes, answers, policy, watched
    )


def size_functions(
    args: RunOptions,
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
    left = replace(cost, cpu_s=cpu_s, tasks=n_tasks, serial_s=args.get_age_s())
    ranks = 0 if args.engine == "lithops" else size * args.threads
    chosen = choose_resources(args, args.out, settings, left, ranks, remote.program)
    for reason in chosen[2]:
        logger.info("%s", reason)
    return chosen[:2]
