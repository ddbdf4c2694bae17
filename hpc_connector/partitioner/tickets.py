"""Tickets: each task is taken by one rank, by counters that are read one-sidedly."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import (
    Communicator,
    ParallelCommunicator,
    is_parallel,
)
from hpc_connector.partitioner.ending import POLL_S, end_together
from hpc_connector.partitioner.shared_memory import get_node

WAIT_S = 20e-6  # for another rank of the node to hear from another node
Add = Callable[[int, int], int]


@contextlib.contextmanager
def count_tickets(
    comm: Communicator, n: int
) -> Iterator[tuple[Callable[[], int], Callable[[], None]]]:
    """Give all ranks what takes the next of n tickets, and what ends that early.

    The first returns n where no ticket is left. Each node has a counter in memory that
    its ranks share, so the counter of all is asked once for as many tickets as a node
    has ranks, and is not overrun by any number of nodes.
    """
    if not is_parallel(comm):
        tickets = iter(range(n))

        def drop_all() -> None:
            deque(tickets, maxlen=0)

        yield lambda: next(tickets, n), drop_all
        return
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    width = node.size
    with (
        open_counters(comm, 1) as add_to_all,
        open_counters(node, 1 + -(-n // width)) as add_here,
        serve_nodes(comm),
        end_together(comm),
    ):

        def end() -> None:
            add_to_all(0, n)
            add_here(0, n)

        yield lambda: take_ticket(n, width, add_here, add_to_all), end
    node.Free()


def take_ticket(n: int, width: int, add_here: Add, add_to_all: Add) -> int:
    """Return the next ticket of this node, n where none is left.

    Parameters
    ----------
    width
        Tickets that a node takes at once.
    add_here, add_to_all
        Add to a counter and return what it was. The first counter of a node is of its
        tickets; each of the others has the first ticket of those taken at once, and 1
        more, once that is known.
    """
    number = add_here(0, 1)
    if number >= n:
        return n
    group, place = divmod(number, width)
    if place == 0:
        first = add_to_all(0, width)
        add_here(1 + group, first + 1)
        return min(first, n)
    while not (known := add_here(1 + group, 0)):
        time.sleep(WAIT_S)
    return min(known - 1 + place, n)


@contextlib.contextmanager
def open_counters(comm: Any, n: int) -> Iterator[Add]:
    """Give ranks counters, and what adds to one of them and returns what it was.

    They are one-sided (``MPI_Fetch_and_op``) and lie on rank 0; `comm` is mpi4py's.
    They are locked once: a lock for each call would wait until rank 0 has finished its
    task.
    """
    from mpi4py import MPI

    try:
        window = MPI.Win.Allocate(8 * n if comm.rank == 0 else 0, 8, comm=comm)
    except MPI.Exception as error:
        raise BadInput(
            f"this MPI cannot count between these ranks ({error}): expected one with "
            "one-sided communication; see hpc-connector doctor"
        ) from None
    if comm.rank == 0:
        memory: Any = window.tomemory()
        np.frombuffer(memory, np.int64)[:] = 0
    comm.Barrier()
    window.Lock_all(MPI.MODE_NOCHECK)
    before = np.zeros(1, np.int64)

    def add(counter: int, step: int) -> int:
        window.Fetch_and_op(np.array([step], np.int64), before, 0, counter, MPI.SUM)
        window.Flush(0)
        return int(before[0])

    yield add
    window.Unlock_all()
    window.Free()


@contextlib.contextmanager
def serve_nodes(comm: ParallelCommunicator) -> Iterator[None]:
    """Answer other nodes while this rank computes, if it is rank 0.

    Without hardware for it, MPI reads its messages only inside a call.
    """
    from mpi4py import MPI

    nodes = get_node(comm)[2]
    if comm.rank != 0 or nodes == 1 or MPI.Query_thread() != MPI.THREAD_MULTIPLE:
        yield
        return
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.wait(POLL_S):
            comm.Iprobe()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield
    finally:
        is_over.set()
        server.join()
