"""A run of a program that Python calls: as the command, and the process stays as it is.

Errors are raised, nothing is printed, and no log, signal or exit is set up.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from hpc_connector.errors import BadInput
from hpc_connector.folder_lock import release_folder
from hpc_connector.options import RunOptions
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.program import begin
from hpc_connector.undo import remove_empty, undo_run

Options = TypeVar("Options", bound=RunOptions)
Found = TypeVar("Found")


def call(
    run: Callable[[Any, Options], Found], options: Options, comm: Any = None
) -> Found:
    """Return what a program's run returns.

    Parameters
    ----------
    run
        Takes the communicator and the options.
    comm
        Of mpi4py, each of whose ranks calls this; of this process alone if None.

    Raises
    ------
    BadInput
        The input cannot be used; a new run then leaves nothing behind.
    """
    comm = get_mpicomm(serial=True) if comm is None else comm
    before: Any = None
    lock = ""
    with end_together(comm):
        if comm.rank == 0:
            before, lock = begin(options)
    try:
        return watch(run, options, comm)
    except BaseException as error:
        if before is not None:
            undo_run(before) if isinstance(error, BadInput) else remove_empty(before)
        raise
    finally:
        if lock:
            release_folder(options.out, lock)


def watch(run: Callable[[Any, Options], Found], options: Options, comm: Any) -> Found:
    """Run, and watch the ranks of each node if that is asked for."""
    if not options.telemetry:
        return run(comm, options)
    from hpc_connector.telemetry.watch.session import run_watched

    found: list[Found] = []

    def keep() -> int:
        found.append(run(comm, options))
        return 0

    run_watched(comm, options, keep)
    return found[0]
