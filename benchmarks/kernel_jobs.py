"""Searches and permutations in memory, by the public functions of the learner alone.

    python benchmarks/kernel_jobs.py < NAMES

Reads the name of a job a line, runs it once, and answers with the CPU seconds of one
core and a digest of what was found. What a job needs is made, and its kernels compiled,
when its name is read for the first time. `benchmarks/kernels.py --against COMMIT` runs
this file for two versions of the package in turn.
"""

import hashlib
import sys
import time
from functools import lru_cache

import numpy as np

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    make_planes,
    pack_genotypes,
    place_codes,
)
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.partitioner import make_tiles

EDGE = {2: 64, 3: 16}  # blocks along a tile

# variants, individuals, folds, order, missing rate (negative: of the second half),
# permutations, interaction
JOBS = {
    "pairs, 10 folds, 4,000": (6000, 4000, 10),
    "pairs, 10 folds, 2,000": (6000, 2000, 10),
    "pairs, 10 folds, 500": (8000, 500, 10),
    "pairs, 5 folds, 1,128": (6000, 1128, 5),
    "pairs, 4,000": (6000, 4000, 1),
    "pairs, 500": (10000, 500, 1),
    "pairs, 10 folds, 20,000": (1500, 20000, 10),
    "pairs, 50,000": (1000, 50000, 1),
    "pairs, 200,000": (500, 200_000, 1),
    "pairs, 10 folds, 50,000": (1000, 50000, 10),
    "pairs, 10 folds, 200,000": (500, 200_000, 10),
    "pairs, 10 folds, 0.1 % missing": (2000, 4000, 10, 2, 0.001),
    "pairs, 10 folds, 2 % missing": (2000, 4000, 10, 2, 0.02),
    "pairs, 10 folds, 2 % of half missing": (2000, 4000, 10, 2, -0.02),
    "pairs, 2 % missing": (2000, 4000, 1, 2, 0.02),
    "triples, 10 folds": (400, 4000, 10, 3),
    "triples": (400, 4000, 1, 3),
    "triples, 10 folds, 2 % missing": (150, 4000, 10, 3, 0.02),
    "permutation": (2000, 4000, 10, 2, 0.0, 16),
    "permutation, 0.1 % missing": (1000, 4000, 10, 2, 0.001, 8),
    "permutation, 0.5 % missing": (1000, 4000, 10, 2, 0.005, 8),
    "permutation, 2 % missing": (1000, 4000, 10, 2, 0.02, 8),
    "permutation of interaction": (2000, 4000, 10, 2, 0.0, 8, True),
    "permutation of triples": (200, 4000, 10, 3, 0.0, 4),
    "permutation of interaction, triples": (200, 4000, 10, 3, 0.0, 4, True),
}


def describe(name):
    """Return the sizes of a job and what else it asks, all seven values."""
    given = JOBS[name]
    return given + (2, 0.0, 0, False)[len(given) - 3 :]


def count_models(name):
    """Return the models of a job, counted under every permutation."""
    n, _, _, order, _, permutations, _ = describe(name)
    models = n * (n - 1) // 2 if order == 2 else n * (n - 1) * (n - 2) // 6
    return models * max(1, permutations)


def make_cohort(n_variants, n_individuals, n_folds, missing_rate, share=1.0):
    """Return planes, arrangement and labels of a cohort by chance.

    Genotypes are missing in the last share of the variants.
    """
    rng = np.random.default_rng(1)
    is_case = rng.permutation(np.arange(n_individuals) % 2).astype(np.int8)
    arrangement = make_arrangement(is_case, make_folds(is_case, n_folds, rng))
    source = get_source(arrangement, np.arange(n_individuals))
    planes = make_planes(n_variants, arrangement.n_words, missing=missing_rate > 0)
    for at in range(0, n_variants, 100):
        n = min(100, n_variants - at)
        maf = rng.uniform(0.05, 0.5, (n, 1))
        genotypes = rng.binomial(2, maf, (n, n_individuals)).astype(np.int8)
        if at >= (1 - share) * n_variants:
            missing = rng.random(genotypes.shape, np.float32) < missing_rate
            genotypes[missing] = -1
        codes, _ = pack_genotypes(genotypes, source)
        place_codes(codes, np.arange(at, at + n), planes)
    return planes, arrangement, is_case


@lru_cache(maxsize=1)
def make_job(name):
    """Return a function that runs a job and returns arrays of what it found."""
    n_variants, n_individuals, n_folds, order, rate, number, interaction = describe(
        name
    )
    planes, arrangement, is_case = make_cohort(
        n_variants, n_individuals, n_folds, abs(rate), 0.5 if rate < 0 else 1.0
    )
    genotypes = learner.make_genotypes(planes, n_variants, arrangement)
    question = learner.Question(
        order=order, permutations=number, interaction=interaction
    )
    if number:
        known = genotypes, question, arrangement, is_case, (0, len(planes)) * order
        return lambda: [learner.get_permutation_maximum(*known, range(number))]
    tiles = make_tiles(len(planes), EDGE[order], order)

    def search():
        best = learner.make_best(question, n_folds)
        for tile in tiles:
            learner.search(genotypes, question, tile, best)
        return learner.merge_best([best], question.top)

    return search


def run(name):
    """Return the CPU seconds of a job and a digest of what it found."""
    job = make_job(name)
    start_s = time.process_time()
    found = job()
    cpu_s = time.process_time() - start_s
    values = b"".join(np.ascontiguousarray(array).tobytes() for array in found)
    return cpu_s, hashlib.sha256(values).hexdigest()


def main():
    for line in sys.stdin:
        print(*run(line.strip()), flush=True)


if __name__ == "__main__":
    main()
