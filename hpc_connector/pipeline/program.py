"""A program on all ranks, from its lock of the folder to its exit code."""

from collections.abc import Callable
from typing import Any

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.folder_lock import release_folder
from hpc_connector.manifest import enter_folder
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import abort_on_error, end_now
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.signals import on_signals
from hpc_connector.storage.objects import forget
from hpc_connector.undo import Before, look_before, remove_empty, undo_run


def run_program(name: str, run: Callable[[Communicator], int], args: Any = None) -> int:
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
    forget()  # what an earlier run of this process saw
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
                from hpc_connector.telemetry.watch.session import run_watched

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
