"""The simulation of many ranks keeps the usage, and is that of the program."""

import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rank_simulation import (
    POLICIES,
    RANKS_A_NODE,
    Machine,
    count_pairs,
    cut_equal,
    get_other_s,
    get_slowness,
    get_task_s,
    simulate,
    simulate_search,
)
from scaling_picture import draw_scaling

from hpc_connector.partitioner.tickets import take_ticket
from mdr_epistasis.tasks import make_tasks

SECONDS = st.lists(st.floats(0.001, 3), min_size=1, max_size=60)
EVEN = Machine(spread=0, rank_spread=0, slow_nodes=0, task_s=0)


@given(SECONDS, st.integers(1, 4), st.integers(1, 4))
def test_simulate__busy_are_the_tasks_and_nothing_else(seconds, n_nodes, width):
    task_s = np.array(seconds)
    ends = simulate(task_s, np.ones(n_nodes * width), width, 1e-3, 1e-4, 1e-5)
    assert ends.busy_s.sum() == pytest.approx(task_s.sum())
    assert 0 < ends.efficiency <= 1
    assert (ends.end_s >= ends.busy_s).all()


@given(SECONDS, st.integers(1, 9))
def test_cut_equal__is_all_work(seconds, n_ranks):
    assert cut_equal(np.array(seconds), n_ranks).sum() == pytest.approx(sum(seconds))


@given(SECONDS)
def test_simulate__one_rank_takes_the_sum(seconds):
    ends = simulate(np.array(seconds), np.ones(1))
    assert ends.wall_s == pytest.approx(sum(seconds))
    assert ends.efficiency == pytest.approx(1)


def test_simulate__requests_wait_for_one_another():
    ends = simulate(np.full(8, 1e-3), np.ones(8), 1, latency_s=0.2, service_s=0.1)
    npt.assert_allclose(ends.end_s, 1.1 + np.arange(8) / 10)  # sixteen requests


def test_simulate__a_node_asks_once_for_all_its_ranks():
    ends = simulate(np.full(8, 1e-3), np.ones(8), 8, latency_s=0.2, service_s=0.1)
    npt.assert_allclose(ends.end_s, 0.3 + 1e-3 + 0.3)  # two requests


@pytest.mark.parametrize("width", [1, 3])
def test_simulate__hands_out_tickets_as_the_program_does(width):
    task_s = np.arange(1.0, 60)
    ends = simulate(task_s, np.ones(2 * width), width)
    counters, end_s = [Counter() for _ in range(3)], np.zeros(2 * width)

    def add(which, counter, step):
        counters[which][counter] += step
        return counters[which][counter] - step

    working = list(range(2 * width))
    while working:
        rank = min(working, key=lambda rank: (end_s[rank], rank))
        adding = partial(add, rank // width), partial(add, 2)
        if (ticket := take_ticket(len(task_s), width, *adding)) < len(task_s):
            end_s[rank] += task_s[ticket]
        else:
            working.remove(rank)
    npt.assert_array_equal(ends.end_s, end_s)


@pytest.mark.parametrize("policy", POLICIES)
def test_simulate_search__is_the_same_for_a_seed(policy):
    machine = Machine()
    one, two, other = (
        simulate_search(machine, 1, 0, policy, seed) for seed in (1, 1, 2)
    )
    npt.assert_array_equal(one.end_s, two.end_s)
    npt.assert_array_equal(one.busy_s, two.busy_s)
    assert (one.end_s != other.end_s).any()


@pytest.mark.parametrize("permutations", [0, 100])
@pytest.mark.parametrize("worse", [{}, {"slowness": 1.5}, {"service_s": 5e-6}])
def test_simulate_search__keeps_its_ranks_busy_on_128_nodes(permutations, worse):
    machine = replace(Machine(), **worse)
    ends = simulate_search(machine, 128, permutations, POLICIES[0])
    assert len(ends.end_s) == 128 * RANKS_A_NODE
    assert ends.efficiency > (0.94 if worse else 0.95)


@pytest.mark.parametrize("permutations", [0, 40])
def test_get_task_s__are_all_pairs_of_the_program(permutations):
    shape, n = (63, 160, 2, 16), 63 * 16
    tasks = make_tasks(shape, 2, permutations, None)
    assert count_pairs(tasks.tiles).sum() == n * (n - 1) / 2
    task_s = get_task_s(EVEN, tasks, np.random.default_rng(0))
    assert len(task_s) == len(tasks)
    work_s = 1 / EVEN.pairs_a_s + permutations / EVEN.permuted_a_s
    assert task_s.sum() == pytest.approx(n * (n - 1) / 2 * work_s)


def test_get_slowness__one_node_of_a_hundred():
    slow = get_slowness(replace(EVEN, slow_nodes=0.01), 100, np.random.default_rng(0))
    assert (slow > 1).sum() == 112


def test_get_other_s__grows_with_nodes():
    seconds = [sum(get_other_s(Machine(), n).values()) for n in (1, 16, 128, 1024)]
    assert seconds == sorted(seconds)


def test_draw_scaling__is_a_picture():
    names = POLICIES
    found = {
        (n, k, name): (0.9, 0.5, 1.0)
        for n in (0, 5)
        for k in (1, 128)
        for name in names
    }
    picture = draw_scaling(found, (1, 128), (0, 5), names)
    assert picture.startswith("<svg xmlns=")
    assert picture.count("<circle") == 2 * 2 * 4
