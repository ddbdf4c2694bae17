"""Measure what ranks cost: CPU seconds, start, and memory of one node.

    python benchmarks/ranks.py

Simulates cohorts, searches each on one rank and on two (kernels compiled and cached by
a small run before), and prints the efficiency by CPU time, with and without what an
all but empty search takes to start; the seconds from the start to the first task; and
the peak of the proportional set sizes of all ranks, beside the goal: what the genotypes
take packed, and 300 MB a rank.
"""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SIZES = [  # variants, individuals, options
    (20000, 4000, ["--folds", "1"]),
    (6000, 2000, ["--folds", "10"]),
    (6000, 2000, ["--folds", "10", "--permutations", "32"]),
]
REPEATS = 3
SAMPLE_S = 0.1
A_RANK_BYTES = 300_000_000


def simulate(prefix, variants, individuals):
    """Make a .bed cohort with a planted pair, once."""
    if Path(f"{prefix}.bed").exists():
        return
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


def measure(prefix, out, ranks, options):
    """Return what a run used according to its manifest, and its peak of memory."""
    shutil.rmtree(out, ignore_errors=True)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = ["mdr-epistasis", "run", f"{prefix}.bed", "--out", str(out), "--quiet"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*launch, *command, *options], **quiet)
    peak_bytes = 0
    while process.poll() is None:
        now_bytes = sum(map(get_pss_bytes, find_descendants(process.pid)))
        peak_bytes = max(peak_bytes, now_bytes)
        time.sleep(SAMPLE_S)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return json.loads((out / "manifest.json").read_text())["resources"], peak_bytes


def measure_best(*what):
    """Return least CPU, wall and starting seconds of some runs, and greatest memory."""
    runs = [measure(*what) for _ in range(REPEATS)]
    peak_bytes = max(peak for _, peak in runs)
    keys = ("cpu_s", "wall_s", "start_s")
    return *(min(used[key] for used, _ in runs) for key in keys), peak_bytes


def compare(folder, variants, individuals, options):
    """Print what one rank and two take for one search."""
    prefix, out = f"{folder}/{variants}x{individuals}", Path(folder, "out")
    simulate(prefix, variants, individuals)
    print(f"{variants} x {individuals}, {' '.join(options)}")
    for ranks in (1, 2):
        empty_s, *_ = measure_best(f"{folder}/empty", out, ranks, options)
        cpu_s, wall_s, start_s, peak_bytes = measure_best(prefix, out, ranks, options)
        if ranks == 1:
            alone_s, search_s = cpu_s, cpu_s - empty_s
        limit_bytes = variants * individuals // 4 + ranks * A_RANK_BYTES
        print(
            f"  ranks {ranks}: CPU {cpu_s:.2f} s, wall {wall_s:.2f} s, efficiency "
            f"{alone_s / cpu_s:.1%}, without start {search_s / (cpu_s - empty_s):.1%}, "
            f"first task {start_s:.2f} s, "
            f"memory {peak_bytes / 1e6:.0f} of {limit_bytes / 1e6:.0f} MB",
            flush=True,
        )


def main():
    with tempfile.TemporaryDirectory() as folder:
        simulate(f"{folder}/empty", 40, 100)
        for variants, individuals, options in SIZES:
            measure(f"{folder}/empty", Path(folder, "out"), 1, options)
            compare(folder, variants, individuals, options)


if __name__ == "__main__":
    main()
