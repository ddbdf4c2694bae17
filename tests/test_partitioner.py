"""Shares and tiles cover all work once."""

import os
import subprocess
import sys
from collections import Counter
from functools import partial
from itertools import chain, combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector import partitioner
from hpc_connector.partitioner.launch import choose_network
from hpc_connector.partitioner.shared_memory import share_array
from hpc_connector.partitioner.tickets import count_tickets, take_ticket
from programs import PATIENCE_S

ALL = -1  # the counter of all nodes


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(1, 8))
def test_make_distribution__covers_every_task_once(cost, size):
    ends = partitioner.make_distribution(np.array(cost, np.int64), size)
    assert ends[0] == 0
    assert ends[-1] == len(cost)
    assert (np.diff(ends) >= 0).all()
    shares = [sum(cost[a:b]) for a, b in pairwise(ends)]
    assert max(shares) <= sum(cost) / size + max(cost, default=0)


def test_make_distribution__refuses_no_share():
    with pytest.raises(ValueError, match="at least 1"):
        partitioner.make_distribution(np.ones(3), 0)


def test_get_comb_files__pairs_each_once():
    pairs = [tuple(p) for p in partitioner.get_comb_files(4).tolist()]
    assert pairs == list(combinations_with_replacement(range(4), 2))


@given(
    st.integers(1, 12), st.integers(1, 5), st.sampled_from([2, 3]), st.integers(1, 12)
)
def test_make_tiles__cover_every_combination_once(n_blocks, edge, order, n_first):
    n_first = min(n_first, n_blocks)
    tiles = partitioner.make_tiles(n_blocks, edge, order, n_first_blocks=n_first)
    found = []
    for tile in tiles.tolist():
        ranges = [range(*tile[k : k + 2]) for k in range(0, 2 * order, 2)]
        cells = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, order)
        found += [tuple(c) for c in cells.tolist() if sorted(c) == c]
    expected = [
        c
        for c in combinations_with_replacement(range(n_blocks), order)
        if c[0] < n_first
    ]
    assert sorted(found) == expected


def test_get_mpicomm__serial_has_one_rank():
    comm = partitioner.get_mpicomm(serial=True)
    assert (comm.rank, comm.size) == (0, 1)
    assert comm.allgather("x") == ["x"]
    with count_tickets(comm, 2) as (take, _):
        assert [take(), take(), take(), take()] == [0, 1, 2, 2]
    with count_tickets(comm, 5) as (take, end):
        assert take() == 0
        end()
        assert take() == 5


@pytest.mark.parametrize(
    ("device", "variables", "network"),
    [
        ("ch4:ucx ofi", {"PMI_FD": "11", "SLURM_STEP_ID": "0"}, "ofi"),
        ("ch4:ucx ofi", {"PMI_FD": "11"}, None),  # Hydra's PMI reads whole lines
        ("ch4:ucx", {"PMI_FD": "11", "SLURM_STEP_ID": "0"}, None),
        ("ch3:sock", {"PMI_FD": "11", "SLURM_STEP_ID": "0"}, None),
    ],
)
def test_choose_network__small_addresses_under_slurm(
    device, variables, network, monkeypatch
):
    for name in ("PMI_FD", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    library = f"MPICH Version:      5.0.2\nMPICH Device:       {device}\nMPICH CC: cc\n"
    assert choose_network(library) == network


@pytest.mark.mpi(ranks=[1, 2, 3, 4])
def test_count_tickets__gives_each_once(comm):
    for n in (0, 1, 2, 49, 50, 500):
        with count_tickets(comm, n) as (take, _):
            mine = [*iter(take, n)]
            assert take() == n
        assert sorted(chain(*comm.allgather(mine))) == list(range(n))


@pytest.mark.mpi(ranks=[1, 2, 4])
def test_count_tickets__one_rank_ends_it_for_all(comm):
    with count_tickets(comm, 1000) as (take, end):
        assert take() < 1000
        comm.Barrier()
        if comm.rank == comm.size - 1:
            end()
        comm.Barrier()
        assert take() == 1000


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(0, 200),
    st.randoms(use_true_random=False),
)
def test_take_ticket__each_once_on_nodes_of_any_size(widths, n, chance):
    """Ranks of nodes come in any order; one that fetches has done so at once."""
    counters = {node: Counter() for node in (ALL, *range(len(widths)))}

    def add(node, counter, step):
        counters[node][counter] += step
        return counters[node][counter] - step

    ranks = [node for node, width in enumerate(widths) for _ in range(width)]
    taken = []
    while ranks:
        node = chance.choice(ranks)
        add_here, add_to_all = partial(add, node), partial(add, ALL)
        ticket = take_ticket(n, widths[node], add_here, add_to_all)
        if ticket < n:
            taken.append(ticket)
        else:
            ranks.remove(node)
    assert sorted(taken) == list(range(n))
    for node, width in enumerate(widths):
        assert max(counters[node]) <= -(-n // width)  # as many as there is room for


@pytest.mark.mpi(ranks=[2, 3])
def test_share_array__is_one_a_node(comm):
    with share_array(comm, (comm.size, 3), np.int32) as shared:
        shared[comm.rank] = comm.rank + 1
        comm.Barrier()
        assert (shared == np.arange(1, comm.size + 1)[:, None]).all()
        comm.Barrier()


NODES = """
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.shared_memory import get_node

comm = get_mpicomm()
assert get_node(comm)[1:] == (2, 2)
for n in (0, 1, 7, 2000):
    with count_tickets(comm, n) as (take, _):
        mine = [*iter(take, n)]
    everyone = sorted(t for tickets in comm.allgather(mine) for t in tickets)
    assert everyone == list(range(n)), n
"""


def test_count_tickets__two_nodes_of_two_ranks():
    subprocess.run(
        ["mpirun", "-n", "4", sys.executable, "-c", NODES],
        check=True,
        timeout=PATIENCE_S,
        env=os.environ | {"MPIR_CVAR_NUM_CLIQUES": "2"},  # ranks as if on two nodes
    )


# Rank 0, where the counter lies, computes until the other has taken its tickets
BUSY = """
import os, sys, time
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.partitioner.launch import get_mpicomm

comm = get_mpicomm()
with count_tickets(comm, 1000) as (take, _):
    while comm.rank == 0 and not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    tickets = [take() for _ in range(20)]
    open(sys.argv[1], "w").close()
"""


@pytest.mark.parametrize("apart", ["0", "1"], ids=["one node", "two nodes"])
def test_count_tickets__does_not_wait_for_a_busy_rank(apart, tmp_path):
    subprocess.run(
        ["mpirun", "-n", "2", sys.executable, "-c", BUSY, str(tmp_path / "taken")],
        check=True,
        timeout=PATIENCE_S,
        env=os.environ | {"MPIR_CVAR_NOLOCAL": apart},
    )
