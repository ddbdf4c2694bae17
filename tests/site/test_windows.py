"""Memory that the ranks of a node share: one copy, of any size, of their own node."""

import numpy as np
import pytest

from hpc_connector.partitioner.shared_memory import get_node, share_array

pytestmark = pytest.mark.mpi

LARGE_BYTES = 48 << 20


def get_pss_bytes():
    """Return the memory of this process, shared pages divided by who shares them."""
    with open("/proc/self/smaps_rollup") as stream:
        lines = [line.split() for line in stream]
    (kib,) = [int(words[1]) for words in lines if words[0] == "Pss:"]
    return 1024 * kib


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
@pytest.mark.parametrize("n", [0, 1, 4097, 300_001])
def test_share_array__every_rank_of_a_node_reads_what_each_wrote(comm, n, dtype):
    rank, size, _ = get_node(comm)
    first = comm.allgather((comm.rank, rank))[comm.rank][0] - rank
    with share_array(comm, (size, n), np.dtype(dtype)) as shared:
        shared[rank] = (comm.rank + np.arange(n)) % 251
        comm.Barrier()
        ranks = first + np.arange(size)[:, None]
        expected = (ranks + np.arange(n)) % 251
        is_same = np.array_equal(shared, expected.astype(dtype))
        comm.Barrier()
    assert is_same


def test_share_array__has_one_copy_a_node(comm):
    rank, size, _ = get_node(comm)
    before = get_pss_bytes()
    with share_array(comm, (LARGE_BYTES,), np.uint8) as shared:
        if rank == 0:
            shared[:] = 7
        comm.Barrier()
        total = int(shared.sum(dtype=np.int64))
        comm.Barrier()  # every rank has the pages of all
        more = get_pss_bytes() - before
        comm.Barrier()
    assert total == 7 * LARGE_BYTES
    assert more < LARGE_BYTES / size + LARGE_BYTES / 8


def test_share_array__many_after_one_another(comm):
    """As a run shares its genotypes, its labels, and one window for each stage."""
    rank, size, _ = get_node(comm)
    for turn in range(50):
        with share_array(comm, (size,), np.int64) as shared:
            shared[rank] = turn * rank
            comm.Barrier()
            assert shared.tolist() == [turn * r for r in range(size)]
            comm.Barrier()
