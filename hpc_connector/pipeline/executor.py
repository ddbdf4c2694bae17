"""Where the tasks of a run are done, as a value: by ranks, or also by functions."""

import importlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.options import BurstOptions, RunOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.ranks import Outcome, run_on_ranks
from hpc_connector.run_record import RunRecord


class Work(NamedTuple):
    """The tasks that are left to do, as an executor takes them.

    Parameters
    ----------
    run_task
        Takes a task and the thread that runs it.
    todo
        The tasks, the same on every rank.
    save
        Records what a thread has done.
    """

    run_task: Callable[[int, int], None]
    todo: Sequence[int] | NDArray[np.int64]
    save: Callable[[int, list[int]], None]


class Executor(Protocol):
    """Runs tasks; see :func:`hpc_connector.pipeline.ranks.run_on_ranks`."""

    def __call__(
        self,
        run_task: Callable[[int, int], None],
        todo: Sequence[int] | np.ndarray,
        save: Callable[[int, list[int]], None],
        *,
        show: Callable[[int, int], None] | None = None,
    ) -> Outcome:
        """Run the tasks that are left to do."""


def choose_executor(
    comm: Communicator,
    options: RunOptions,
    record: RunRecord,
    module: str,
    *packed: Any,
    is_stopped: threading.Event | None = None,
) -> Executor:
    """Return the executor that the options of a run ask for.

    Parameters
    ----------
    record
        Of the run so far.
    module
        For functions, and loaded for these alone: its ``pack(*packed, folder)`` puts
        what tasks need into a store, and ``run_tasks(package, tasks)`` runs some.
    is_stopped
        As in :func:`~hpc_connector.pipeline.ranks.run_on_ranks`.
    """
    if options.burst is None:
        threads = options.threads
        return partial(run_on_ranks, comm, threads=threads, is_stopped=is_stopped)
    from hpc_connector.burst.connection import make_remote
    from hpc_connector.burst.run import run_tasks

    pack = partial(importlib.import_module(module).pack, *packed)
    remote = make_remote(comm, options, record, module, pack)
    return partial(run_tasks, comm, options, remote)


def check_options(options: BurstOptions) -> None:
    """Raise where options of a burst are given without one."""
    if options.burst:
        return
    names = ("burst_workers", "burst_share", "budget", "deadline", "policy", "history")
    for name in names:
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            raise BadInput(f"--{option} is for a burst: expected --burst FILE")
    if options.engine == "lithops":
        raise BadInput(
            "--engine lithops: expected --burst FILE, Lithops' configuration"
        )
