"""Measure the kernels alone, in memory, beside what a bare loop reaches.

    python benchmarks/kernels.py [--avx2] [--jobs WORDS]
    python benchmarks/kernels.py --against COMMIT [--avx2] [--jobs WORDS]

Prints G pair-samples/s of the ceiling (AND + population count + add on data in the
first-level cache, nothing else), of the counting kernel and of its share of the
ceiling, and then ns a model of searches and permutations (`kernel_jobs.py`), those of
another commit beside them: each commit in a process of its own, one run of one and one
of the other in turn. Says so where they do not find the same. CPU seconds of one core,
median of five. `--avx2` measures the kernels that a machine without AVX-512 would run.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()  # per CPU that was asked for

import numpy as np
from kernel_jobs import JOBS, count_models

from hpc_connector._jit import kernel
from hpc_connector.learner.mdr._simd import add_common_bits, load, spread, store
from hpc_connector.learner.mdr.pairs._panel_kernels import copy_rows, count_groups

ROOT = Path(__file__).parent.parent
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
REPEATS = 5


@kernel
def add_in_cache(words, totals, rounds):
    """Add the common bits of words that stay in registers and cache."""
    a, b, c, d = load(words, 0), load(words, 16), load(words, 32), load(words, 48)
    w = x = y = z = spread(np.int32(0))
    for _ in range(rounds):
        for at in range(0, 1024, 16):
            other = load(words, at)
            w, x = add_common_bits(w, a, other), add_common_bits(x, b, other)
            y, z = add_common_bits(y, c, other), add_common_bits(z, d, other)
    store(totals, 0, w + x + y + z)


@kernel
def count_blocks(planes, start, n_blocks, rows, counts):
    """Count four rows of the first block against all blocks."""
    n_words = start[-1]
    copy_rows(planes, 0, n_words, 2, rows, 0)
    for block in range(n_blocks):
        at = block * n_words * 32
        count_groups(start, n_words, rows, 0, planes, at, 2, counts, 0)


def get_cpu_s(work):
    """Return the median CPU seconds of a call, after a first one that compiles."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start_s = time.process_time()
        work()
        seconds.append(time.process_time() - start_s)
    return float(np.median(seconds))


def measure_ceiling():
    """Return the G pair-samples/s of a loop that does nothing but count."""
    words = np.random.default_rng(0).integers(0, 2**31, 1024).astype(np.int32)
    totals = np.zeros(16, np.int32)
    rounds = 20_000
    cpu_s = get_cpu_s(lambda: add_in_cache(words, totals, rounds))
    return rounds * 64 * 4 * 16 * 32 / 4 / cpu_s / 1e9


def measure_counting(n_individuals):
    """Return the G pair-samples/s of the counting kernel, columns in the cache."""
    n_words = n_individuals // 32
    n_blocks = max(1, (1 << 18) // (n_words * 128))
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 2**31, n_blocks * n_words * 32).astype(np.int32)
    rows, counts = np.empty(n_words * 32, np.int32), np.empty(256, np.int32)
    start = np.array([0, n_words])
    rounds = max(1, 40_000_000 // (n_blocks * n_words * 32))

    def work():
        for _ in range(rounds):
            count_blocks(planes, start, n_blocks, rows, counts)

    return rounds * n_blocks * 64 * n_words * 32 / get_cpu_s(work) / 1e9


def show_counting():
    """Print the ceiling and what the counting kernel reaches of it."""
    ceiling = measure_ceiling()
    print(f"ceiling                          {ceiling:7.1f} G pair-samples/s")
    for n in (2048, 4096, 16384):
        rate = measure_counting(n)
        print(f"counting, {n:6} individuals     {rate:7.1f} G, {rate / ceiling:4.0%}")


def unpack_commit(commit, folder):
    """Write the files of a commit to a folder."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def start_worker(root, folder, environment):
    """Start the process that runs jobs by the package in a folder."""
    paths = {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": tempfile.mkdtemp(dir=folder)}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("kernel_jobs.py"))],
        env=os.environ | paths | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(worker, name):
    """Return the CPU seconds of one run of a job, and the digest of what it found."""
    print(name, file=worker.stdin, flush=True)
    cpu_s, found = worker.stdout.readline().split()
    return float(cpu_s), found


def measure_in_turn(workers, name):
    """Return the median ns a model of each worker, and whether all found the same."""
    found = {ask(worker, name)[1] for worker in workers}  # compiles
    runs = [[ask(worker, name)[0] for worker in workers] for _ in range(REPEATS)]
    return np.median(runs, axis=0) / count_models(name) * 1e9, len(found) == 1


def show_jobs(roots, names, folder, environment):
    """Print ns a model of each job, of one version of the package or of two."""
    workers = [start_worker(root, folder, environment) for root in roots]
    for name in names:
        ns, same = measure_in_turn(workers, name)
        then = "".join(f"{old:9.2f} {old / ns[0]:6.2f} x" for old in ns[1:])
        print(f"{name:36} {ns[0]:9.2f}{then}{'' if same else '  OTHER RESULTS'}")
        sys.stdout.flush()
    for worker in workers:
        worker.stdin.close()
        worker.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--against", metavar="COMMIT", help="measure it beside this one"
    )
    parser.add_argument("--avx2", action="store_true", help="and without AVX-512")
    parser.add_argument("--jobs", default="", help="only those whose names hold this")
    options = parser.parse_args()
    names = [name for name in JOBS if options.jobs in name]
    if not options.jobs:
        show_counting()
    with tempfile.TemporaryDirectory() as folder:
        roots = [ROOT]
        if options.against:
            roots.append(Path(folder, "then"))
            unpack_commit(options.against, roots[1])
        for title, environment in [("", {}), ("AVX2: ", AVX2)][: 1 + options.avx2]:
            columns = f"{'now':>9}" + f"{'then':>9}" * (len(roots) - 1)
            print(f"{title + 'ns a model':36} {columns}")
            show_jobs(roots, names, folder, environment)


if __name__ == "__main__":
    main()
