"""What /proc says of processes and of a node, by files that are kept open.

One reading costs about 5 microseconds. A file that is open belongs to its process: when
the number of the process is given to another, reading fails.
"""

import itertools
import os
from collections.abc import Iterable

ROOT = "/proc"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
RANK_NAMES = (b"PMIX_RANK", b"PMI_RANK", b"OMPI_COMM_WORLD_RANK")
JOB_NAME = b"SLURM_JOB_ID"


class Process:
    """A process whose files are open, and what they said last.

    Parameters
    ----------
    cpu_s
        Seconds of user and system so far, with those of children that were waited for.
    peak_bytes
        The kernel's high-water mark (VmHWM).
    read_bytes, write_bytes
        Of storage so far; None where the kernel does not say.
    """

    def __init__(self, pid: int, root: str = ROOT) -> None:
        """Open the files; raises OSError if the process is not there."""
        self.pid = pid
        self.cpu_s = 0.0
        self.rss_bytes = self.peak_bytes = 0
        self.read_bytes: int | None = None
        self.write_bytes: int | None = None
        self.stat = open_file(f"{root}/{pid}/stat")
        try:
            self.status = open_file(f"{root}/{pid}/status")
        except OSError:
            os.close(self.stat)
            raise
        try:
            self.io = open_file(f"{root}/{pid}/io")
        except OSError:
            self.io = -1

    def read(self) -> bool:
        """Read CPU time and memory now; return whether the process lives."""
        try:
            data = os.pread(self.stat, 512, 0)
        except OSError:
            return False
        state, self.cpu_s, self.rss_bytes = parse_stat(data)
        if self.rss_bytes > self.peak_bytes:
            self.peak_bytes = self.rss_bytes
        return state not in b"ZX"

    def read_peak(self) -> None:
        """Read the high-water mark: dearer, and it does not fall."""
        try:
            mark = parse_peak(os.pread(self.status, 4096, 0))
        except OSError:
            return
        self.peak_bytes = max(self.peak_bytes, mark)

    def read_io(self) -> None:
        """Read the bytes of storage."""
        try:
            data = os.pread(self.io, 512, 0) if self.io >= 0 else b""
        except OSError:
            return
        if data:
            words = data.split()
            self.read_bytes, self.write_bytes = int(words[9]), int(words[11])

    def close(self) -> None:
        """Close the files."""
        for file in (self.stat, self.status, self.io):
            if file >= 0:
                os.close(file)


def open_file(path: str) -> int:
    """Return a descriptor of a file to read."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def parse_stat(data: bytes) -> tuple[bytes, float, int]:
    """Return state, seconds of CPU and resident bytes of a line of /proc/PID/stat.

    The name of the process may hold blanks and brackets: fields count from its end.
    """
    words = data[data.rindex(b")") + 2 :].split(None, 22)
    ticks = int(words[11]) + int(words[12]) + int(words[13]) + int(words[14])
    return words[0], ticks * TICK_S, int(words[21]) * PAGE


def parse_peak(status: bytes) -> int:
    """Return the bytes of VmHWM in /proc/PID/status, 0 for a process without memory."""
    _, found, rest = status.partition(b"VmHWM:")
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def list_pids(root: str = ROOT) -> list[int]:
    """Return the numbers of all processes, ascending."""
    return sorted(int(name) for name in os.listdir(root) if name.isdigit())


def read_parent(pid: int, root: str = ROOT) -> int:
    """Return the number of a process's parent, 0 if there is none."""
    try:
        with open(f"{root}/{pid}/stat", "rb") as stream:
            data = stream.read()
    except OSError:
        return 0
    return int(data[data.rindex(b")") + 2 :].split(None, 2)[1])


def read_rank(pid: int, job: bytes = b"", root: str = ROOT) -> int | None:
    """Return the MPI rank that a launcher gave to a process, None without one.

    Parameters
    ----------
    job
        The Slurm job that it must belong to, if not empty.
    """
    try:
        with open(f"{root}/{pid}/environ", "rb") as stream:
            pairs = [pair.partition(b"=") for pair in stream.read().split(b"\0")]
    except OSError:
        return None
    found = {name: value for name, _, value in pairs}
    if job and found.get(JOB_NAME) != job:
        return None
    ranks = [found[name] for name in RANK_NAMES if found.get(name, b"").isdigit()]
    return int(ranks[0]) if ranks else None


def parse_net(data: bytes) -> tuple[int, int]:
    """Return bytes received and sent by all devices but lo, from /proc/net/dev."""
    rx = tx = 0
    for line in data.splitlines()[2:]:
        name, _, counters = line.partition(b":")
        if name.strip() != b"lo":
            words = counters.split()
            rx, tx = rx + int(words[0]), tx + int(words[8])
    return rx, tx


def get_increases(counter: Iterable[float]) -> list[float]:
    """Return by how much a counter grew from each value to the next, never below 0.

    A negative step is a counter that has begun again at 0: what it shows then is what
    it has grown since.
    """
    pairs = itertools.pairwise(counter)
    return [b - a if b >= a else max(b, 0) for a, b in pairs]
