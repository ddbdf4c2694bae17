"""Measure the kernels alone, in memory, beside what a bare loop reaches.

    python benchmarks/kernels.py
    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= python benchmarks/kernels.py   # AVX2

Prints G pair-samples/s of the ceiling (AND + population count + add on data in the
first-level cache, nothing else), of the counting kernel and of its share of the
ceiling, and then million models a second of whole searches and permutations. CPU
seconds of one core, median of five.
"""

import os
import tempfile
import time

os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()  # per CPU that was asked for

import numpy as np

from hpc_connector._jit import kernel
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._count_kernels import copy_rows, count_four_rows
from hpc_connector.learner.mdr._simd import add_common_bits, load, spread, store
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds

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
def count_blocks(planes, n_blocks, n_words, rows, counts):
    """Count four rows of the first block against all blocks."""
    copy_rows(planes, 0, n_words, 2, 0, 4, rows)
    for block in range(n_blocks):
        at = block * n_words * 32
        count_four_rows(rows, 0, planes, at, 0, n_words, counts, 0)


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
    rows, counts = np.empty(n_words * 8, np.int32), np.empty(256, np.int32)
    rounds = max(1, 40_000_000 // (n_blocks * n_words * 32))

    def work():
        for _ in range(rounds):
            count_blocks(planes, n_blocks, n_words, rows, counts)

    return rounds * n_blocks * 64 * n_words * 32 / get_cpu_s(work) / 1e9


def make_cohort(n_variants, n_individuals, n_folds, missing_rate):
    """Return planes, arrangement and labels of a cohort by chance."""
    rng = np.random.default_rng(1)
    is_case = rng.permutation(np.arange(n_individuals) % 2).astype(np.int8)
    arrangement = make_arrangement(is_case, make_folds(is_case, n_folds, rng))
    source = get_source(arrangement, np.arange(n_individuals))
    missing = missing_rate > 0
    planes = make_planes(n_variants, arrangement.n_words, missing=missing)
    for at in range(0, n_variants, 100):
        maf = rng.uniform(0.05, 0.5, (100, 1))
        genotypes = rng.binomial(2, maf, (100, n_individuals)).astype(np.int8)
        genotypes[rng.random(genotypes.shape) < missing_rate] = -1
        codes, _ = pack_genotypes(genotypes, source)
        place_codes(codes, np.arange(at, at + 100), planes)
    return planes, arrangement, is_case


def measure_search(n_variants, n_individuals, n_folds, order=2, missing_rate=0.0):
    """Return million models a second of a search without reading and writing."""
    planes, arrangement, _ = make_cohort(
        n_variants, n_individuals, n_folds, missing_rate
    )
    genotypes = learner.make_genotypes(planes, n_variants, arrangement)
    question = learner.Question(order=order)
    tile = (0, len(planes)) * order

    def work():
        best = learner.make_best(question, n_folds)
        learner.search(genotypes, question, tile, best)

    m = n_variants
    models = m * (m - 1) // 2 if order == 2 else m * (m - 1) * (m - 2) // 6
    return models / get_cpu_s(work) / 1e6


def measure_permutations(n_variants, n_individuals, n_folds, number=16):
    """Return million models a second and permutation."""
    planes, arrangement, is_case = make_cohort(n_variants, n_individuals, n_folds, 0.0)
    genotypes = learner.make_genotypes(planes, n_variants, arrangement)
    question = learner.Question(permutations=number)
    tile = (0, len(planes)) * 2

    def work():
        learner.get_permutation_maximum(
            genotypes, question, arrangement, is_case, tile, range(number)
        )

    return number * n_variants * (n_variants - 1) / 2 / get_cpu_s(work) / 1e6


def main():
    ceiling = measure_ceiling()
    print(f"ceiling                          {ceiling:7.1f} G pair-samples/s")
    for n in (2048, 4096, 16384):
        rate = measure_counting(n)
        print(f"counting, {n:6} individuals     {rate:7.1f} G, {rate / ceiling:4.0%}")
    for name, arguments in {
        "no cross-validation, 4,000": (4000, 4000, 1),
        "no cross-validation, 2,000": (4000, 2000, 1),
        "10 folds, 4,000": (2000, 4000, 10),
        "10 folds, 2,000": (2000, 2000, 10),
        "5 folds, 1,128": (2000, 1128, 5),
        "10 folds, 2 % missing, 4,000": (1000, 4000, 10, 2, 0.02),
        "triples, 4,000": (300, 4000, 1, 3),
        "triples, 10 folds, 4,000": (100, 4000, 10, 3),
    }.items():
        print(f"{name:32} {measure_search(*arguments):7.2f} M models/s", flush=True)
    rate = measure_permutations(2000, 4000, 10)
    print(f"{'a permutation, 10 folds, 4,000':32} {rate:7.2f} M models/s")


if __name__ == "__main__":
    main()
