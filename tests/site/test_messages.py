"""Messages of all sizes: between neighbours, also of other nodes, and among all."""

import os

import numpy as np
import pytest

from hpc_connector.partitioner.shared_memory import get_node

pytestmark = pytest.mark.mpi

LARGE_BYTES = 48 << 20
LARGEST_BYTES = (1 << 31) + 4096  # more than a 32-bit count of bytes can say
SHARE = 1 / 8  # of the memory that is free, for all messages of a node


def count_free_bytes():
    """Return the memory that is available on this node, and in this job."""
    with open("/proc/meminfo") as stream:
        found = {line.split(":")[0]: line.split()[1] for line in stream}
    free = 1024 * int(found["MemAvailable"])
    given = int(os.environ.get("SLURM_MEM_PER_NODE", 0)) << 20
    return min(free, given) if given else free


@pytest.fixture(scope="module", params=["empty", "small", "medium", "large"])
def n_bytes(request, comm):
    """Return a size: the last is over 2^31 bytes where the memory of all allows it."""
    sizes = {"empty": 0, "small": 8, "medium": 200_000, "large": LARGE_BYTES}
    _, ranks, _ = get_node(comm)
    is_roomy = 2 * ranks * LARGEST_BYTES < SHARE * count_free_bytes()
    if request.param == "large" and all(comm.allgather(is_roomy)):
        return LARGEST_BYTES
    return sizes[request.param]


def make_message(n_bytes, seed):
    """Return what a rank sends: another's differs in every place."""
    return np.arange(n_bytes // 8, dtype=np.int64) * 3 + seed


def test_sendrecv__of_neighbours_in_a_ring(comm, n_bytes):
    """The ring crosses from node to node, whichever way ranks are dealt."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    received = np.zeros(n_bytes // 8, np.int64)
    comm.Sendrecv(make_message(n_bytes, comm.rank), right, 0, received, left, 0)
    assert np.array_equal(received, make_message(n_bytes, left))


def test_bcast__from_each_end(comm, n_bytes):
    for root in (0, comm.size - 1):
        message = make_message(n_bytes, root)
        found = message if comm.rank == root else np.zeros_like(message)
        comm.Bcast(found, root)
        assert np.array_equal(found, message)


def test_gather__in_the_order_of_ranks(comm, n_bytes):
    """Shares of different sizes, which are as large as a message together."""
    counts = np.full(comm.size, n_bytes // 8 // comm.size)
    counts[0] += n_bytes // 8 - counts.sum()
    begin = np.cumsum(counts) - counts
    message = make_message(n_bytes, 5)
    mine = message[begin[comm.rank] :][: counts[comm.rank]].copy()
    found = np.zeros_like(message)
    comm.Allgatherv(mine, [found, counts])
    assert np.array_equal(found, message)


def test_allreduce__adds_up(comm, n_bytes):
    found = make_message(n_bytes, comm.rank)
    comm.Allreduce(found.copy(), found)
    ranks = np.arange(comm.size)
    assert np.array_equal(found, comm.size * make_message(n_bytes, 0) + ranks.sum())


def test_gather__of_objects(comm):
    """As ranks tell what they found: small, and of several megabytes."""
    for n in (0, 1, 3_000_000):
        found = comm.gather({"rank": comm.rank, "bytes": bytes(n)})
        told = [one["rank"] for one in found or []]
        assert told == (list(range(comm.size)) if comm.rank == 0 else [])
        assert all(len(one["bytes"]) == n for one in found or [])
