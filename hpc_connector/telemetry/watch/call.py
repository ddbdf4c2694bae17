"""What one call of a function uses, as its own process sees it.

A worker that is warm has served other calls before: counters are told from where they
stood, and the kernel's mark of memory is set back where it lets a process do so. What
cannot be read is left empty. The standard library is enough.
"""

import contextlib
import os
import resource
import time
from typing import Any, NamedTuple

from hpc_connector.telemetry.watch import proc
from hpc_connector.telemetry.watch.proc import Process

RANK = -2  # in rows of functions; a node's have -1
OF_CALL, OF_PROCESS = "call", "process"  # whose mark of memory it is


class Begun(NamedTuple):
    """What counters said when a call began; ``is_marked``: memory was set back."""

    start_s: float
    cpu_s: float
    io: tuple[int, int] | None
    is_marked: bool


def begin_call(root: str = proc.ROOT) -> Begun:
    """Note where counters stand, and set back the mark of memory if that is allowed."""
    process = read_self(root)
    is_marked = set_mark_back(root)
    return Begun(time.monotonic(), get_cpu_s(), get_io(process), is_marked)


def end_call(
    begun: Begun, fetched_bytes: int | None = None, root: str = proc.ROOT
) -> dict[str, Any]:
    """Return the row of a call: the columns of the telemetry agent, by their names.

    Parameters
    ----------
    fetched_bytes
        That the call has received, by its own count.

    Returns
    -------
    Numbers, text, and None for what is not known. "source" says of each figure where
    it is from. "peak_bytes" is the mark of this call, where "source" has "peak=call";
    with "peak=process" calls before it may have reached that. Children that have ended
    count for CPU time, and not for memory.
    """
    process = read_self(root)
    read, written = get_difference(begun.io, get_io(process))
    peak_bytes, whose = get_peak(process, is_marked=begun.is_marked)
    sources = {
        "cpu": "rusage",
        "rss": "proc" if process else "none",
        "peak": whose,
        "io": "none" if read is None else "proc",
        "net": "none" if fetched_bytes is None else "client",
    }
    return {
        "time_s": round(time.time(), 3),
        "elapsed_s": round(time.monotonic() - begun.start_s, 3),
        "node": os.environ.get("SLURMD_NODENAME") or os.uname().nodename,
        "rank": RANK,
        "pid": os.getpid(),
        "cpu_s": round(get_cpu_s() - begun.cpu_s, 3),
        "rss_bytes": process.rss_bytes if process else None,
        "peak_bytes": peak_bytes,
        "read_bytes": read,
        "write_bytes": written,
        "net_rx_bytes": fetched_bytes,
        "net_tx_bytes": None,
        "energy_j": None,
        "source": " ".join(f"{name}={source}" for name, source in sources.items()),
        "energy_source": "none",
    }


def get_cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read_self(root: str) -> Process | None:
    """Return the figures of /proc for this process; None where it has none.

    Its peak is the kernel's mark, 0 where there is none.
    """
    try:
        process = Process(os.getpid(), root)
    except OSError:
        return None
    try:
        if not process.read():
            return None
        process.peak_bytes = 0
        process.read_peak()
        process.read_io()
    except (ValueError, IndexError):  # a /proc that is not Linux'
        return None
    finally:
        process.close()
    return process


def get_io(process: Process | None) -> tuple[int, int] | None:
    """Return the bytes of storage that were read and written so far."""
    if process is None or process.read_bytes is None or process.write_bytes is None:
        return None
    return process.read_bytes, process.write_bytes


def get_difference(
    before: tuple[int, int] | None, after: tuple[int, int] | None
) -> tuple[int | None, int | None]:
    """Return by how much two counters have grown."""
    if before is None or after is None:
        return None, None
    return after[0] - before[0], after[1] - before[1]


def get_peak(process: Process | None, *, is_marked: bool) -> tuple[int | None, str]:
    """Return the greatest resident bytes, and whose they are.

    ``ru_maxrss`` is never set back, and outlives even an exec.
    """
    if process and process.peak_bytes:
        return process.peak_bytes, OF_CALL if is_marked else OF_PROCESS
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (kib * 1024, OF_PROCESS) if kib else (None, "none")


def set_mark_back(root: str) -> bool:
    """Set the mark of memory (VmHWM) to what is resident now; return if that worked.

    It is one of the process: https://docs.kernel.org/filesystems/proc.html, clear_refs.
    """
    try:
        file = os.open(f"{root}/{os.getpid()}/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(file, b"5") == 1
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(file)
