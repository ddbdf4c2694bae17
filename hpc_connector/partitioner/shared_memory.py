"""Arrays in memory that the ranks of a node share."""

import contextlib
import ctypes
import mmap
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpc_connector.partitioner.communicator import Communicator, is_parallel
from hpc_connector.partitioner.ending import end_together

SHARED_MEMORY = "/dev/shm"
MADV_REMOVE = 9  # of Linux


def get_node(comm: Communicator) -> tuple[int, int, int]:
    """Return rank on the node, ranks of the node, and the number of nodes."""
    if not is_parallel(comm):
        return 0, 1, 1
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    rank, size = node.rank, node.size
    nodes = sum(r == 0 for r in comm.allgather(rank))
    node.Free()
    return rank, size, nodes


@contextlib.contextmanager
def share_array(
    comm: Communicator, shape: tuple[int, ...], dtype: DTypeLike
) -> Iterator[NDArray[Any]]:
    """Give the ranks of a node one array, not filled, in a shared-memory window."""
    if not is_parallel(comm):
        yield np.empty(shape, dtype)
        return
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if node.rank == 0:
        check_shared_memory(n_bytes)
    with end_together(node):
        try:
            own_bytes = n_bytes if node.rank == 0 else 0
            window = MPI.Win.Allocate_shared(own_bytes, 1, comm=node)
        except MPI.Exception as error:
            raise MemoryError(f"{n_bytes:,} bytes to share: {error}") from None
    memory: Any = window.Shared_query(0)[0]
    array = np.frombuffer(memory, dtype).reshape(shape)
    yield array
    del array
    window.Free()
    node.Free()


def drop_shared(comm: Communicator, arrays: Sequence[NDArray[Any]]) -> None:
    """Give back the memory of arrays that no rank of the node needs any more.

    The last rank of a node does it, for what takes a while where memory is large; the
    first has work then. The windows stay, and hold zeros.
    """
    rank, size, _ = get_node(comm)
    if rank == 0 or rank < size - 1 or sys.platform != "linux":
        return
    for array in arrays:
        first = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
        n_bytes = array.ctypes.data + array.nbytes - first
        n_bytes -= n_bytes % mmap.PAGESIZE
        if n_bytes > 0:  # an error leaves it to the end of the window
            ctypes.CDLL(None).madvise(
                ctypes.c_void_p(first), ctypes.c_size_t(n_bytes), MADV_REMOVE
            )


def check_shared_memory(n_bytes: int) -> None:
    """Raise where a window is larger than what a container may share, often 64 MB.

    MPI would grant it, and a signal end the rank that first writes beyond.
    """
    with contextlib.suppress(FileNotFoundError):
        if n_bytes > (free := shutil.disk_usage(SHARED_MEMORY).free):
            raise MemoryError(
                f"{n_bytes:,} bytes of genotypes, but {SHARED_MEMORY} has {free:,} free"
            )
