"""The agent of a node: a row for the node and each of its ranks, every second.

It needs the standard library alone, and little of that: it runs beside the ranks, on
their cores and in their memory. Rows are appended by one write a sample, so that a node
that is killed leaves all but the last.
"""

import gc
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.columns import COLUMNS, get_name
from hpc_connector.telemetry.watch import cgroup, energy, proc
from hpc_connector.telemetry.watch.copy import open_copy
from hpc_connector.telemetry.watch.prometheus import format_metrics, save_metrics
from hpc_connector.telemetry.watch.ranks import (
    Rank,
    Watch,
    add_known,
    find_ranks,
    list_all,
    list_ranks,
    read_more,
    read_ranks,
)

FORMAT_VERSION = 1
HEAD = f"{','.join(COLUMNS)}\n".encode()
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
START_S = 60.0  # for the first rank to appear
SCAN_S = 30.0  # between two looks for new processes, at most
MORE_S = 20.0  # in which the dearer files of every rank are read once
SHOW_S = 5.0  # between two files for Prometheus
MOST_GAPS = 100


class Node:
    """What the agent knows of its node.

    Parameters
    ----------
    gaps
        Elapsed seconds and length of pauses without a sample.
    """

    def __init__(self, watch: Watch) -> None:
        """Find out what there is to read."""
        self.name = get_name()
        self.watch = watch
        self.group = cgroup.find_cgroup()
        self.energy = energy.open_energy()
        self.net = cgroup.open_file(f"{proc.ROOT}/net/dev")
        self.gaps: list[tuple[float, float]] = []
        self.notes: list[str] = []
        self.row: dict[str, Any] = {}
        self.n_samples = self.max_rss_bytes = 0
        self.scan_s = 0.0  # when to look for new processes


def watch_node(
    out: str,
    pids: dict[int, int | None],
    interval_s: float,
    prometheus: str | None,
    stream: str = "",
    segment: int = 0,
    profile: str = "",
) -> int:
    """Watch until the ranks have ended, or a signal.

    Of an agent that a run has started all but SIGHUP stay blocked: what warns the
    ranks is no reason to leave them.

    Parameters
    ----------
    out
        Folder of the run.
    pids
        Processes, and the rank of each where it is known; empty for those of the job.
    interval_s
        Between samples.
    prometheus
        File of metrics, None for none.
    stream, segment, profile
        To which the rows are told too; see :func:`open_copy`.
    """
    stop = catch_signals()
    gc.disable()  # nothing here makes cycles, and looking for them takes time
    node = open_node(pids)
    folder = os.path.join(out, "telemetry")
    os.makedirs(folder, exist_ok=True)
    started_s = time.time()
    with open_copy(stream, segment, profile, node.notes) as tell:
        file = open_rows(os.path.join(folder, f"{node.name}.csv"))
        try:
            for elapsed_s in get_ticks(node, interval_s, stop):
                time_s = time.time()  # a wait between the clocks would part them
                sample(node, elapsed_s, interval_s)
                rows = format_rows(node, time_s, elapsed_s).encode()
                append(file, rows, node)
                tell(f"{node.name}.csv", rows if node.n_samples > 1 else HEAD + rows)
                if prometheus and is_due(elapsed_s, interval_s, SHOW_S):
                    show_metrics(node, prometheus)
        finally:
            if prometheus and os.path.exists(prometheus):
                os.unlink(prometheus)  # or it would be scraped for ever
        record = {"started_s": started_s, "interval_s": interval_s} | describe(node)
        tell(f"{node.name}.json", json.dumps(record).encode())
        save_record(os.path.join(folder, f"{node.name}.json"), record)
    return 0


