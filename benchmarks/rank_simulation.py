"""A search on many ranks, event by event, with the task list of the real program.

The ranks of `simulate` take tasks as `communicator.take_ticket` hands them out (a test
compares the two): the counter of a node is asked for every task, the counter of all for
as many as the node has ranks, and meanwhile the others of the node wait. A counter
answers one request after another; a request to the counter of all takes its time to get
there and back. The other phases of a job are sums of what they read and send.

Measured here (`python benchmarks/scaling.py measure`; AMD EPYC, Zen 4): the seconds of
tasks and their spread, of loading and of merging, and what a request costs the counter.

Assumed of the general purpose partition of MareNostrum 5: 112 cores a node, a request
to another node and back in 2 us, 12.5 GB/s of network a node (NDR200, two nodes share
one), 1.6 TB/s of GPFS for all, 20,000 files made a second in one folder, 200 GB/s of
memory a node; 2 s to launch, and 1 s more each time the number of nodes doubles. One
node of a hundred takes a quarter longer, and ranks differ by 3 %.
"""

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from hpc_connector.partitioner import make_distribution
from mdr_epistasis.tasks import LANES, PERMUTATIONS_A_TASK, Tasks, make_tasks

RANKS_A_NODE = 112
POLICIES = ("a counter for each node", "one counter", "equal shares")
VARIANTS, INDIVIDUALS = 1_000_000, 5000
PLANES = (VARIANTS // LANES, 160, 2, LANES)  # their shape, with 10 folds


@dataclass(frozen=True)
class Machine:
    """What a computer does; where the numbers are from stands at the top.

    Parameters
    ----------
    pairs_a_s, permuted_a_s
        Pairs, and pairs times permutations, a second and a core.
    task_s
        What a task costs beside its pairs.
    spread, rank_spread
        Standard deviation of the logarithm of the time of a task, and of the time
        that a rank takes.
    slow_nodes, slowness
        Fraction of nodes that are slow, and how many times as long they take.
    latency_s, service_s, here_s
        Of a request to the counter of all: there and back, and at the counter; of a
        ticket of a node, which is two requests.
    read_s, place_s
        To read a variant and pack it, and to put it where the node shares it.
    merge_s
        To merge what two ranks found.
    """

    pairs_a_s: float = 45e6
    permuted_a_s: float = 170e6
    task_s: float = 20e-6
    spread: float = 0.08
    rank_spread: float = 0.03
    slow_nodes: float = 0.01
    slowness: float = 1.25
    latency_s: float = 2e-6
    service_s: float = 1e-6
    here_s: float = 2e-6
    read_s: float = 12e-6
    place_s: float = 1.5e-6
    merge_s: float = 0.5e-3
    start_s: float = 1.0
    report_s: float = 1.0
    launch_s: float = 2.0
    double_s: float = 1.0
    node_bytes_a_s: float = 12.5e9
    disk_bytes_a_s: float = 1.6e12
    memory_bytes_a_s: float = 200e9
    files_a_s: float = 20e3


class Ends(NamedTuple):
    """When each rank has nothing left to do, and how long it ran tasks, seconds."""

    end_s: np.ndarray
    busy_s: np.ndarray

    @property
    def wall_s(self) -> float:
        """Return the time to the last rank."""
        return float(self.end_s.max())

    @property
    def efficiency(self) -> float:
        """Return the fraction of the time of all ranks in which they ran tasks."""
        return float(self.busy_s.mean() / self.wall_s)


def simulate(
    task_s: np.ndarray,
    slowness: np.ndarray,
    width: int = 1,
    latency_s: float = 0.0,
    service_s: float = 0.0,
    here_s: float = 0.0,
) -> Ends:
    """Return how ranks fare that take one task after another.

    Parameters
    ----------
    task_s
        Seconds of each task.
    slowness
        How many times as long each rank takes.
    width
        Ranks of a node; with 1, every rank asks the counter of all for every task.
    """
    return Ends(*_simulate(task_s, slowness, width, latency_s, service_s, here_s))


@numba.njit
def _simulate(task_s, slowness, width, latency_s, service_s, here_s):
    """Answer requests in the order in which they reach the counter of a node."""
    n_ranks, n_nodes = len(slowness), len(slowness) // width
    end_s, busy_s = np.zeros(n_ranks), np.zeros(n_ranks)
    ticket, first = np.zeros(n_nodes, np.int64), np.zeros(n_nodes, np.int64)
    free_s, known_s = np.zeros(n_nodes), np.zeros(n_nodes)
    n_taken, all_free_s = 0, 0.0
    requests = [(0.0, rank) for rank in range(n_ranks)]
    while requests:
        now_s, rank = heapq.heappop(requests)
        node = rank // width
        free_s[node] = now_s = max(now_s, free_s[node]) + here_s
        place = ticket[node] % width
        ticket[node] += 1
        if place == 0:
            all_free_s = max(all_free_s, now_s + latency_s / 2) + service_s
            known_s[node] = all_free_s + latency_s / 2
            first[node] = n_taken
            n_taken += width
        now_s, task = max(now_s, known_s[node]), first[node] + place
        if task >= len(task_s):
            end_s[rank] = now_s
            continue
        run_s = task_s[task] * slowness[rank]
        busy_s[rank] += run_s
        heapq.heappush(requests, (now_s + run_s, rank))
    return end_s, busy_s


def cut_equal(task_s: np.ndarray, n_ranks: int) -> np.ndarray:
    """Return the seconds of one share a rank, of as much work as the others'."""
    ends = make_distribution(task_s, n_ranks)
    return np.diff(np.concatenate([[0.0], np.cumsum(task_s)])[ends])


def simulate_search(
    machine: Machine, n_nodes: int, permutations: int, policy: str, seed: int = 1
) -> Ends:
    """Return how the ranks of some nodes fare in a search of VARIANTS."""
    rng = np.random.default_rng(seed)
    slowness = get_slowness(machine, n_nodes, rng)
    tasks = make_tasks(PLANES, 2, permutations, None)
    task_s = get_task_s(machine, tasks, rng)
    if policy == "equal shares":
        return simulate(cut_equal(task_s, len(slowness)), slowness)
    there_s = machine.latency_s, machine.service_s
    if policy == "one counter":
        return simulate(task_s, slowness, 1, *there_s)
    return simulate(task_s, slowness, RANKS_A_NODE, *there_s, machine.here_s)


def get_slowness(
    machine: Machine, n_nodes: int, rng: np.random.Generator
) -> np.ndarray:
    """Return how many times as long as others each rank takes."""
    node = np.ones(n_nodes)
    n_slow = round(machine.slow_nodes * n_nodes)
    node[rng.choice(n_nodes, n_slow, replace=False)] = machine.slowness
    rank = rng.normal(1, machine.rank_spread, n_nodes * RANKS_A_NODE)
    return np.repeat(node, RANKS_A_NODE) * np.maximum(rank, 0.5)


def get_task_s(machine: Machine, tasks: Tasks, rng: np.random.Generator) -> np.ndarray:
    """Return the seconds of each task, in the order of the list."""
    firsts = range(0, tasks.permutations, PERMUTATIONS_A_TASK)
    batches = [min(PERMUTATIONS_A_TASK, tasks.permutations - n) for n in firsts]
    search_s = count_pairs(tasks.tiles) / machine.pairs_a_s
    permuted_s = count_pairs(tasks.permuted) / machine.permuted_a_s
    task_s = np.concatenate([search_s, *(n * permuted_s for n in batches)])
    factor = rng.lognormal(-(machine.spread**2) / 2, machine.spread, len(task_s))
    return (task_s + machine.task_s) * factor


def count_pairs(tiles: np.ndarray) -> np.ndarray:
    """Return the pairs of variants of each tile of pairs."""
    i, j = (LANES * (tiles[:, k + 1] - tiles[:, k]) for k in (0, 2))
    return np.where(tiles[:, 0] == tiles[:, 2], i * (i - 1) / 2, i * j)


def get_other_s(machine: Machine, n_nodes: int) -> dict[str, float]:
    """Return the seconds of the phases of a job beside its search."""
    n_ranks, n_bytes = n_nodes * RANKS_A_NODE, VARIANTS * INDIVIDUALS / 4
    levels, rate = math.log2(n_ranks), n_nodes * machine.node_bytes_a_s
    sending_s = 0.0
    if n_nodes > 1:  # four small broadcasts a rank, and a copy for every rank
        sending_s = 4 * n_ranks * levels * machine.latency_s
        sending_s += n_bytes * RANKS_A_NODE / machine.memory_bytes_a_s
    return {
        "start": machine.start_s
        + machine.launch_s
        + machine.double_s * math.log2(n_nodes),
        "read": n_bytes / min(rate, machine.disk_bytes_a_s)
        + VARIANTS * machine.read_s / n_ranks,
        "share": sending_s + VARIANTS * machine.place_s,
        "merge": levels * machine.merge_s,
        "ledger": n_ranks / machine.files_a_s,
        "report": machine.report_s,
    }
