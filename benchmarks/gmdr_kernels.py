"""Measure the kernels of generalised MDR beside those of MDR, in one process.

    python benchmarks/gmdr_kernels.py
    python benchmarks/gmdr_kernels.py --variants 20000      # minutes
    export NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2  # before it: AVX2 alone

Prints the seconds of null models, and million models a second of searches by case and
control and by scores, and their ratio. CPU seconds of one core, median of five, the two
searches in turn.
"""

import argparse
import os
import tempfile
import time

os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()  # per CPU that was asked for

import numpy as np
from kernel_jobs import make_cohort

from hpc_connector.learner.gmdr import search as gmdr
from hpc_connector.learner.gmdr.null_model import KINDS, fit_null_model
from hpc_connector.learner.gmdr.scores import make_scores
from hpc_connector.learner.mdr import search as mdr

REPEATS = 5


def get_cpu_s(*works):
    """Return the median CPU seconds of some calls, after a first that compiles."""
    seconds = np.zeros((REPEATS + 1, len(works)))
    for repeat in range(REPEATS + 1):
        for number, work in enumerate(works):
            start_s = time.process_time()
            work()
            seconds[repeat, number] = time.process_time() - start_s
    return np.median(seconds[1:], axis=0)


def compare(n_variants, n_individuals, n_folds, order=2, missing_rate=0.0, bits=8):
    """Return million models a second of MDR and of generalised MDR.

    Variants by the hundred.
    """
    planes, arrangement, is_case = make_cohort(
        n_variants, n_individuals, n_folds, missing_rate
    )
    size = np.abs(np.random.default_rng(2).normal(size=n_individuals))
    scores = make_scores(np.where(is_case == 1, size, -size), bits)
    genotypes = mdr.make_genotypes(planes, n_variants, arrangement)
    scored = gmdr.make_scored_genotypes(planes, n_variants, arrangement, scores)
    question = mdr.Question(order=order)
    edge = 64 if order == 2 else 16
    n = len(planes)
    spans = [(k, min(k + edge, n)) for k in range(0, n, edge)]
    if order == 2:
        tiles = [a + b for a in spans for b in spans if a <= b]
    else:
        tiles = [a + b + c for a in spans for b in spans for c in spans if a <= b <= c]

    def work(module, given):
        best = mdr.make_best(question, n_folds)
        for tile in tiles:
            module.search(given, question, tile, best)

    cpu_s = get_cpu_s(lambda: work(mdr, genotypes), lambda: work(gmdr, scored))
    m = n_variants
    models = m * (m - 1) // 2 if order == 2 else m * (m - 1) * (m - 2) // 6
    return models / cpu_s / 1e6


def measure_null_model(kind, n_individuals=10_000, n_columns=20):
    """Return the CPU seconds of a null model."""
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(n_individuals, n_columns))
    trait = np.abs(
        np.rint(rng.normal(size=n_individuals) + columns @ np.full(n_columns, 0.1))
    )
    trait = np.minimum(trait, 1) if kind == "binary" else trait
    names = [f"PC{k + 1}" for k in range(n_columns)]
    return get_cpu_s(lambda: fit_null_model(trait, columns, names, kind))[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=int, default=2000)
    m = parser.parse_args().variants
    for kind in KINDS:
        cpu_s = measure_null_model(kind)
        print(f"null model, {kind}, 10,000 x 20: {cpu_s:.3f} s", flush=True)
    for name, arguments in {
        "pairs, no folds, 4,000": (m, 4000, 1),
        "pairs, 10 folds, 4,000": (m, 4000, 10),
        "pairs, 10 folds, 4,000, 15 bits": (m, 4000, 10, 2, 0.0, 15),
        "pairs, 10 folds, 2,000": (m, 2000, 10),
        "pairs, 10 folds, 20,000": (m // 2, 20_000, 10),
        "pairs, 10 folds, 2 % missing": (m // 2, 4000, 10, 2, 0.02),
        "triples, no folds, 4,000": (300, 4000, 1, 3),
        "triples, 10 folds, 4,000": (100, 4000, 10, 3),
    }.items():
        plain, general = compare(*arguments)
        print(
            f"{name:32} MDR {plain:6.2f}, generalised {general:6.2f} M models/s, "
            f"ratio {general / plain:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