def catch_signals() -> int:
    """Return a descriptor that can be read once the agent is to end.

    It wakes a wait at once; ``sigtimedwait`` would return also after a SIGCONT. A run
    blocks SIGHUP until here: one that is over by now is seen once all the same.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    return reading


def open_node(pids: dict[int, int | None]) -> Node:
    """Return the node, with what is to be watched on it.

    Raises
    ------
    BadInput
        A process that is not there.
    """
    job = b"" if pids else os.environb.get(proc.JOB_NAME, b"")
    for pid in pids:
        if not os.path.exists(f"{proc.ROOT}/{pid}"):
            raise BadInput(f"--pid {pid}: there is no such process")
    return Node(Watch(pids, job, skip=os.getpid()))


def show_metrics(node: Node, path: str) -> None:
    """Write the metrics of a node for Prometheus."""
    ranks = list_ranks(node.watch)
    save_metrics(path, format_metrics(get_labels(node), node.row, ranks))


def get_labels(node: Node) -> dict[str, str]:
    """Return the labels of the metrics of this node's job."""
    names = {"jobid": "SLURM_JOB_ID", "step": "SLURM_STEP_ID"}
    return {k: os.environ.get(n, "") for k, n in names.items()} | {"node": node.name}


def get_ticks(node: Node, interval_s: float, stop: int) -> Iterator[float]:
    """Yield the elapsed seconds of each sample, the last after a signal or the end.

    Times that were missed, as where the node was suspended, are a gap.
    """
    start_s = time.monotonic()
    due_s, last_s = 0.0, 0.0
    while True:
        elapsed_s = time.monotonic() - start_s
        if elapsed_s - last_s > 2 * interval_s and len(node.gaps) < MOST_GAPS:
            node.gaps.append((round(last_s, 3), round(elapsed_s - last_s, 3)))
        yield elapsed_s
        last_s = elapsed_s
        if has_ended(node.watch, elapsed_s):
            return
        due_s = max(due_s + interval_s, elapsed_s - elapsed_s % interval_s)
        wait_s = due_s - (time.monotonic() - start_s)
        if select.select([stop], [], [], max(wait_s, 0))[0]:
            for rank in node.watch.ranks:
                read_more(rank)
            yield time.monotonic() - start_s
            return


def has_ended(watch: Watch, elapsed_s: float) -> bool:
    """Return whether no rank is left, or none has come."""
    return not watch.ranks and (bool(watch.ended) or elapsed_s > START_S)


def is_due(elapsed_s: float, interval_s: float, every_s: float) -> bool:
    """Return whether something is to be done at this sample that is done seldom."""
    return elapsed_s % every_s < interval_s


def sample(node: Node, elapsed_s: float, interval_s: float) -> None:
    """Read the counters of the node and its ranks.

    New processes are looked for at every sample at first, then ever more seldom; the
    same holds for what is dearer to read.
    """
    watch = node.watch
    if elapsed_s >= node.scan_s:
        find_ranks(watch)
        node.scan_s = elapsed_s + min(elapsed_s / 2, SCAN_S)
    read_ranks(watch)
    turns = max(1, round(min(MORE_S, elapsed_s) / interval_s))
    for rank in watch.ranks[node.n_samples % turns :: turns]:
        read_more(rank)
    node.n_samples += 1
    node.row = read_node(node)
    node.max_rss_bytes = max(node.max_rss_bytes, node.row["rss_bytes"])


def read_node(node: Node) -> dict[str, Any]:
    """Return the figures of the whole node: those of the job's group, else of /proc.

    Without a group the peak is the sum of the peaks of the ranks, which they need not
    have reached together; none of the figures falls when a rank ends, but the memory.
    """
    usage = cgroup.read_usage(node.group) if node.group else None
    source = node.group.source if node.group and usage else "proc"
    usage = usage or add_ranks(node.watch)
    peak = max(node.row.get("peak_bytes", 0), usage.peak_bytes or usage.rss_bytes)
    joules = energy.read_energy(node.energy)
    rx, tx = read_net(node.net)
    return {
        "cpu_s": max(node.row.get("cpu_s", 0.0), usage.cpu_s),
        "rss_bytes": usage.rss_bytes,
        "peak_bytes": peak,
        "read_bytes": usage.read_bytes,
        "write_bytes": usage.write_bytes,
        "net_rx_bytes": rx,
        "net_tx_bytes": tx,
        "energy_j": joules,
        "source": source,
        "energy_source": node.energy.source,
    }


