"""Memory and CPU time of joining the telemetry of a run, beside another build.

    python benchmarks/telemetry_collect.py [--rows 10000000] [--nodes 4] [--ranks 112]
        [--before FOLDER] [--rows-before 400000]

Memory is the greatest resident part of a process, above that of one that has imported
the command (and above that with pyarrow too, which is said apart); ru_maxrss would
begin with that of the process that starts it. The build before is
a checkout whose code holds all rows: it gets fewer, and is scaled by them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SAMPLES = 1000  # of a node that are written together
CHILD = """
import json, resource, sys
from pathlib import Path
from hpc_connector.commands.main import main
import hpc_connector.telemetry.collect
{more}
if len(sys.argv) > 1:
    sys.stdout = open("/dev/null", "w")
    hpc_connector.telemetry.collect.collect(Path(sys.argv[1]))
    sys.stdout = sys.__stdout__
used = resource.getrusage(resource.RUSAGE_SELF)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps([int(peak) * 1024, used.ru_utime + used.ru_stime]))
"""
PYARROW = "import pyarrow.parquet, pyarrow.csv"


def save_rows(folder, n_rows, n_nodes, n_ranks):
    """Write the files of agents: each second a row of the node and of each rank."""
    from hpc_connector.telemetry.columns import COLUMNS

    (folder / "telemetry").mkdir()
    n_samples = max(n_rows // (n_nodes * (n_ranks + 1)), 1)
    for node in range(n_nodes):
        rng = np.random.default_rng(node)
        with open(folder / f"telemetry/n{node}.csv", "w") as stream:
            stream.write(",".join(COLUMNS) + "\n")
            for first in range(0, n_samples, SAMPLES):
                last = min(first + SAMPLES, n_samples)
                stream.write(make_lines(rng, node, n_ranks, first, last))
    return n_samples * n_nodes * (n_ranks + 1)


def make_lines(rng, node, n_ranks, first, last):
    """Return the lines of some samples of a node."""
    lines = []
    jitter = rng.random((last - first, 3))
    rss = rng.integers(1 << 28, 1 << 31, n_ranks)
    for k, (late, used, more) in zip(range(first, last), jitter.tolist(), strict=True):
        head = f"{1.7e9 + k + late / 100:.3f},{k + late / 100:.3f},n{node}"
        lines.append(
            f"{head},-1,0,{n_ranks * (k + used):.6f},{int(more * 1e9) + (1 << 36)},"
            f"{1 << 37},{k << 20},{k << 16},{k * 999},{k * 99},{k * 300.5:.6f},cgroup2,"
            "rapl\n"
        )
        tail = f"{k << 18},{k << 14},,,,proc,none\n"
        lines += [
            f"{head},{r + node * n_ranks},{r + 9},{k + used:.2f},{b + k},{b + k},{tail}"
            for r, b in enumerate(rss.tolist())
        ]
    return "".join(lines)


def measure(code, folder="", root=ROOT):
    """Return greatest resident bytes and CPU seconds of a process."""
    paths = os.pathsep.join([str(root), str(root / "apps")])
    command = [sys.executable, "-c", code, *([str(folder)] if folder else [])]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def show(name, root, n_rows, args):
    """Measure one build, and return bytes and CPU seconds a row."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        n_rows = save_rows(Path(scratch), n_rows, args.nodes, args.ranks)
        program, with_pyarrow = (
            measure(CHILD.format(more=more), root=root) for more in ("", PYARROW)
        )
        n_bytes, cpu_s = measure(CHILD.format(more=""), scratch, root)
    above, beyond = n_bytes - program[0], n_bytes - with_pyarrow[0]
    cpu_s -= program[1]
    print(
        f"{name:>7}{n_rows:>12,}{above / 1e6:>12.1f}{beyond / 1e6:>12.1f}"
        f"{above / n_rows:>14.2f}{beyond / n_rows:>14.2f}"
        f"{cpu_s:>9.1f}{cpu_s / n_rows * 1e6:>9.2f}",
        flush=True,
    )
    return above / n_rows, cpu_s / n_rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rows-before", type=int, default=400_000)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--ranks", type=int, default=112, help="of each node")
    parser.add_argument("--before", type=Path, help="a checkout of the build before")
    parser.add_argument("--scratch", type=Path, help="a folder on a disk")
    args = parser.parse_args()
    heads = ("build", "rows", "MB above", "pyarrow", "bytes/row", "pyarrow", "CPU s")
    print("{:>7}{:>12}{:>12}{:>12}{:>14}{:>14}{:>9}   us/row".format(*heads))
    now = show("now", ROOT, args.rows, args)
    if args.before:
        before = show("before", args.before.resolve(), args.rows_before, args)
        print(
            f"{before[0] / now[0]:.0f} times less memory a row, "
            f"{before[1] / now[1]:.1f} times less CPU time"
        )


if __name__ == "__main__":
    main()
