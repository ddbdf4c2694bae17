"""What a run will take, and the nodes, ranks, memory and time to ask for."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hpc_connector.errors import BadInput

START_S = 30.0  # of a job: nodes, modules, Python, MPI, kernels from the cache
MARGIN = 2.0  # of time: another processor, other jobs, a busy file system
MEM_MARGIN = 1.2
LEAST_S = 600
COLLECT_BYTES = 80 << 20  # to join telemetry at the end, on the node of the first rank
OF_A_NODE = ("cores", "mem_bytes")
AIM_S = 1800  # of a run: ranks are added until it is shorter


@dataclass(frozen=True)
class Cost:
    """What a run takes, by the formula of its program.

    Parameters
    ----------
    cpu_s
        Seconds of one core that all ranks share.
    serial_s
        Seconds in which one rank works alone, or each does the same.
    node_bytes, rank_bytes
        Memory that the ranks of a node share, and that each has beside it.
    tasks
        Pieces that can be run at the same time.
    reasons
        How these numbers come about.
    more_bytes
        Memory of a node beside that, of which recorded runs say nothing.
    """

    cpu_s: float
    serial_s: float
    node_bytes: int
    rank_bytes: int
    tasks: int
    reasons: tuple[str, ...] = ()
    more_bytes: int = 0


@dataclass(frozen=True)
class Limits:
    """What a job may have at most, 0 where it is not known.

    Parameters
    ----------
    cores, mem_bytes
        Of a node.
    most_cores, most_mem_bytes
        Of all nodes of a job.
    largest_bytes
        Of the nodes that have the most memory.
    by
        Who says so, for each field. What a node has nobody says: sbatch refuses more.
    reasons
        How these numbers come about.
    """

    cores: int = 0
    mem_bytes: int = 0
    most_nodes: int = 0
    most_s: float = 0
    most_cores: int = 0
    most_mem_bytes: int = 0
    largest_bytes: int = 0
    by: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Allocation:
    """What a job asks for; 0 is yet to be chosen. Memory is that of a node."""

    nodes: int = 0
    ntasks_per_node: int = 0
    cpus_per_task: int = 1
    mem_bytes: int = 0
    time_s: float = 0  # infinite without a limit
    reasons: tuple[str, ...] = ()


def add_collecting(cost: Cost) -> Cost:
    """Return the cost of a run that joins its telemetry at the end."""
    said = f"{COLLECT_BYTES >> 20} MiB to join the telemetry at the end"
    return replace(cost, more_bytes=COLLECT_BYTES, reasons=(*cost.reasons, said))


def check_asked(asked: Allocation, limits: Limits) -> None:
    """Refuse what is asked for and cannot be had.

    Raises
    ------
    BadInput
        It would never start; the message says who gives how much.
    """
    node_cores = max(asked.ntasks_per_node, 1) * asked.cpus_per_task
    nodes = max(asked.nodes, 1)
    wanted: tuple[tuple[str, str, float, str], ...] = (
        ("most_nodes", "--nodes", asked.nodes, "{:.0f} nodes"),
        ("most_s", "--time", asked.time_s, "{:.0f} s"),
        ("mem_bytes", "--mem", asked.mem_bytes, "{:,.0f} bytes a node"),
        ("most_mem_bytes", "--mem", nodes * asked.mem_bytes, "{:,.0f} bytes in all"),
        ("cores", "--ntasks-per-node x --cpus-per-task", node_cores, "{:.0f} cores"),
        ("most_cores", "ranks x threads", nodes * node_cores, "{:.0f} cores in all"),
    )
    for name, option, value, unit in wanted:
        most = getattr(limits, name)
        is_rule = name in limits.by or name not in OF_A_NODE
        if most and value > most and is_rule:
            said = "no limit" if math.isinf(value) else unit.format(value)
            who = limits.by.get(name, "the site")
            raise BadInput(f"{option}: {said}, {who} gives {unit.format(most)}")


def propose(cost: Cost, limits: Limits, asked: Allocation) -> Allocation:
    """Return the allocation to ask for; what is asked already stays as it is.

    As few ranks as end within ``AIM_S``: on a part of a node, else on whole ones.

    Raises
    ------
    BadInput
        Memory that a node does not have, or a time that the site does not give.
    """
    check_asked(asked, limits)
    wanted = max(
        1, min(-(-int(cost.cpu_s) // (AIM_S * asked.cpus_per_task)), cost.tasks)
    )
    nodes, ntasks = _choose_ranks(cost, limits, asked, wanted)
    mem_bytes = asked.mem_bytes or _choose_memory(cost, limits, nodes, ntasks)
    at_once = min(nodes * ntasks * asked.cpus_per_task, max(cost.tasks, 1))
    run_s = cost.cpu_s / at_once + cost.serial_s + START_S
    time_s = asked.time_s or max(LEAST_S, int(MARGIN * run_s))
    reasons = [
        *cost.reasons,
        *limits.reasons,
        f"{cost.cpu_s:,.0f} core s in at most {AIM_S // 60} minutes: {wanted} ranks",
        f"{nodes} nodes x {ntasks} ranks x {asked.cpus_per_task} threads: about "
        f"{run_s:,.0f} s; {MARGIN:g} times that is asked for, {LEAST_S} s at least",
    ]
    if limits.most_s and time_s > limits.most_s:
        who = limits.by.get("most_s", "the site")
        reasons.append(f"{who} gives {limits.most_s:,.0f} s: it will be queued again")
        time_s = limits.most_s
    return Allocation(
        nodes, ntasks, asked.cpus_per_task, mem_bytes, time_s, tuple(reasons)
    )


def _choose_ranks(
    cost: Cost, limits: Limits, asked: Allocation, wanted: int
) -> tuple[int, int]:
    """Return nodes, and ranks of each."""
    in_all = (limits.most_cores or sys.maxsize) // asked.cpus_per_task
    most = count_most_ranks(cost, limits, asked)
    ntasks = asked.ntasks_per_node or most
    nodes = asked.nodes or -(-min(wanted, in_all) // ntasks)
    if not asked.nodes:
        in_all_bytes = limits.most_mem_bytes // _get_need(cost, ntasks)
        caps = (limits.most_nodes, in_all // ntasks, in_all_bytes)
        nodes = max(1, min(n for n in (nodes, *caps) if n))
    if asked.ntasks_per_node:
        return nodes, ntasks
    return nodes, min(wanted if nodes == 1 else most, most, max(1, in_all // nodes))


def count_most_ranks(cost: Cost, limits: Limits, asked: Allocation) -> int:
    """Return how many ranks a node can have, by cores and by memory."""
    most_bytes = limits.mem_bytes
    if limits.most_mem_bytes:
        most_bytes = min(most_bytes, limits.most_mem_bytes // max(asked.nodes, 1))
    by_memory = (most_bytes - cost.node_bytes - cost.more_bytes) // max(
        cost.rank_bytes, 1
    )
    cores = min(limits.cores, limits.most_cores or limits.cores)
    return max(1, min(cores // asked.cpus_per_task, by_memory))


def _get_need(cost: Cost, ntasks: int) -> int:
    """Return the bytes that a node needs with some ranks."""
    return cost.node_bytes + ntasks * cost.rank_bytes + cost.more_bytes


def _choose_memory(cost: Cost, limits: Limits, nodes: int, ntasks: int) -> int:
    """Return the memory to ask for on a node.

    Raises
    ------
    BadInput
        A node has less than is needed.
    """
    need_bytes = _get_need(cost, ntasks)
    in_all = limits.most_mem_bytes // nodes or limits.mem_bytes
    most_bytes = min(limits.mem_bytes, in_all)
    if need_bytes > most_bytes:
        by_rule = limits.by.get(
            "most_mem_bytes" if in_all < limits.mem_bytes else "mem_bytes"
        )
        who = f"{by_rule} gives" if by_rule else "which has"
        raise BadInput(
            f"{ntasks} ranks need {need_bytes / 1e9:.1f} GB on a node, {who} "
            f"{most_bytes / 1e9:.1f} GB"
        )
    return min(int(MEM_MARGIN * need_bytes), most_bytes)


def deal_ranks(
    ntasks: int, nodes: int, ntasks_per_node: int, most: int
) -> tuple[int, int]:
    """Return nodes, and ranks of each, as far as that is asked for; else 0.

    Parameters
    ----------
    ntasks, nodes, ntasks_per_node
        What is asked for, 0 where nothing is.
    most
        Ranks that a node can have.

    Raises
    ------
    BadInput
        Ranks that are not the same number on every node.
    """
    if not ntasks:
        return nodes, ntasks_per_node
    nodes = nodes or _count_nodes(ntasks, ntasks_per_node, most)
    if ntasks % nodes or ntasks_per_node not in (0, ntasks // nodes):
        raise BadInput(
            f"--ntasks {ntasks} on {nodes} nodes: expected a multiple of the "
            "nodes, and --ntasks-per-node to agree"
        )
    return nodes, ntasks // nodes


def _count_nodes(ntasks: int, ntasks_per_node: int, most: int) -> int:
    """Return the least number of nodes for some ranks, as many on each if it can be.

    Those that would have less than half of what they can have do not count.

    Examples
    --------
    >>> _count_nodes(8, 2, 112), _count_nodes(4, 0, 1), _count_nodes(9, 0, 4)
    (4, 4, 3)
    """
    if ntasks_per_node:
        return max(1, ntasks // ntasks_per_node)
    least = -(-ntasks // most)
    even = (n for n in range(least, 2 * least + 1) if ntasks % n == 0)
    return next(even, least)
