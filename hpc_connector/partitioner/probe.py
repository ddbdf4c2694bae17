"""What ranks find out about the MPI they were started with, step by step.

Each step is announced before it begins, for some do not come back: an MPI that cannot
copy between processes aborts or hangs.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.partitioner.communicator import Communicator, ParallelCommunicator
from hpc_connector.partitioner.launch import get_library, get_threads
from hpc_connector.partitioner.shared_memory import SHARED_MEMORY, get_node, share_array
from hpc_connector.partitioner.tickets import count_tickets

MESSAGE_BYTES = 4 << 20  # larger than what MPI copies through its own buffers
N_TICKETS = 200
ROUNDS = 20
OVER_NETWORK = ("nfs", "lustre", "gpfs", "beegfs", "panfs", "ceph", "cifs", "smb", "9p")
LAUNCHER_SPEAKS = {"PMIX_RANK": "PMIx", "PMI_RANK": "PMI", "PMI_CONTROL_PORT": "Cray"}

Facts = dict[str, Any]


def probe_mpi(comm: ParallelCommunicator, say: Callable[[Facts], None]) -> None:
    """Try what the programs need; rank 0 says each step, and the facts it found."""
    for step in (find_library, find_hosts, try_sharing, try_messages, try_counter):
        if comm.rank == 0:
            say({"step": step.__name__})
        facts = step(comm)
        if comm.rank == 0:
            say(facts)
    if comm.rank == 0:
        say({"step": "done"})


def find_library(comm: Communicator) -> Facts:
    """Return the MPI library, who started it, and the number of ranks."""
    speaks = [said for name, said in LAUNCHER_SPEAKS.items() if name in os.environ]
    ranks = {"size": comm.size, "pmi": (speaks or ["none"])[0]}
    return ranks | get_library() | {"threads": get_threads()}


def find_hosts(comm: Communicator) -> Facts:
    """Return each host, with its ranks and its node-local storage."""
    names = comm.allgather(socket.gethostname())
    found = comm.gather(get_storage())
    hosts = {name: names.count(name) for name in names}
    if found is not None:  # on rank 0
        storage = dict(zip(names, found, strict=True))
        return {
            "hosts": [{"host": h, "ranks": n} | storage[h] for h, n in hosts.items()]
        }
    return {}


def get_storage() -> Facts:
    """Return the room of this node for temporary files, and for shared memory."""
    scratch = tempfile.gettempdir()  # $TMPDIR, where it can be written
    kind = find_file_system(Path(scratch))
    shared_bytes = None
    with contextlib.suppress(FileNotFoundError):
        shared_bytes = shutil.disk_usage(SHARED_MEMORY).free
    return {
        "scratch": scratch,
        "tmpdir": os.environ.get("TMPDIR"),
        "file_system": kind,
        "is_local": not kind.removeprefix("fuse.").startswith(OVER_NETWORK),
        "scratch_free_bytes": shutil.disk_usage(scratch).free,
        "shared_free_bytes": shared_bytes,
    }


def find_file_system(path: Path) -> str:
    """Return the type of the file system that holds a path."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    above = {str(p) for p in (path.resolve(), *path.resolve().parents)}
    mounts = (line.split()[1:3] for line in lines)  # a later one covers an earlier
    held = [(len(at), n, kind) for n, (at, kind) in enumerate(mounts) if at in above]
    return max(held)[2] if held else "unknown"


def try_sharing(comm: Communicator) -> Facts:
    """Return whether the ranks of a node share memory, None where each has its own."""
    rank, size, _ = get_node(comm)
    with share_array(comm, (size,), np.int64) as shared:
        shared[rank] = rank + 1
        comm.Barrier()
        is_same = bool((shared == np.arange(1, size + 1)).all())
        comm.Barrier()
    together = comm.allgather((is_same, size))
    tried = [same for same, ranks in together if ranks > 1]
    return {"shares_memory": all(tried) if tried else None}


def try_messages(comm: ParallelCommunicator) -> Facts:
    """Return seconds of a small message, and bytes a second of large ones both ways."""
    if comm.size == 1:
        return {}
    received = np.zeros(MESSAGE_BYTES // 8)
    sent = np.arange(MESSAGE_BYTES // 8) + float(comm.rank)
    small_s = swap(comm, sent[:1], received[:1])
    large_s = swap(comm, sent, received)
    arrived = comm.rank > 1 or np.array_equal(received, sent + 1 - 2 * comm.rank)
    return {
        "messages_arrive": all(comm.allgather(bool(arrived))),
        "latency_s": small_s,
        "bytes_per_s": MESSAGE_BYTES / large_s,
    }


def swap(
    comm: ParallelCommunicator,
    sent: NDArray[Any],
    received: NDArray[Any],
) -> float:
    """Send between the first two ranks there and back; return seconds each way."""
    took_s = []
    for _ in range(ROUNDS):
        comm.Barrier()
        start_s = time.perf_counter()
        if comm.rank == 0:
            comm.Send(sent, 1)
            comm.Recv(received, 1)
        elif comm.rank == 1:
            comm.Recv(received, 0)
            comm.Send(sent, 0)
        took_s.append(time.perf_counter() - start_s)
    return min(took_s) / 2


def try_counter(comm: Communicator) -> Facts:
    """Return whether the one-sided counter gives all ranks each ticket once."""
    n = N_TICKETS * comm.size
    with count_tickets(comm, n) as (take, _):
        mine = list(iter(take, n))
    everyone = sorted(ticket for tickets in comm.allgather(mine) for ticket in tickets)
    return {"counts": everyone == list(range(n))}
