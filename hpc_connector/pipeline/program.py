"""A program on all ranks, from its lock of the folder to its exit code."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import release_folder
from hpc_connector.manifest import enter_folder
from hpc_connector.options import RunOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import abort_on_error, end_now
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.access import begin_access
from hpc_connector.pipeline.readers import (
    begin_readers,
    check_readers,
    end_readers,
    share_readers,
)
from hpc_connector.pipeline.signals import on_signals
from hpc_connector.storage.objects import forget
from hpc_connector.undo import Before, look_before, remove_empty, undo_run

Options = TypeVar("Options", bound=RunOptions)
Choose = Callable[[Options], Options]


@contextlib.contextmanager
def open_session(
    name: str, options: Options, choose: Choose[Options] | None = None
) -> Iterator[tuple[Communicator, Options]]:
    """Run a program on all ranks, none of which is left behind.

    Gives the communicator, and the options that were chosen.

    What is raised within is told in a line, and ends the program.

    Parameters
    ----------
    options
        Of the run; with ``telemetry`` an agent watches the ranks of each node. Of a new
        run that bad input ends before its first task, ``out`` keeps nothing.
    choose
        Returns options that name files otherwise; called on the first rank alone,
        before anything is read.

    Raises
    ------
    SystemExit
        With the exit code of what was raised, also before anything is run.
    """
    forget()  # what an earlier run of this process saw
    try:
        comm = get_mpicomm()
    except Exception as error:
        raise SystemExit(cli.explain(name, error)) from None
    cli.set_up_log(name, rank=comm.rank)
    before: Before | None = None
    lock = ""

    def leave() -> None:
        if lock:
            release_folder(options.out, lock)

    def refuse(error: BaseException) -> int:
        leave()
        if before is not None:
            undo_run(before) if isinstance(error, BadInput) else remove_empty(before)
        return cli.explain(name, error, is_run=True)

    def stop() -> None:
        leave()
        end_now(comm, cli.STOPPED, f"{name}: stopped on request; --resume goes on\n")

    try:
        with abort_on_error(comm, refuse), on_signals(stop):
            chosen = choose(options) if choose and comm.rank == 0 else options
            begun = begin(chosen) if comm.rank == 0 else None
            before, lock, options = comm.bcast(begun)
            share_readers(comm)
            with watch(comm, options):
                yield comm, options
    finally:
        end_readers()
        if comm.rank == 0:
            leave()


def watch(
    comm: Communicator, options: RunOptions
) -> contextlib.AbstractContextManager[None]:
    """Return the watch over a run, if its options ask for telemetry."""
    if not (options.telemetry or options.telemetry_stream):
        return contextlib.nullcontext()
    from hpc_connector.telemetry.watch.session import watch_ranks

    return watch_ranks(comm, options)


def begin(options: Options) -> tuple[Before, str, Options]:
    """Return the state before a run, the lock of its folder, its options; have keys."""
    check_readers(options)
    begin_access(options)
    begin_readers(options)
    before = look_before(options.out)
    try:
        lock = enter_folder(options.out, resume=options.resume)
    except BadInput:
        remove_empty(before)
        raise
    return before, lock, options
