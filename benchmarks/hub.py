"""Measure a hub: MiB/s of blocks over loopback TLS, and the CPU that they take.

    python benchmarks/hub.py [MIB]

Three sites, each a process with four connections, send blocks of 4 MiB, so many MiB
each, to a hub that adds them up and keeps the sums on its disk; prints what comes in a
second, and CPU seconds a GiB of the hub and of the sites, in turn with a hub whose disk
is memory, if /dev/shm is there.
"""

import multiprocessing
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hpc_connector.federation.hub.client import open_site
from hpc_connector.federation.hub.server import open_hub
from hpc_connector.federation.invitation import invite
from hpc_connector.federation.study import read_study

HOST = "127.0.0.1"
NAMES = ("a", "b", "c")
MIB = 512  # that each site sends
BLOCK_BYTES = 4 << 20
REPEATS = 3
MEMORY = Path("/dev/shm")
STUDY = """
[study]
name = "bench"
salt = "bench"
[variants]
reference = "list.bim"
[hub]
url = "https://{host}:{port}"
[[site]]
name = "a"
[[site]]
name = "b"
[[site]]
name = "c"
"""


def make_parties(folder):
    """Invite the parties of a study, with a folder each."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    (folder / "STUDY.toml").write_text(STUDY.format(host=HOST, port=port))
    (folder / "list.bim").write_text("1 rs1 0 5 A G\n1 rs2 0 9 C T\n")
    invite(folder / "STUDY.toml", folder / "parties")
    return folder / "parties"


def add_all(folder, n_blocks, seconds):
    """Be the hub; put its CPU seconds, and those that blocks took to come."""
    study = read_study(folder / "hub" / "STUDY.toml")
    port = int(study.hub.url.rpartition(":")[2])
    key, state = folder / "hub" / "tls.key", folder / "hub" / "state"
    about = (HOST, port), key, state, 60.0, lambda *_, **__: None
    with open_hub(study, *about) as transport:
        transport.gather()
        cpu_s, start_s = time.process_time(), time.monotonic()
        for block in range(n_blocks):
            transport.add(1, block)
        took = time.process_time() - cpu_s, time.monotonic() - start_s
        transport.tell(None)
    seconds.put(("hub", *took))


def send_all(folder, name, n_blocks, seconds):
    """Be a site; put its CPU seconds."""
    study = read_study(folder / name / "STUDY.toml")
    key, state = folder / name / "tls.key", folder / name / "state"
    numbers = np.random.default_rng(1).integers(0, 1 << 16, BLOCK_BYTES // 2, np.uint16)
    with open_site(study, name, key, state, 60.0) as transport:
        hello = {"study": study.sha256, "site": name, "nonce": name.encode() * 32}
        transport.gather(hello)
        cpu_s = time.process_time()
        for block in range(n_blocks):
            transport.add(1, block, lambda: numbers)
        transport.tell(None)
        transport.leave()
        seconds.put(("sites", time.process_time() - cpu_s, 0.0))


def measure(n_blocks, where):
    """Return CPU seconds of hub and sites, and those that passed."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=where) as folder:
        parties, seconds = make_parties(Path(folder)), spawn.Queue()
        work = [(add_all, (parties, n_blocks, seconds))]
        work += [(send_all, (parties, name, n_blocks, seconds)) for name in NAMES]
        processes = [spawn.Process(target=act, args=args) for act, args in work]
        for process in processes:
            process.start()
        found = [seconds.get() for _ in processes]
        for process in processes:
            process.join()
    of_hub = next(one for one in found if one[0] == "hub")
    return of_hub[1], sum(one[1] for one in found if one[0] == "sites"), of_hub[2]


def main(mib=MIB):
    """Print what was measured."""
    n_blocks = mib * (1 << 20) // BLOCK_BYTES
    places = {"a file": None} | ({"memory": MEMORY} if MEMORY.is_dir() else {})
    gib = len(NAMES) * n_blocks * BLOCK_BYTES / (1 << 30)
    for _ in range(REPEATS):
        for said, where in places.items():
            of_hub, of_sites, wall_s = measure(n_blocks, where)
            print(
                f"sums in {said}: {1024 * gib / wall_s:.0f} MiB/s of three sites, CPU "
                f"a GiB: hub {of_hub / gib:.2f} s, sites {of_sites / gib:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
