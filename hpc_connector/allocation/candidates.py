"""What a run would take on every allocation there is, and the best that is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpc_connector.allocation.cost import (
    LEAST_S,
    MARGIN,
    MEM_MARGIN,
    START_S,
    Allocation,
    Cost,
)
from hpc_connector.allocation.history import Run
from hpc_connector.allocation.limits import Machine, Policy
from hpc_connector.allocation.memory import LEAST_RUNS, size_memory
from hpc_connector.allocation.runtime import (
    CPU_PRIOR,
    CPU_RIDGE,
    Model,
    Sizes,
    fit,
    predict,
)

MOST_RUNS = 64  # the last ones; more take longer than they are worth
FAR = 2.0  # times what was seen: beyond it a run may take MARGIN times the median


@dataclass(frozen=True)
class Knowledge:
    """What is known of a run before it starts.

    Parameters
    ----------
    cost
        By the formula.
    wall, cpu
        Models of time and of CPU time, None without recorded runs.
    memory
        Of recorded runs, what their greatest rank used over the formula.
    longest_s
        By the formula, of the recorded runs.
    """

    cost: Cost
    wall: Model | None = None
    cpu: Model | None = None
    memory: tuple[float, ...] = ()
    longest_s: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """An allocation, what the run would take on it, and why it is out, if it is.

    Memory is that of a node; P50 and P90 are what half, and nine of ten, runs need.
    """

    nodes: int
    ntasks_per_node: int
    cpus_per_task: int
    p50_s: float
    p90_s: float
    p50_mem_bytes: int
    p90_mem_bytes: int
    core_s: float
    energy_j: float | None
    rejected: str = ""

    @property
    def cores(self) -> int:
        """Return the cores of a node."""
        return self.ntasks_per_node * self.cpus_per_task

    def describe(self) -> str:
        """Return its shape, short."""
        return f"{self.nodes} x {self.ntasks_per_node} x {self.cpus_per_task}"


def learn(cost: Cost, runs: Sequence[Run]) -> Knowledge:
    """Return the knowledge of recorded runs about a run, of all or none."""
    if not runs:
        return Knowledge(cost)
    runs = runs[-MOST_RUNS:]
    workers = np.array([run.ranks * run.threads for run in runs], float)
    plans = [run.plan for run in runs]
    wall = make_sizes(plans, workers)
    cpu = Sizes(wall.work + [p.serial_s for p in plans], wall.work, wall.ranks)
    memory = [
        run.max_rss_bytes / (p.node_bytes + p.rank_bytes)
        for run, p in zip(runs, plans, strict=True)
    ]
    return Knowledge(
        cost,
        fit(wall, np.array([run.wall_s for run in runs])),
        fit(
            cpu,
            np.array([run.cpu_s for run in runs]),
            trust=CPU_PRIOR,
            ridge=CPU_RIDGE,
        ),
        tuple(memory),
        float(wall.formula_s.max()),
    )


def make_sizes(plans: Sequence[Cost], workers: np.ndarray) -> Sizes:
    """Return the sizes of runs by their formulas, each on some ranks times threads."""
    work = np.array([plan.cpu_s for plan in plans], float)
    serial_s = np.array([plan.serial_s for plan in plans], float)
    return Sizes(work / workers + serial_s, work, workers)


def estimate_time(
    known: Knowledge, workers: np.ndarray
) -> tuple[NDArray[np.float64], ...]:
    """Return P50 and P90 of the time on some ranks times threads, seconds."""
    sizes = make_sizes([known.cost] * len(workers), workers)
    if known.wall is None:
        median = sizes.formula_s + START_S
        return median, MARGIN * median
    median, upper = (predict(known.wall, sizes, q) for q in (0.5, 0.9))
    is_far = sizes.formula_s > FAR * known.longest_s
    return median, np.where(is_far, np.maximum(upper, MARGIN * median), upper)


def estimate_cpu(known: Knowledge, workers: np.ndarray) -> NDArray[np.float64]:
    """Return the CPU seconds of all ranks, on some ranks times threads."""
    cost = known.cost
    work = np.full(len(workers), cost.cpu_s)
    sizes = Sizes(work + cost.serial_s, work, workers)
    return sizes.formula_s if known.cpu is None else predict(known.cpu, sizes)


def estimate_memory(known: Knowledge, ntasks: int) -> tuple[int, int]:
    """Return P50 and P90 of the bytes of a node with some ranks.

    One rank is sized by what runs used; others add their part by the formula.
    """
    cost = known.cost
    one = max(cost.node_bytes + cost.rank_bytes, 1)
    all_bytes, more_bytes = cost.node_bytes + ntasks * cost.rank_bytes, cost.more_bytes
    if len(known.memory) < LEAST_RUNS:
        return all_bytes + more_bytes, int(MEM_MARGIN * (all_bytes + more_bytes))
    upper = size_memory([ratio * one for ratio in known.memory], one)
    median = float(np.median(known.memory))
    found = (median * all_bytes, upper * all_bytes / one)
    return int(found[0] + more_bytes), int(found[1] + MEM_MARGIN * more_bytes)


def list_shapes(
    machine: Machine, policy: Policy, asked: Allocation
) -> list[tuple[int, int, int]]:
    """Return nodes, ranks of each and threads of each, as far as they are not asked.

    Powers of two and whole nodes, on no more nodes than machine or policy have: some
    hundred shapes.
    """
    caps = [n for n in (machine.most_nodes, policy.most_nodes) if n]
    nodes = [asked.nodes] if asked.nodes else list_powers(min(caps, default=64))
    if asked.cpus_per_task:
        threads = [asked.cpus_per_task]
    else:
        threads = [n for n in (1, 2, 4, 8) if n <= machine.cores]
    return [
        (n, ntasks, cpus)
        for n in nodes
        for cpus in threads
        for ntasks in (
            [asked.ntasks_per_node]
            if asked.ntasks_per_node
            else list_powers(machine.cores // cpus)
        )
    ]


def list_powers(most: int) -> list[int]:
    """Return the powers of two below a number, and the number."""
    return [*(1 << k for k in range(most.bit_length()) if 1 << k < most), max(most, 1)]


def list_candidates(
    known: Knowledge,
    machine: Machine,
    policy: Policy,
    deadline_s: float = 0.0,
    asked: Allocation | None = None,
) -> list[Candidate]:
    """Return all allocations, each with what speaks against it.

    Parameters
    ----------
    deadline_s
        From the start of the job, 0 for none.
    asked
        What is not 0 in it stays as it is.
    """
    asked = asked or Allocation(cpus_per_task=0)
    shapes = list_shapes(machine, policy, asked)
    workers = np.array([n * ntasks * cpus for n, ntasks, cpus in shapes], float)
    p50_s, p90_s = estimate_time(known, workers)
    cpu_s = estimate_cpu(known, workers)
    found = [
        Candidate(
            *shape,
            float(p50_s[k]),
            float(p90_s[k]),
            *estimate_memory(known, shape[1]),
            core_s=float(p50_s[k]) * float(workers[k]),
            energy_j=get_energy(machine, shape[0], float(p50_s[k]), float(cpu_s[k])),
        )
        for k, shape in enumerate(shapes)
    ]
    rest = known.cost, machine, policy, deadline_s, asked
    return [replace(one, rejected=find_reason(one, *rest)) for one in found]


def get_energy(
    machine: Machine, nodes: int, time_s: float, cpu_s: float
) -> float | None:
    """Return joules: what nodes draw when idle, and more as cores are busy.

    Parameters
    ----------
    machine
        With the watts of a node; without them None is returned.
    time_s, cpu_s
        Of the run, and of all its cores.
    """
    if not machine.busy_watts:
        return None
    more = machine.busy_watts - machine.idle_watts
    return nodes * machine.idle_watts * time_s + more * cpu_s / machine.cores


def find_reason(
    candidate: Candidate,
    cost: Cost,
    machine: Machine,
    policy: Policy,
    deadline_s: float,
    asked: Allocation,
) -> str:
    """Return the reason why a candidate is out, empty if it is not.

    Parameters
    ----------
    cost
        By the formula, whose tasks are no fewer than workers may be.
    machine, policy
        What their limits of 0 are for is not limited.
    deadline_s
        From the start of the job, 0 for none.
    asked
        What is not 0 in it is asked for, whatever the candidate needs.
    """
    workers = candidate.nodes * candidate.cores
    gb = get_memory(candidate, policy, asked) / 1e9
    need_gb, asked_gb = candidate.p90_mem_bytes / 1e9, asked.mem_bytes / 1e9
    job_gb = machine.most_job_mem / candidate.nodes / 1e9
    p90_s, time_s = candidate.p90_s, get_time(candidate, policy, asked)
    checks: tuple[tuple[float, float, str], ...] = (  # a limit of 0 is none
        (workers, machine.most_cores, "{} cores, the site gives {}"),
        (gb, job_gb, "{:.1f} GB, the site gives {:.1f} a node"),
        (candidate.cores, machine.cores or -1, f"a node has {machine.cores} cores"),
        (workers, policy.most_cores, "{} cores, the policy gives {}"),
        (workers, max(cost.tasks, 1), f"{{}} cores for {cost.tasks} tasks"),
        (gb, machine.mem / 1e9, "{:.1f} GB, a node has {:.1f} GB"),
        (gb, policy.most_mem / 1e9, "{:.1f} GB, the policy gives {:.1f}"),
        (need_gb, asked_gb, "needs {:.1f} GB, {:.1f} GB are asked for"),
        (p90_s, deadline_s, "may take {:,.0f} s, the deadline is in {:,.0f} s"),
        (time_s, machine.most_time, "may take {:,.0f} s, the site gives {:,.0f} s"),
        (time_s, policy.most_time, "may take {:,.0f} s, the policy gives {:,.0f} s"),
    )
    for value, most, said in checks:
        if most and value > most:
            return said.format(value, most)
    return ""


def get_time(candidate: Candidate, policy: Policy, asked: Allocation) -> float:
    """Return the seconds to ask for, which are no more than needed beyond `LEAST_S`."""
    needed_s = int(policy.margin * candidate.p90_s) + 1
    return asked.time_s or 60 * -(-needed_s // 60)  # Slurm's times are whole minutes


def get_memory(candidate: Candidate, policy: Policy, asked: Allocation) -> int:
    """Return the bytes of a node to ask for."""
    return asked.mem_bytes or int(policy.margin * candidate.p90_mem_bytes)


def choose(
    candidates: Sequence[Candidate], minimise: str, energy_weight: float
) -> Candidate | None:
    """Return the best candidate that is not rejected, None where all are.

    Parameters
    ----------
    minimise
        "time", "cost" (core seconds) or "energy".
    energy_weight
        Of energy beside cost, where cost is minimised.
    """
    allowed = [c for c in candidates if not c.rejected]
    if not allowed:
        return None
    if minimise == "time":
        return min(allowed, key=lambda c: (c.p90_s, c.core_s))
    weight = 1.0 if minimise == "energy" else energy_weight
    least_core_s = min(c.core_s for c in allowed)
    least_j = min(c.energy_j or 1.0 for c in allowed)

    def get_price(c: Candidate) -> tuple[float, float]:
        energy = (c.energy_j or 1.0) / least_j
        return (1 - weight) * c.core_s / least_core_s + weight * energy, c.p90_s

    return min(allowed, key=get_price)


def make_allocation(
    chosen: Candidate, machine: Machine, policy: Policy, asked: Allocation
) -> Allocation:
    """Return the allocation of a candidate: at least `LEAST_S` where it may be.

    Parameters
    ----------
    machine, policy
        Whose limits of time are not exceeded.
    asked
        What is not 0 in it stays as it is.
    """
    caps = [t for t in (machine.most_time, policy.most_time) if t]
    least_s = 60 * (min([LEAST_S, *caps]) // 60)
    return Allocation(
        chosen.nodes,
        chosen.ntasks_per_node,
        chosen.cpus_per_task,
        get_memory(chosen, policy, asked),
        asked.time_s or int(max(least_s, get_time(chosen, policy, asked))),
    )
