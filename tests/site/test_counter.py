"""The one-sided counter that hands out tasks: every ticket once, over all ranks."""

import time

import pytest

from hpc_connector.partitioner.tickets import count_tickets

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("n", [0, 1, 7, 5000])
def test_count_tickets__gives_each_once(comm, n):
    with count_tickets(comm, n) as (take, _):
        mine = list(iter(take, n))
    everyone = sorted(ticket for tickets in comm.allgather(mine) for ticket in tickets)
    assert everyone == list(range(n))


def test_count_tickets__are_over_after_an_early_end(comm):
    """But for those that a node has in hand, as many as it has ranks."""
    n = 1000 * comm.size
    with count_tickets(comm, n) as (take, end):
        mine = [take()]
        comm.Barrier()
        end()
        comm.Barrier()
        mine += iter(take, n)
    everyone = [ticket for tickets in comm.allgather(mine) for ticket in tickets]
    assert len(set(everyone)) == len(everyone) <= 2 * comm.size


def test_count_tickets__does_not_wait_for_a_busy_rank(comm, mpi_tmp_path):
    """Rank 0, where the counter lies, computes until the others have taken all."""
    flag, n = mpi_tmp_path / "taken", 50 * comm.size
    with count_tickets(comm, n) as (take, _):
        while comm.rank == 0 and not flag.exists():
            time.sleep(0.01)
        mine = list(iter(take, n))
        flag.touch()
    everyone = sorted(ticket for tickets in comm.allgather(mine) for ticket in tickets)
    assert everyone == list(range(n))
    assert comm.rank > 0 or not mine
