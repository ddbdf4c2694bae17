"""Measure what ranks cost: CPU seconds, start, and memory of one node.

    python benchmarks/ranks.py

Simulates two cohorts, searches each on one rank and on two (kernels compiled and
cached by a small run before), and prints the efficiency by CPU time, the seconds from
the start to the first task, and the peak of the proportional set sizes of all ranks
beside what the genotypes take packed.
"""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SIZES = [  # variants, individuals, folds
    (20000, 4000, 1),
    (6000, 2000, 10),
]
REPEATS = 3
SAMPLE_S = 0.1
A_RANK_BYTES = 300_000_000


def simulate(prefix, variants, individuals):
    """Make a .bed cohort with a planted pair."""
    options = f"--variants {variants} --individuals {individuals} --heritability 0.02"
    options += " --maf 0.3 --seed 1"
    command = ["mdr-epistasis", "simulate", "--out", prefix, *options.split()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def find_descendants(pid):
    """Return a process and all it has started."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for process in found:
        found += children.get(process, [])
    return found


def get_pss_bytes(pid):
    """Return the proportional set size of a process, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def measure(prefix, out, ranks, folds):
    """Return what a run used according to its manifest, and its peak of memory."""
    shutil.rmtree(out, ignore_errors=True)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = ["mdr-epistasis", "run", f"{prefix}.bed", "--out", str(out), "--quiet"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*launch, *command, "--folds", str(folds)], **quiet)
    peak_bytes = 0
    while process.poll() is None:
        now_bytes = sum(map(get_pss_bytes, find_descendants(process.pid)))
        peak_bytes = max(peak_bytes, now_bytes)
        time.sleep(SAMPLE_S)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return json.loads((out / "manifest.json").read_text())["resources"], peak_bytes


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        simulate(f"{folder}/warm", 40, 100)
        for folds in (1, 2):
            measure(f"{folder}/warm", out, 1, folds)
        for variants, individuals, folds in SIZES:
            prefix = f"{folder}/{variants}x{individuals}"
            simulate(prefix, variants, individuals)
            packed_bytes = variants * individuals // 4
            print(f"{variants} x {individuals}, {folds} folds")
            alone_s = None
            for ranks in (1, 2):
                runs = [measure(prefix, out, ranks, folds) for _ in range(REPEATS)]
                cpu_s = min(used["cpu_s"] for used, _ in runs)
                alone_s = alone_s or cpu_s
                wall_s, start_s = (
                    min(used[k] for used, _ in runs) for k in ("wall_s", "start_s")
                )
                peak_bytes = max(peak for _, peak in runs)
                limit_bytes = packed_bytes + ranks * A_RANK_BYTES
                print(
                    f"  ranks {ranks}: CPU {cpu_s:.2f} s, wall {wall_s:.2f} s, "
                    f"efficiency {alone_s / cpu_s:.1%}, first task {start_s:.2f} s, "
                    f"memory {peak_bytes / 1e6:.0f} of {limit_bytes / 1e6:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
