"""Sums of arrays over ranks, of integers that wrap."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.partitioner.shared_memory import (
    SHARED_MEMORY,
    get_node,
    share_array,
)

Numbers = NDArray[np.unsignedinteger[Any]]
Room = NDArray[np.uint8]
Make = Callable[..., Numbers]
Sum = Numbers | None
PIECE = 1 << 18  # numbers that stay in the cache
FIRST_POLL_S, POLL_S = 0.0005, 0.002  # others count for milliseconds
MARK = np.zeros(1, np.uint8)  # that an array is there, or has been read


@contextlib.contextmanager
def open_room(comm: Any, n_bytes: int) -> Iterator[Room | None]:
    """Give memory that all ranks share, uint8 (ranks, bytes); None if there is none.

    There is none where ranks are on several nodes, or a container has little to share.
    """
    has_room = True
    with contextlib.suppress(FileNotFoundError):
        has_room = shutil.disk_usage(SHARED_MEMORY).free > 2 * comm.size * n_bytes
    if get_node(comm)[2] > 1 or not all(comm.allgather(has_room)):
        yield None
        return
    with share_array(comm, (comm.size, n_bytes), np.uint8) as room:
        yield room


def sum_arrays(comm: Any, make: Make, *, for_all: bool, room: Room | None) -> Sum:
    """Return the sum of an array over ranks, modulo 2^w; they wait asleep.

    Parameters
    ----------
    comm
        Communicator of mpi4py.
    make
        Returns the array of this rank, at the beginning of some memory if that is given
        and large enough: uint16, uint32 or uint64 of the same shape on all ranks.
    for_all
        All ranks are given the sum (``Allreduce``), or the first one alone.
    room
        From :func:`open_room`: there the first one reads what others write, so that
        nothing is copied.
    """
    from mpi4py import MPI

    if for_all:
        numbers = make()
        wait(comm.Iallreduce(MPI.IN_PLACE, numbers, MPI.SUM))
        return numbers
    if comm.rank > 0:
        numbers = make() if room is None else make(room[comm.rank])
        is_read = room is not None and numbers.nbytes <= room.shape[1]
        wait(comm.Isend(MARK if is_read else numbers, 0))
        if is_read:
            wait(comm.Irecv(MARK.copy(), 0))
        return None
    total = make()
    if room is None or total.nbytes > room.shape[1]:
        add_messages(comm, total)
    else:
        add_room(comm, total, room)
    return total


def add_messages(comm: Any, total: Numbers) -> None:
    """Add the arrays of other ranks, which they send.

    A fifth of the CPU time of MPICH's Ireduce, for arrays of some MB.
    """
    other = np.empty_like(total)
    for rank in range(1, comm.size):
        wait(comm.Irecv(other, rank))
        total += other


def add_room(comm: Any, total: Numbers, room: Room) -> None:
    """Add arrays of other ranks where they lie, by pieces that stay in the cache."""
    for rank in range(1, comm.size):
        wait(comm.Irecv(MARK.copy(), rank))
    arrays = room[1:, : total.nbytes].view(total.dtype)
    for at in range(0, len(total), PIECE):
        piece = total[at : at + PIECE]
        for other in arrays[:, at : at + PIECE]:
            piece += other
    for rank in range(1, comm.size):
        wait(comm.Isend(MARK, rank))


def wait(request: Any) -> None:
    """Wait until a request is done, asleep: a blocking call would burn a core."""
    poll_s = FIRST_POLL_S
    while not request.Test():
        time.sleep(poll_s)
        poll_s = min(2 * poll_s, POLL_S)
