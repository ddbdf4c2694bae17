"""CPU seconds and memory to load a cohort from a file, here and as of another commit.

    python benchmarks/load_cohort.py [--against COMMIT] [VARIANTS] [INDIVIDUALS]

plink2 makes the files, 500,000 x 500 by default: .bed, .vcf.gz, BGEN of 8 bits, .pgen.
Each is loaded as a run does, from its header to bit planes, by a process of its own on
one thread, here and there in turn, whose kernels are compiled before; the figures are
the median of three, and the peak of a process. Of 1,000,000 variants without missing
genotypes, by .bed, only the peak counts. Last, the CPU seconds of a whole search of 40
x 100, of which nearly all is its start.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
REPEATS = 3
ENDINGS = ("bed", "vcf.gz", "bgen", "pgen")
EXPORTS = {
    "bed": ["--make-bed"],
    "vcf.gz": ["--export", "vcf", "bgz"],
    "bgen": ["--export", "bgen-1.2", "bits=8", "ref-first"],
}
LOAD = """
import resource, sys, time
from functools import partial
from hpc_connector import cli
cli.use_one_blas_thread()
cli.import_numba()
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.individuals import find_labels
from hpc_connector.partitioner.single import SerialCommunicator
from mdr_epistasis.cohort.folds import deal_folds
from mdr_epistasis.cohort.loading import Filters, load_cohort, read_header

def load(path, labels):
    find = partial(find_labels, labels, id_column=None, case_column=None, coding=None)
    files, match = read_header([path], [ReadOptions()], find)
    fold = deal_folds(match.is_case, 10, 42)
    with load_cohort(SerialCommunicator(), files, match, fold, Filters()):
        pass

*small, path, labels = sys.argv[1:]
for other in small:
    load(other, labels)
start_s = time.process_time()
load(path, labels)
cpu_s = time.process_time() - start_s
print(cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
SEARCH = """
import resource, subprocess, sys
words = [sys.executable, "-m", "mdr_epistasis", "run", *sys.argv[1:], "--quiet"]
subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@contextmanager
def check_out(commit: str | None, folder: str):
    """Give the trees to measure by name: this one, and a checkout of the commit."""
    trees = {"here": ROOT}
    if commit is None:
        yield trees
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    there = Path(folder) / "there"
    words = [*git, "add", "--quiet", "--detach", str(there), commit]
    subprocess.run(words, check=True)
    try:
        yield {"there": there, **trees}
    finally:
        subprocess.run([*git, "remove", "--force", str(there)], check=True)


def plink2(*words: str) -> None:
    subprocess.run(
        ["plink2", "--threads", "1", *words], check=True, capture_output=True
    )


def make_files(stem: str, n_variants: int, n_individuals: int, share: str) -> None:
    """Write a cohort and its labels: in all formats, unless nothing is missing."""
    words = ["--dummy", str(n_individuals), str(n_variants), share, "--seed", "7"]
    plink2(*words, "--make-pgen", "--out", stem)
    wanted = ["bed"] if share == "0" else EXPORTS
    for ending in wanted:
        plink2("--pfile", stem, *EXPORTS[ending], "--out", stem)


def run(code: str, tree: Path, folder: str, *words: str) -> tuple[float, float]:
    """Return CPU seconds and the peak in GB of a process that runs some code."""
    paths = os.pathsep.join([str(tree), str(tree / "apps")])
    own = {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": f"{folder}/cache of {tree.name}"}
    own["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
    environment = {**os.environ, **own}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return float("nan"), float("nan")  # that tree reads no such file
    cpu_s, peak_kb = map(float, done.stdout.split())
    return cpu_s, peak_kb / 1e6


def compare(name: str, trees: dict[str, Path], once) -> None:
    """Print the figures of each tree, one after another in turn, and their ratio."""
    found: dict[str, list[tuple[float, float]]] = {tree: [] for tree in trees}
    for path in trees.values():
        once(path, 0)  # compiles what is not compiled yet
    for k in range(REPEATS):
        for tree, path in trees.items():
            found[tree].append(once(path, k + 1))
    texts, seconds = [], []
    for tree, runs in found.items():
        cpu_s, peak_gb = map(statistics.median, zip(*runs, strict=True))
        texts.append(f"{tree} {cpu_s:.2f} CPU s, {peak_gb:.3f} GB")
        seconds.append(cpu_s)
    print(f"{name}: {'; '.join(texts)}; {seconds[0] / seconds[-1]:.2f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("variants", nargs="?", type=int, default=500_000)
    parser.add_argument("individuals", nargs="?", type=int, default=500)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        check_out(args.against, folder) as trees,
    ):
        for stem, n, share in [
            ("small", 2000, "0.005"),
            ("large", args.variants, "0.005"),
            ("whole", 2 * args.variants, "0"),
        ]:
            make_files(f"{folder}/{stem}", n, args.individuals, share)
        for ending in ENDINGS:
            words = [f"small.{ending}", f"large.{ending}", "large.fam"]
            compare(ending, trees, lambda tree, _: run(LOAD, tree, folder, *words))  # noqa: B023
        words = ["whole.bed", "whole.fam"]
        compare("twice as many, .bed", trees, lambda t, _: run(LOAD, t, folder, *words))
        make_files(f"{folder}/tiny", 40, 100, "0")
        words = ["tiny.bed", "--labels", "tiny.fam", "--out"]
        compare(
            "search of 40 x 100",
            trees,
            lambda tree, k: run(SEARCH, tree, folder, *words, f"{tree.name}{k}"),
        )


if __name__ == "__main__":
    main()
