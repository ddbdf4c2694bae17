"""Measure pairs some of whose genotypes are missing, beside scoring all of them.

    python benchmarks/kernels_missing.py

Prints nanoseconds a pair, or a pair and permutation, of the kernel that scores every
pair, of the search, and their ratio; both find the same. CPU seconds of one core, in
turn, least of five.
"""

import time
from unittest import mock

import numpy as np

from kernels import REPEATS  # isort: skip # it chooses the folder of compiled code
from kernel_jobs import make_cohort

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr._search_kernels import search_missing_pairs

NOWHERE = np.empty((0, 0), np.float32)


def load_cohort(n_variants, *sizes):
    """Return genotypes, arrangement and labels of a cohort by chance."""
    planes, arrangement, is_case = make_cohort(n_variants, *sizes)
    genotypes = learner.make_genotypes(planes, n_variants, arrangement)
    return genotypes, arrangement, is_case


def compare(name, n_models, before, now):
    """Print the nanoseconds of two ways to the same result."""
    ways, seconds = (before, now), ([], [])
    results = [way() for way in ways]
    assert all(map(np.array_equal, *results)), name
    for _ in range(REPEATS):
        for way, of_way in zip(ways, seconds, strict=True):
            start_s = time.process_time()
            way()
            of_way.append(time.process_time() - start_s)
    old, new = (1e9 * min(of_way) / n_models for of_way in seconds)
    print(f"{name:44} {old:7.1f} {new:7.1f} ns {old / new:6.2f} x", flush=True)


def compare_search(n_variants, n_individuals, n_folds, rate, share=1.0, top=1000):
    """Compare a search with scoring every pair."""
    genotypes, _, _ = load_cohort(n_variants, n_individuals, n_folds, rate, share)
    question = learner.Question(top=top)
    rules, tile = learner.make_rules(question), (0, len(genotypes.planes)) * 2

    def run(search):
        best = learner.make_best(question, n_folds)
        search(genotypes, rules, best, tile, NOWHERE)
        return learner.merge_best([best], top)

    compare(
        f"{n_variants} x {n_individuals}, {n_folds} folds, {rate:.1%} of {share:.0%}, "
        f"top {top}",
        n_variants * (n_variants - 1) / 2,
        lambda: run(search_missing_pairs),
        lambda: run(learner.search_pairs),
    )


def compare_permutations(n_variants, n_individuals, n_folds, rate, number=16):
    """Compare permutations of labels with a search of each."""
    genotypes, *cohort = load_cohort(n_variants, n_individuals, n_folds, rate)
    question = learner.Question(permutations=number)
    tile = (0, len(genotypes.planes)) * 2

    def run():
        arguments = (genotypes, question, *cohort, tile, range(number))
        return [learner.get_permutation_maximum(*arguments)]

    def score_all():
        every = {"search_pairs": search_missing_pairs, "is_bounded": lambda _: False}
        with mock.patch.multiple(learner, **every):
            return run()

    compare(
        f"a permutation, {n_variants} x {n_individuals}, {rate:.1%}",
        number * n_variants * (n_variants - 1) / 2,
        score_all,
        run,
    )


def main():
    print(f"{'missing genotypes of a share of variants':44} {'all':>7} {'now':>7}")
    compare_search(2000, 4000, 10, 0.001)
    compare_search(2000, 4000, 10, 0.005)
    compare_search(2000, 4000, 10, 0.02)
    compare_search(2000, 4000, 10, 0.02, top=100)
    compare_search(4000, 4000, 10, 0.02, top=100)
    compare_search(2000, 4000, 10, 0.02, share=0.5)
    compare_search(2000, 4000, 10, 0.02, share=0.05)
    for rate in (0.0005, 0.005, 0.02):
        compare_permutations(2000, 4000, 10, rate)


if __name__ == "__main__":
    main()
