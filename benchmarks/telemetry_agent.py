"""What the agent costs: 64 processes, a sample every second and ten a second.

    python benchmarks/telemetry_agent.py [--seconds 60] [--processes 64] [--rounds 3]

The processes are ranks that work a little and sleep. The CPU time of the agent is what
the kernel says of it between two moments while it runs, its start left out (which is
said beside it); its memory is the resident part. Each is done without and with a stream
of files to which the rows are told, in turn. Limits: 0.1 % of a core at 1 Hz and 0.11 %
with a stream, 1 % at 10 Hz, 15 MB.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hpc_connector.streams.open import open_stream
from hpc_connector.telemetry.watch.proc import Process

RANK = (
    "import time\nkept = bytearray(1 << 20)\nwhile True: sum(range(9)); time.sleep(1)"
)


@contextlib.contextmanager
def start_ranks(count):
    """Start processes that have the number of a rank; give their ids."""
    command = [sys.executable, "-S", "-c", RANK]
    ranks = [
        subprocess.Popen(command, env=os.environ | {"PMI_RANK": str(k)})
        for k in range(count)
    ]
    time.sleep(5)
    try:
        yield [rank.pid for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


def measure(pids, interval_s, seconds, out, stream):
    """Watch processes; return share of a core, seconds of the start, bytes, rows."""
    watched = ",".join(f"{pid}:{rank}" for rank, pid in enumerate(pids))
    command = [
        sys.executable,
        "-m",
        "hpc_connector.commands.telemetry.agent",
        "--out",
        out,
    ]
    command += ["--interval", str(interval_s), "--pid", watched]
    command += ["--stream", stream] if stream else []
    agent = subprocess.Popen(command)
    time.sleep(3)
    process = Process(agent.pid)
    start_s = time.monotonic()
    process.read()
    start_cpu_s = read_cpu_s(agent.pid)
    time.sleep(seconds)
    cpu_s = read_cpu_s(agent.pid) - start_cpu_s
    wall_s = time.monotonic() - start_s
    process.read()
    agent.terminate()
    agent.wait()
    return cpu_s / wall_s, start_cpu_s, process.rss_bytes


def read_cpu_s(pid):
    """Return the CPU seconds of a process of one thread, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat") as stream:
        return int(stream.read().split()[0]) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with start_ranks(args.processes) as pids, tempfile.TemporaryDirectory() as out:
        url = (Path(out) / "stream").as_uri()
        with open_stream(url) as stream:
            stream.create(1)
        found = {(s, to): [] for s in (1.0, 0.1) for to in ("", url)}
        for _ in range(args.rounds):
            for (interval_s, to), measured in found.items():
                measured.append(measure(pids, interval_s, args.seconds, out, to))
    print("interval  stream  share of a core  start      memory")
    for (interval_s, to), measured in found.items():
        share, start_s, n_bytes = map(statistics.median, zip(*measured, strict=True))
        print(
            f"{interval_s:6.1f} s  {'yes' if to else 'no':6}  {share:14.3%}"
            f"  {start_s:6.3f} s  {n_bytes / 1e6:5.1f} MB"
        )


if __name__ == "__main__":
    main()
