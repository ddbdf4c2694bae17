"""Sums of arrays over ranks, of integers that wrap."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.partitioner.ending import FIRST_POLL_S, POLL_S

Numbers = NDArray[np.unsignedinteger[Any]]


def sum_arrays(comm: Any, numbers: Numbers, *, for_all: bool) -> Numbers | None:
    """Return the sum of an array over ranks, modulo 2^w; they wait asleep.

    The array is used up: it may hold the sum.

    Parameters
    ----------
    comm
        Communicator of mpi4py.
    numbers
        uint16, uint32 or uint64 of the same shape on all ranks.
    for_all
        All ranks are given the sum (``Allreduce``), or the first one alone.
    """
    from mpi4py import MPI

    if for_all:
        wait(comm.Iallreduce(MPI.IN_PLACE, numbers, MPI.SUM))
        return numbers
    if comm.rank > 0:
        wait(comm.Isend(numbers, 0))
        return None
    # A fifth of the CPU time of MPICH's Ireduce, for arrays of some MB
    other = np.empty_like(numbers)
    for rank in range(1, comm.size):
        wait(comm.Irecv(other, rank))
        numbers += other
    return numbers


def wait(request: Any) -> None:
    """Wait until a request is done, asleep: a blocking call would burn a core."""
    poll_s = FIRST_POLL_S
    while not request.Test():
        time.sleep(poll_s)
        poll_s = min(2 * poll_s, POLL_S)
