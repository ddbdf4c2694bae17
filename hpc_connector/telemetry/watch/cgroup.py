"""What the control groups of a Slurm job say of it on this node, version 1 or 2.

A group counts the children that have exited, and its kernel keeps the peak of memory.
Only a group that Slurm made for the job is used: that of a login session or of a
container holds other work as well.
"""

import os
from typing import NamedTuple

ROOT = "/sys/fs/cgroup"
SELF = "/proc/self/cgroup"


class Cgroup(NamedTuple):
    """The open files of a job's groups; -1 for one that there is not.

    Parameters
    ----------
    source
        "cgroup2" or "cgroup1".
    """

    source: str
    cpu: int
    memory: int
    peak: int
    io: int


class Usage(NamedTuple):
    """What a job has used on a node; None for what is not known.

    Parameters
    ----------
    cpu_s
        Seconds of all processes so far, also of those that have ended.
    rss_bytes
        Anonymous memory now, without the page cache.
    peak_bytes
        The kernel's high-water mark, with the page cache.
    read_bytes, write_bytes
        Of block devices so far.
    """

    cpu_s: float
    rss_bytes: int
    peak_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None


def find_cgroup(root: str = ROOT, own: str = SELF) -> Cgroup | None:
    """Return the groups of the job that this process is in, None without any.

    The path is what the kernel says of this process: Slurm's versions name it
    differently. What stands before "/step_" is the job's part of it.
    """
    paths = read_paths(own)
    if "" in paths:
        there = f"{root}{paths['']}/"
        names = ("cpu.stat", "memory.stat", "memory.peak", "io.stat")
        group = Cgroup("cgroup2", *(open_file(there + name) for name in names))
        if group.cpu >= 0 and group.memory >= 0:
            return group
    cpu, memory, io = (
        f"{root}/{name}{paths[name]}/" if name in paths else "/nowhere/"
        for name in ("cpuacct", "memory", "blkio")
    )
    group = Cgroup(
        "cgroup1",
        open_file(f"{cpu}cpuacct.usage"),
        open_file(f"{memory}memory.stat"),
        open_file(f"{memory}memory.max_usage_in_bytes"),
        open_file(f"{io}blkio.throttle.io_service_bytes_recursive"),
    )
    return group if group.cpu >= 0 and group.memory >= 0 else None


def read_paths(own: str) -> dict[str, str]:
    """Return the path of the job in each hierarchy of Slurm's; "" is version 2."""
    try:
        with open(own) as stream:
            lines = stream.read().splitlines()
    except OSError:
        return {}
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        job, step, _ = path.partition("/step_")
        if step:
            paths |= dict.fromkeys(controllers.split(","), job)
    return paths


def open_file(path: str) -> int:
    """Return a descriptor, -1 if the file cannot be read."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def read_usage(group: Cgroup) -> Usage | None:
    """Return the use of the job; None once its groups are gone."""
    try:
        cpu, memory = os.pread(group.cpu, 4096, 0), os.pread(group.memory, 8192, 0)
        peak = int(os.pread(group.peak, 64, 0)) if group.peak >= 0 else None
        io = os.pread(group.io, 16384, 0) if group.io >= 0 else None
    except OSError:
        return None
    words = dict(line.split()[:2] for line in memory.splitlines())
    if group.source == "cgroup2":
        counters = dict(line.split()[:2] for line in cpu.splitlines())
        cpu_s, rss = int(counters[b"usage_usec"]) / 1e6, int(words[b"anon"])
    else:
        cpu_s, rss = int(cpu) / 1e9, int(words[b"total_rss"])
    return Usage(cpu_s, rss, peak, *read_io(io))


def read_io(text: bytes | None) -> tuple[int | None, int | None]:
    """Return bytes read and written on all devices.

    Lines are ``8:0 rbytes=1 wbytes=2 ...`` in version 2, ``8:0 Read 1`` in version 1.
    """
    if text is None:
        return None, None
    words = [line.replace(b"=", b" ").split() for line in text.splitlines()]
    pairs = [
        (w[k], int(w[k + 1])) for w in words for k in range(1, len(w) - 1, 2) if w[2:]
    ]
    read = sum(n for name, n in pairs if name in (b"rbytes", b"Read"))
    return read, sum(n for name, n in pairs if name in (b"wbytes", b"Write"))
