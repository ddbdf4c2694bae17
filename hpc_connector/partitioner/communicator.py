"""The communicator, what it shares, and how it ends: the only module with MPI."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput

LAUNCHED_BY_MPI = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")


class SerialCommunicator:
    """A communicator of one rank, for machines without MPI."""

    rank = 0
    size = 1

    def Barrier(self) -> None:
        """Wait for nobody."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return the value."""
        return value

    def gather(self, value: Any, root: int = 0) -> list:
        """Return the values of all ranks: one."""
        return [value]

    def allgather(self, value: Any) -> list:
        """Return the values of all ranks: one."""
        return [value]


def get_mpicomm(*, serial: bool = False) -> Any:
    """Return the communicator of this run.

    MPI starts only where a launcher (mpirun, srun) started this process: a laptop or
    a login node needs none.

    Parameters
    ----------
    serial
        Return a communicator of one rank even so.
    """
    if serial or not any(name in os.environ for name in LAUNCHED_BY_MPI):
        return SerialCommunicator()
    try:
        from mpi4py import MPI
    except ImportError:
        raise BadInput(
            "started by an MPI launcher, but mpi4py is not installed: expected "
            "pip install 'hpc_connector[mpi]'"
        ) from None
    return MPI.COMM_WORLD


def is_serial(comm: Any) -> bool:
    """Return whether a communicator is one of a single rank without MPI."""
    return isinstance(comm, SerialCommunicator)


def get_node(comm: Any) -> tuple[int, int, int]:
    """Return rank on the node, ranks of the node, and the number of nodes."""
    if is_serial(comm):
        return 0, 1, 1
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    rank, size = node.rank, node.size
    nodes = sum(r == 0 for r in comm.allgather(rank))
    node.Free()
    return rank, size, nodes


@contextlib.contextmanager
def share_array(comm: Any, shape: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """Give the ranks of a node one array of zeros in a shared-memory window."""
    if is_serial(comm):
        yield np.zeros(shape, dtype)
        return
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    window = MPI.Win.Allocate_shared(n_bytes if node.rank == 0 else 0, 1, comm=node)
    memory: Any = window.Shared_query(0)[0]
    array = np.frombuffer(memory, dtype).reshape(shape)
    if node.rank == 0:
        array[:] = 0
    node.Barrier()
    yield array
    del array
    window.Free()
    node.Free()


@contextlib.contextmanager
def count_tickets(comm: Any) -> Iterator[Callable[[int], int]]:
    """Give all ranks one counter: a call adds a step and returns what it was.

    The counter is one-sided (``MPI_Fetch_and_op``), so that no rank serves others.
    """
    if is_serial(comm):
        tickets = [0]

        def take_here(step: int) -> int:
            tickets[0] += step
            return tickets[0] - step

        yield take_here
        return
    from mpi4py import MPI

    window = MPI.Win.Allocate(8 if comm.rank == 0 else 0, 8, comm=comm)
    if comm.rank == 0:
        memory: Any = window.tomemory()
        np.frombuffer(memory, np.int64)[:] = 0
    comm.Barrier()
    before = np.zeros(1, np.int64)

    def take(step: int) -> int:
        window.Lock(0)
        window.Fetch_and_op(np.array([step], np.int64), before, 0, 0, MPI.SUM)
        window.Unlock(0)
        return int(before[0])

    yield take
    comm.Barrier()
    window.Free()


@contextlib.contextmanager
def abort_on_error(comm: Any, code: Callable[[BaseException], int]) -> Iterator[None]:
    """End all ranks when this one raises, with the exit code of the exception.

    `code` says the message and returns the exit code; the others would wait for ever
    in a collective that this rank does not reach.
    """
    try:
        yield
    except SystemExit:
        raise
    except BaseException as error:
        exit_code = code(error)
        if comm.size == 1:
            raise SystemExit(exit_code) from None
        sys.stdout.flush()
        sys.stderr.flush()
        comm.Abort(exit_code)


def print_traceback() -> None:
    """Write the traceback of the exception in hand to stderr."""
    traceback.print_exc(file=sys.stderr)
