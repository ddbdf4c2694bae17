"""What a run will take, and the nodes, ranks, memory and time to ask for."""

from dataclasses import dataclass, replace

from hpc_connector.errors import BadInput

START_S = 30.0  # of a job: nodes, modules, Python, MPI, kernels from the cache
MARGIN = 2.0  # of time: another processor, other jobs, a busy file system
MEM_MARGIN = 1.2
LEAST_S = 600
COLLECT_BYTES = 80 << 20  # to join telemetry at the end, on the node of the first rank
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
    """Cores and memory of a node; the most nodes and time of a job, 0 if not known."""

    cores: int
    mem_bytes: int
    most_nodes: int = 0
    most_s: int = 0


@dataclass(frozen=True)
class Allocation:
    """What a job asks for; 0 is yet to be chosen. Memory is that of a node."""

    nodes: int = 0
    ntasks_per_node: int = 0
    cpus_per_task: int = 1
    mem_bytes: int = 0
    time_s: int = 0
    reasons: tuple[str, ...] = ()


def add_collecting(cost: Cost) -> Cost:
    """Return the cost of a run that joins its telemetry at the end."""
    said = f"{COLLECT_BYTES >> 20} MiB to join the telemetry at the end"
    return replace(cost, more_bytes=COLLECT_BYTES, reasons=(*cost.reasons, said))


def propose(cost: Cost, limits: Limits, asked: Allocation) -> Allocation:
    """Return what to ask for; what is asked already stays as it is.

    As few ranks as end within ``AIM_S``: on a part of a node, else on whole ones.

    Raises
    ------
    BadInput
        Memory that a node does not have, or a time that the site does not give.
    """
    wanted = max(
        1, min(-(-int(cost.cpu_s) // (AIM_S * asked.cpus_per_task)), cost.tasks)
    )
    nodes, ntasks = _choose_ranks(cost, limits, asked, wanted)
    mem_bytes = asked.mem_bytes or _choose_memory(cost, limits, ntasks)
    at_once = min(nodes * ntasks * asked.cpus_per_task, max(cost.tasks, 1))
    run_s = cost.cpu_s / at_once + cost.serial_s + START_S
    time_s = asked.time_s or max(LEAST_S, int(MARGIN * run_s))
    reasons = [
        *cost.reasons,
        f"{cost.cpu_s:,.0f} core s in at most {AIM_S // 60} minutes: {wanted} ranks",
        f"{nodes} nodes x {ntasks} ranks x {asked.cpus_per_task} threads: about "
        f"{run_s:,.0f} s; {MARGIN:g} times that is asked for, {LEAST_S} s at least",
    ]
    if limits.most_s and time_s > limits.most_s:
        if asked.time_s:
            raise BadInput(f"--time: {time_s} s, but the site gives {limits.most_s} s")
        reasons.append("the limit of the site is shorter: the job will be queued again")
        time_s = limits.most_s
    return Allocation(
        nodes, ntasks, asked.cpus_per_task, mem_bytes, time_s, tuple(reasons)
    )


def _choose_ranks(
    cost: Cost, limits: Limits, asked: Allocation, wanted: int
) -> tuple[int, int]:
    """Return nodes, and ranks of each."""
    by_memory = (limits.mem_bytes - cost.node_bytes - cost.more_bytes) // max(
        cost.rank_bytes, 1
    )
    most = max(1, min(limits.cores // asked.cpus_per_task, by_memory))
    nodes = asked.nodes or -(-wanted // (asked.ntasks_per_node or most))
    if limits.most_nodes and not asked.nodes:
        nodes = min(nodes, limits.most_nodes)
    return nodes, asked.ntasks_per_node or (min(wanted, most) if nodes == 1 else most)


def _choose_memory(cost: Cost, limits: Limits, ntasks: int) -> int:
    """Return the memory to ask for on a node.

    Raises
    ------
    BadInput
        A node has less than is needed.
    """
    need_bytes = cost.node_bytes + ntasks * cost.rank_bytes + cost.more_bytes
    if need_bytes > limits.mem_bytes:
        raise BadInput(
            f"{ntasks} ranks need {need_bytes / 1e9:.1f} GB on a node, which has "
            f"{limits.mem_bytes / 1e9:.1f} GB"
        )
    return min(int(MEM_MARGIN * need_bytes), limits.mem_bytes)
