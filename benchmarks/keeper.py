"""How long a release takes, and how many jobs a keeper serves that start at once.

    python benchmarks/keeper.py [--jobs 1000]

Loopback, TLS 1.3, a munged of its own; ``scontrol`` is a script that prints a record.
"""

import argparse
import hashlib
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.keeper import munge
from hpc_connector.confidential.keeper.client import exchange
from hpc_connector.confidential.keeper.messages import encode, name_object
from hpc_connector.crypt4gh.seal import read_seal
from hpc_connector.text import pack_json
from keepers import CLUSTER, GOLDEN, JOB, NODE, make_grant, run_with_cohort

MEASURED = hashlib.sha256(b"the code").hexdigest()
PROCESSES = 4  # of clients


def release(context: ssl.SSLContext, port: int, grant: str, name: str) -> float:
    """Have an object released to a new key; return the seconds it took."""
    begin_s = time.perf_counter()
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    body = {"format_version": 1, "grant": grant, "cluster": CLUSTER, "job_id": JOB}
    body |= {"restart": 0, "node": NODE, "job_public": encode(public), "evidence": {}}
    body |= {"program": "mdr-epistasis", "version": "0", "measurement": MEASURED}
    connection = HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    nonce = exchange(connection, "GET", "/v1/nonces")
    data = pack_json(body | {"nonce": nonce["nonce"], "objects": [name]})
    digest = hashlib.sha256(data).digest()
    headers = {"X-Munge": munge.make_credential(digest, nonce["uid"])}
    told = exchange(connection, "POST", "/v1/release", data, headers)
    connection.close()
    assert name in told["headers"]
    return time.perf_counter() - begin_s


def run_clients(port: int, certificate: str, socket: str, n: int, grant: str) -> None:
    """Be jobs that start at once; print the seconds of each."""
    munge.SOCKET = socket
    context = ssl.create_default_context(cafile=certificate)
    name = get_object()
    start = threading.Barrier(n)

    def run(_: int) -> float:
        start.wait()
        return release(context, port, grant, name)

    with ThreadPoolExecutor(n) as pool:
        print(*pool.map(run, range(n)))


def get_object() -> str:
    """Return the id of the object."""
    seal = (GOLDEN / "cohort.bed.c4gh.seal").read_bytes()
    return name_object(seal[: read_seal(seal, "seal").size])


def measure(jobs: int) -> dict[str, float]:
    """Return the seconds of one release (median of 50), and of many at once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        run_with_cohort(Path(folder), [MEASURED]) as keeper,
    ):
        certificate = f"{folder}/keeper.pem"
        port = int(keeper.url.rpartition(":")[2])
        context = ssl.create_default_context(cafile=certificate)
        grant, name = make_grant(keeper), get_object()
        single = [release(context, port, grant, name) for _ in range(50)]
        words = [str(port), certificate, munge.SOCKET, str(jobs // PROCESSES)]
        command = [sys.executable, __file__, "--clients", *words, grant]
        begin_s = time.perf_counter()
        clients = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        said = [client.communicate()[0] for client in clients]
        all_s = time.perf_counter() - begin_s
    many = [float(word) for text in said for word in text.split()]
    assert len(many) == jobs // PROCESSES * PROCESSES
    return {
        "release_s": statistics.median(single),
        "jobs": len(many),
        "longest_s": max(many),
        "all_s": all_s,
    }


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.clients:
        port, certificate, socket, n, grant = args.clients
        run_clients(int(port), certificate, socket, int(n), grant)
        return
    found = measure(args.jobs)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"one release, round trip: {1000 * found['release_s']:.1f} ms (at most 50)")
    print(
        f"{found['jobs']:.0f} jobs at once: all served in {found['longest_s']:.1f} s, "
        f"{found['all_s']:.1f} s with the start of their processes (at most 20)"
    )
    print(f"load of the machine: {load:.1f} a core")


if __name__ == "__main__":
    main()
