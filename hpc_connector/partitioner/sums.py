"""Sums of arrays over ranks, of integers that wrap."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

POLL_S, FIRST_POLL_S = 0.0005, 20e-6

Numbers = NDArray[np.unsignedinteger[Any]]


def sum_arrays(comm: Any, numbers: Numbers, *, for_all: bool) -> Numbers | None:
    """Return the sum of an array over ranks, modulo 2^w; they wait asleep.

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

    is_given = for_all or comm.rank == 0
    total = np.empty_like(numbers) if is_given else None
    if for_all:
        request = comm.Iallreduce(numbers, total, MPI.SUM)
    else:
        request = comm.Ireduce(numbers, total, MPI.SUM, 0)
    poll_s = FIRST_POLL_S
    while not request.Test():  # a blocking call would burn a core
        time.sleep(poll_s)
        poll_s = min(2 * poll_s, POLL_S)
    return total
