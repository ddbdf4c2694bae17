"""The ranks of a run on this node: which processes they are, and what they use.

A rank is the process that a launcher gave a number to, with its descendants. Where no
process has a number, the tree that is watched is rank 0.
"""

from hpc_connector.telemetry.watch import proc
from hpc_connector.telemetry.watch.proc import Process


class Rank:
    """A rank on this node, and its counters, which never fall.

    Parameters
    ----------
    number
        What the launcher says, None for a process that it has given none.
    processes
        Its own first, then descendants.
    """

    def __init__(self, number: int | None, processes: list[Process]) -> None:
        """Begin with counters at 0."""
        self.number = number
        self.processes = processes
        self.cpu_s = 0.0
        self.rss_bytes = self.peak_bytes = 0
        self.read_bytes: int | None = None
        self.write_bytes: int | None = None

    @property
    def pid(self) -> int:
        """Return the number of its own process."""
        return self.processes[0].pid


class Watch:
    """Which processes are watched.

    Parameters
    ----------
    roots
        Processes whose trees are watched, and the ranks they are; none: all ranks of
        the job on this node.
    job
        The Slurm job, empty without one.
    skip
        A process to leave out: the agent itself.
    """

    def __init__(
        self,
        roots: dict[int, int | None],
        job: bytes = b"",
        skip: int = 0,
        proc_root: str = proc.ROOT,
    ) -> None:
        """Begin with no rank found."""
        self.roots, self.job, self.skip = roots, job, skip
        self.proc_root = proc_root
        self.ranks: list[Rank] = []
        self.ended: list[Rank] = []
        self.members: dict[int, Rank] = {}
        self.young: set[int] = set()
        self.settled: set[int] = set()


def find_ranks(watch: Watch) -> None:
    """Take up processes that have begun.

    Each is looked at in two calls: between fork and exec it has the number of the
    process that it comes from.
    """
    there = proc.list_pids(watch.proc_root)
    for pid in there:
        if pid not in watch.settled and pid != watch.skip:
            take_up(watch, pid)
    watch.settled = watch.young.intersection(there) | watch.settled.intersection(there)
    watch.young = set(there)


def take_up(watch: Watch, pid: int) -> None:
    """Put a process into the rank that it belongs to, if it is one to watch."""
    parent = watch.members.get(proc.read_parent(pid, watch.proc_root))
    is_ours = pid in watch.roots or parent is not None
    if watch.roots and not is_ours:
        return  # without a look at its variables, which costs more
    number = watch.roots.get(pid)
    if number is None:
        number = proc.read_rank(pid, watch.job, watch.proc_root)
    if not is_ours and number is None:
        return
    before = watch.members.get(pid)
    if before is not None and number in (None, before.number):
        return
    try:
        process = Process(pid, watch.proc_root)
    except OSError:
        return
    if before is not None and len(before.processes) > 1:
        before.processes = [p for p in before.processes if p.pid != pid]
    if parent is not None and number in (None, parent.number):
        parent.processes.append(process)
        watch.members[pid] = parent
    else:
        watch.members[pid] = Rank(number, [process])
        watch.ranks.append(watch.members[pid])
    read_more(watch.members[pid])


def list_ranks(watch: Watch) -> list[Rank]:
    """Return the ranks that live: the numbered ones, all where none has a number."""
    numbered = [rank for rank in watch.ranks if rank.number is not None]
    return numbered or watch.ranks


def list_all(watch: Watch) -> list[Rank]:
    """Return the ranks that live, and those that have ended."""
    ranks = watch.ranks + watch.ended
    return [rank for rank in ranks if rank.number is not None] or ranks


def read_ranks(watch: Watch) -> None:
    """Read what every rank uses now; put those aside that have ended."""
    for rank in [rank for rank in watch.ranks if not read_rank(rank)]:
        watch.ranks.remove(rank)
        watch.ended.append(rank)
        for process in rank.processes:
            watch.members.pop(process.pid, None)
            process.close()


def read_rank(rank: Rank) -> bool:
    """Read what a rank uses now; return whether its own process lives.

    A process is read before its children: one that ends between is missed once, and
    not counted twice, in its own file and in that of its parent.
    """
    own, *children = rank.processes
    is_alive = own.read()
    if not children:
        rank.cpu_s, rank.rss_bytes = max(rank.cpu_s, own.cpu_s), own.rss_bytes
        rank.peak_bytes = max(rank.peak_bytes, own.peak_bytes)
        return is_alive
    lost = [child for child in children if not child.read()]
    for child in lost:
        child.close()
    rank.processes = [process for process in rank.processes if process not in lost]
    cpu_s = sum([process.cpu_s for process in rank.processes])
    peak_bytes = sum([process.peak_bytes for process in rank.processes])
    rank.rss_bytes = sum([process.rss_bytes for process in rank.processes])
    if cpu_s > rank.cpu_s:
        rank.cpu_s = cpu_s
    if peak_bytes > rank.peak_bytes:
        rank.peak_bytes = peak_bytes
    return is_alive


def read_more(rank: Rank) -> None:
    """Read what is dearer: the high-water mark, and the bytes of storage."""
    for process in rank.processes:
        process.read_peak()
        process.read_io()
    rank.peak_bytes = max(rank.peak_bytes, sum(p.peak_bytes for p in rank.processes))
    read = [process.read_bytes for process in rank.processes]
    written = [process.write_bytes for process in rank.processes]
    rank.read_bytes = add_known(read, rank.read_bytes)
    rank.write_bytes = add_known(written, rank.write_bytes)


def add_known(parts: list[int | None], least: int | None = None) -> int | None:
    """Return the sum of what is known, not less than before; None if nothing is."""
    known = [n for n in parts if n is not None]
    totals = [sum(known)] if known else []
    return max(totals if least is None else [*totals, least], default=None)
