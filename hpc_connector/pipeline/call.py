"""A run of a program that Python calls: as the command, and the process stays as it is.

Errors are raised, nothing is printed, and no log, signal or exit is set up.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import release_folder
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.program import Choose, Options, begin, watch
from hpc_connector.pipeline.readers import end_readers, share_readers
from hpc_connector.pipeline.resources import Usage, read_usage
from hpc_connector.storage.objects import forget
from hpc_connector.undo import remove_empty, undo_run

Found = TypeVar("Found")


def call(
    run: Callable[[Any, Options, Usage], Found],
    options: Options,
    choose: Choose[Options],
    comm: Any = None,
) -> Found:
    """Return the outcome of a program's run.

    Parameters
    ----------
    run
        Takes the communicator, the options, and what this process has used before.
    choose
        As of :func:`hpc_connector.pipeline.program.open_session`.
    comm
        Of mpi4py, each of whose ranks calls this; of this process alone if None.

    Raises
    ------
    BadInput
        The input cannot be used; a new run then leaves nothing behind.
    """
    forget()  # what an earlier run of this process saw
    used = read_usage()
    comm = get_mpicomm(serial=True) if comm is None else comm
    before: Any = None
    lock = ""
    try:
        with end_together(comm):
            if comm.rank == 0:
                before, lock, options = begin(choose(options))
        options = comm.bcast(options)
        share_readers(comm)
        with watch(comm, options):
            return run(comm, options, used)
    except BaseException as error:
        if before is not None:
            undo_run(before) if isinstance(error, BadInput) else remove_empty(before)
        raise
    finally:
        end_readers()
        if lock:
            release_folder(options.out, lock)
