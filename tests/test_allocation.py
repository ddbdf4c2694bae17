"""What is asked of Slurm for a run, by its cost and the limits of a site."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.allocation.cost import (
    AIM_S,
    LEAST_S,
    MARGIN,
    START_S,
    Allocation,
    Cost,
    Limits,
    propose,
)
from hpc_connector.errors import BadInput

GB = 10**9
NODE = Limits(112, 240 * GB)


def make_cost(cpu_s=100.0, node_bytes=GB, rank_bytes=GB // 2, tasks=1000):
    return Cost(cpu_s, 1.0, node_bytes, rank_bytes, tasks, ("why",))


def test_propose__few_ranks_for_little_work():
    found = propose(make_cost(), NODE, Allocation())
    assert (found.nodes, found.ntasks_per_node, found.time_s) == (1, 1, LEAST_S)
    assert 1.5 * GB <= found.mem_bytes <= 2 * GB
    assert found.reasons[0] == "why"


def test_propose__whole_nodes_for_much():
    found = propose(make_cost(300 * AIM_S), NODE, Allocation())
    assert (found.nodes, found.ntasks_per_node) == (3, 112)
    assert found.time_s < MARGIN * (AIM_S + START_S + 2)


def test_propose__fewer_ranks_where_memory_is_short():
    found = propose(make_cost(300 * AIM_S, 200 * GB, 4 * GB), NODE, Allocation())
    assert (found.nodes, found.ntasks_per_node) == (30, 10)
    assert found.mem_bytes == NODE.mem_bytes


def test_propose__queues_again_where_the_limit_is_short():
    limits = Limits(112, 240 * GB, most_nodes=2, most_s=1200)
    found = propose(make_cost(3000 * AIM_S, tasks=10**6), limits, Allocation())
    assert (found.nodes, found.time_s) == (2, 1200)
    assert "queued again" in found.reasons[-1]


@pytest.mark.parametrize(
    ("cost", "limits", "asked", "message"),
    [
        (make_cost(node_bytes=300 * GB), NODE, Allocation(), "which has 240.0 GB"),
        (make_cost(), NODE, Allocation(ntasks_per_node=600), "600 ranks need"),
        (make_cost(), Limits(9, GB * 9, 0, 60), Allocation(time_s=90), "gives 60 s"),
    ],
)
def test_propose__refuses(cost, limits, asked, message):
    with pytest.raises(BadInput, match=message):
        propose(cost, limits, asked)


@given(
    st.floats(0, 1e9),
    st.integers(0, 230 * GB),
    st.integers(1, 10 * GB),
    st.integers(1, 10**6),
    st.integers(1, 112),
)
def test_propose__fits_the_node(cpu_s, node_bytes, rank_bytes, tasks, threads):
    cost = make_cost(cpu_s, node_bytes, rank_bytes, tasks)
    found = propose(cost, NODE, Allocation(cpus_per_task=threads))
    ranks = found.ntasks_per_node
    assert ranks * threads <= NODE.cores
    assert node_bytes + ranks * rank_bytes <= found.mem_bytes <= NODE.mem_bytes
    run_s = cpu_s / (found.nodes * ranks * threads)
    assert found.time_s >= run_s
    assert run_s <= AIM_S + 1 or found.nodes * ranks >= tasks


@given(st.builds(Allocation, *(st.integers(1, 100),) * 3, st.just(GB), st.just(60)))
def test_propose__keeps_what_is_asked(asked):
    found = propose(make_cost(), NODE, asked)
    names = ("nodes", "ntasks_per_node", "cpus_per_task", "mem_bytes", "time_s")
    for name in names:
        assert getattr(found, name) == getattr(asked, name)
