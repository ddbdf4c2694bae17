"""CPU seconds of equilibrium tests and of pruning, beside plink 1.9 where there is one.

    python benchmarks/genetics.py [VARIANTS] [INDIVIDUALS]

Simulates 50,000 x 2,000 by default, linked in runs. Both prune with 50 5 0.2 and leave
the same variants. Ours is the kernel; plink's is its whole program, less what it takes
to only count alleles. Median of three, on one thread.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hpc_connector.learner.genetics import get_hwe_p, prune_linked
from mdr_epistasis.simulate.files import encode_bed

REPEATS = 3
PRUNE = "--indep-pairwise 50 5 0.2"


def make_linked(n_variants, n):
    """Return genotypes, int8 (variants, individuals), each much like the one before."""
    rng = np.random.default_rng(1)
    genotypes = np.empty((n_variants, n), np.int8)
    alleles = np.zeros((2, n), bool)
    for v in range(n_variants):
        own = rng.random((2, n)) < rng.uniform(0.05, 0.5)
        alleles = np.where(rng.random((2, n)) < rng.uniform(0, 1), alleles, own)
        genotypes[v] = alleles.sum(axis=0)
    return genotypes


def make_levels(genotypes):
    """Return who carries 0, 1 and 2 copies, uint32 (variants, words, 3)."""
    bits = np.packbits(genotypes[..., None] == np.arange(3), axis=1, bitorder="little")
    padding = -bits.shape[1] % 4
    bits = np.pad(bits, ((0, 0), (0, padding), (0, 0))).transpose(0, 2, 1)
    return np.ascontiguousarray(bits).view(np.uint32).transpose(0, 2, 1)


def save(folder, genotypes):
    """Write a PLINK cohort of one chromosome."""
    n_variants, n = genotypes.shape
    data = b"\x6c\x1b\x01" + encode_bed(genotypes).tobytes()
    Path(folder, "x.bed").write_bytes(data)
    rows = [f"1\tv{v}\t0\t{v + 1}\tA\tG\n" for v in range(n_variants)]
    Path(folder, "x.bim").write_text("".join(rows))
    people = [f"I{i} I{i} 0 0 2 {1 + i % 2}\n" for i in range(n)]
    Path(folder, "x.fam").write_text("".join(people))


def measure(function):
    """Return the median of the CPU seconds of a function, and what it returns."""
    seconds = []
    for _ in range(REPEATS):
        before = os.times()
        found = function()
        after = os.times()
        seconds.append(sum(after[:4]) - sum(before[:4]))
    return float(np.median(seconds)), found


def run_plink(folder, *words):
    """Return the ids that plink 1.9 leaves."""
    command = ["plink1.9", "--bfile", "x", "--out", "x", "--threads", "1", "--silent"]
    subprocess.run([*command, *words], cwd=folder, check=True)
    path = Path(folder, "x.prune.in")
    return path.read_text().split() if path.exists() else []


def main():
    n_variants, n = map(int, [*sys.argv[1:], 50_000, 2_000][:2])
    genotypes = make_linked(n_variants, n)
    levels, frequency = make_levels(genotypes), genotypes.mean(axis=1) / 2
    counts = np.stack([(genotypes == k).sum(axis=1) for k in range(3)], axis=1)
    get_hwe_p(counts[:9])
    cpu_s, _ = measure(lambda: get_hwe_p(counts))
    print(f"equilibrium: {cpu_s / n_variants * 1e6:.2f} us a variant of {n}")

    options = {"window": 50, "step": 5, "r2": 0.2}
    prune_linked(levels[:9], frequency[:9], None, **options)
    cpu_s, left = measure(lambda: prune_linked(levels, frequency, None, **options))
    print(f"pruning: {cpu_s:.2f} CPU s, {left.sum()} of {n_variants} left")
    if shutil.which("plink1.9"):
        with tempfile.TemporaryDirectory() as folder:
            save(folder, genotypes)
            count_s, _ = measure(lambda: run_plink(folder, "--freq"))
            whole_s, ids = measure(lambda: run_plink(folder, *PRUNE.split()))
        is_same = ids == [f"v{v}" for v in np.flatnonzero(left)]
        plink_s = whole_s - count_s
        print(f"plink 1.9: {plink_s:.2f} CPU s, same list: {is_same}")
        print(f"ratio: {plink_s / cpu_s:.2f} x plink's speed")


if __name__ == "__main__":
    main()
