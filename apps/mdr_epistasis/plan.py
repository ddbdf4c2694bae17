"""What a search will take, from the sizes of its inputs: ``run --plan``."""

import argparse
import math

from hpc_connector.allocation import Cost
from hpc_connector.bitplanes import WORD_BITS, get_planes_shape
from hpc_connector.loader.sample_file import SampleFile
from hpc_connector.loader.samples import read_sample
from mdr_epistasis.cohort import PIECE_BYTES
from mdr_epistasis.run import get_slice, read_inputs
from mdr_epistasis.tasks import make_tasks

# Seconds of one core (AMD Zen 4, AVX-512), by benchmarks/search_mdr.py and kernels.py
PER_SAMPLE_S = {2: 1 / 240e9, 3: 1 / 89e9}  # of a model: its cells are counted
PER_FOLD_S = {2: 3.3e-9, 3: 20e-9}  # its accuracy in a fold
MISSING = 2.0  # times that, where models count different individuals
PERMUTATION = 0.28  # of a search
READ_S = 10e-9  # a byte of a genotype file
RANK_BYTES = 500_000_000  # while its kernels compile


def get_cost(args: argparse.Namespace) -> Cost:
    """Return what a run takes; its inputs are opened, and checked as far as that.

    Raises
    ------
    BadInput
        Inputs that ``run`` would refuse before it reads genotypes.
    """
    return make_cost(args, read_inputs(args))


def make_cost(args: argparse.Namespace, inputs: tuple) -> Cost:
    """Return what a run takes, from what :func:`mdr_epistasis.run.read_inputs` gave."""
    files, match, fold, _ = inputs
    n_variants = max(1, round(sum(map(count_variants, files)) * get_slice(args)))
    n, folds = len(match.is_case), int(fold.max()) + 1
    n_models = math.comb(n_variants, args.order)
    each_s = n * PER_SAMPLE_S[args.order]
    if folds > 1:
        each_s += folds * PER_FOLD_S[args.order]
    each_s *= MISSING if args.max_missing > 0 and args.missing == "exclude" else 1
    searches = 1 + args.permutations * PERMUTATION
    n_words = -(-n // WORD_BITS) + 2 * folds  # a group may need a word more
    shape = get_planes_shape(n_variants, n_words, missing=args.max_missing > 0)
    read_s = READ_S * sum(file.n_bytes for file in files)
    reasons = (
        f"{n_variants:,} variants (before filters) x {n:,} individuals, {folds} folds",
        f"{n_models:,} models x {each_s * 1e9:.0f} ns x {searches:.1f} searches",
        f"genotypes packed to {4 * math.prod(shape) / 1e9:.2f} GB a node",
    )
    return Cost(
        cpu_s=n_models * each_s * searches + read_s,
        serial_s=2e-6 * n_variants,
        node_bytes=4 * math.prod(shape),
        rank_bytes=RANK_BYTES + 40 * n_variants,
        tasks=len(make_tasks(shape, args.order, args.permutations, None)),
        reasons=reasons,
    )


def count_variants(file: SampleFile) -> int:
    """Return about how many variants a file has, by its first megabytes."""
    n_parts = max(1, -(-file.n_bytes // PIECE_BYTES))
    return n_parts * sum(len(b.variants.id) for b in read_sample(file, 0, n_parts))