def add_ranks(watch: Watch) -> cgroup.Usage:
    """Return the use of all ranks of the node together."""
    ranks, living = list_all(watch), list_ranks(watch)
    return cgroup.Usage(
        sum([rank.cpu_s for rank in ranks]),
        sum([rank.rss_bytes for rank in living]),
        sum([rank.peak_bytes for rank in living]),
        add_known([rank.read_bytes for rank in ranks]),
        add_known([rank.write_bytes for rank in ranks]),
    )


def read_net(file: int) -> tuple[int | None, int | None]:
    """Return the bytes that the node has received and sent."""
    try:
        return proc.parse_net(os.pread(file, 65536, 0)) if file >= 0 else (None, None)
    except OSError:
        return None, None


def open_rows(path: str) -> int:
    """Open the rows of a node to append; return the descriptor.

    A line that a killed agent has cut is ended.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    size = os.fstat(file).st_size
    if not size:
        os.write(file, HEAD)
    elif os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")
    return file


def format_rows(node: Node, time_s: float, elapsed_s: float) -> str:
    """Return the lines of a sample: the node's, and one for each rank."""
    head = f"{time_s:.3f},{elapsed_s:.3f},{node.name}"
    row = node.row
    figures = ",".join(["" if v is None else format_figure(v) for v in row.values()])
    lines = [f"{head},-1,0,{figures}\n"]
    for rank in list_ranks(node.watch):
        lines.append(
            f"{head},{rank.number or 0},{rank.pid},{rank.cpu_s:.2f},{rank.rss_bytes},"
            f"{rank.peak_bytes},{show(rank.read_bytes)},{show(rank.write_bytes)},,,,"
            "proc,none\n"
        )
    return "".join(lines)


def format_figure(figure: float | str) -> str:
    """Return a figure with at most six digits behind the point."""
    return f"{figure:.6f}" if isinstance(figure, float) else str(figure)


def show(figure: int | None) -> int | str:
    """Return a figure, or nothing where it is not known."""
    return "" if figure is None else figure


def append(file: int, data: bytes, node: Node) -> None:
    """Write the rows of a sample; the run goes on where the disk is full."""
    try:
        if os.write(file, data) < len(data):
            os.write(file, b"\n")
    except OSError as error:
        note = f"rows were lost: {error.strerror}"
        if note not in node.notes:
            node.notes.append(note)


def describe(node: Node) -> dict[str, Any]:
    """Return the totals and peaks of a node, and what the agent itself has cost."""
    return {
        "format_version": FORMAT_VERSION,
        "node": node.name,
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "cores": len(os.sched_getaffinity(0)),
        "samples": node.n_samples,
        "gaps": node.gaps,
        "notes": node.notes + node.energy.notes,
        "totals": node.row | {"max_rss_bytes": node.max_rss_bytes},
        "ranks": [describe_rank(rank) for rank in list_all(node.watch)],
        "agent": {"cpu_s": round(time.process_time(), 3), "rss_bytes": get_rss()},
    }


def describe_rank(rank: Rank) -> dict[str, Any]:
    """Return the totals and the peak of a rank."""
    names = ("cpu_s", "peak_bytes", "read_bytes", "write_bytes")
    number = {"rank": rank.number or 0, "pid": rank.pid}
    return number | {name: getattr(rank, name) for name in names}


def get_rss() -> int:
    """Return the resident bytes of this process."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * proc.PAGE


def save_record(path: str, record: dict[str, Any]) -> None:
    """Write the totals, seen whole or not at all."""
    with open(f"{path}.partial", "w") as stream:
        json.dump(record, stream, indent=2)
        stream.write("\n")
    os.replace(f"{path}.partial", path)
