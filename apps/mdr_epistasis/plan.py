"""What a search will take, from the sizes of its inputs: ``run --plan``."""

import math
from collections.abc import Sequence

import numpy as np

from hpc_connector.allocation.cost import Cost
from hpc_connector.learner.mdr.bitplanes import WORD_BITS, get_planes_shape
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.genotypes.samples import read_sample
from hpc_connector.pipeline.access import begin_access
from mdr_epistasis.cohort.lists import Lists
from mdr_epistasis.cohort.loading import PIECE_BYTES
from mdr_epistasis.compat.bsc import FOLDS
from mdr_epistasis.compat.inputs import read_inputs as read_paired_inputs
from mdr_epistasis.inputs import Inputs, get_slice, read_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.possible import check_number
from mdr_epistasis.tasks import make_tasks

# Seconds of one core (AMD Zen 4, AVX-512) of a model, by benchmarks/plan_mdr.py: for
# each individual, twice that where some are missing; for each fold, where nobody is
# missing, they are left out, or are a level; of a permutation of pairs, nobody missing
PER_SAMPLE_S = {2: 1 / 400e9, 3: 1 / 110e9}
PER_FOLD_S = {2: (1.7e-9, 2.7e-9, 3.7e-9), 3: (18e-9, 18e-9, 40e-9)}
PERMUTED_SAMPLE_S, PERMUTED_S, PERMUTED_FOLD_S = 1 / 600e9, 0.5e-9, 0.06e-9
PERMUTED_MISSING = 0.5  # of the seconds of a search; 0.35 where few are missing
# Times of that, for individuals and for folds, of a model of scores, and of one of more
# than 8 bits, by benchmarks/gmdr_kernels.py; of individuals of a model that is reported
SCORED, MORE_BITS = {2: (3.0, 2.0), 3: (6.0, 3.3)}, 1.5
DESCRIBED_S = 0.3e-6
READ_S = 10e-9  # a byte of a genotype file
RANK_BYTES = 500_000_000  # while its kernels compile
MAXIMA = 8  # of all permutations: what a rank holds while it joins them


def get_cost(args: Options) -> Cost:
    """Return the cost of a run; its inputs are opened, and checked as far as that.

    Raises
    ------
    BadInput
        Inputs that ``run`` would refuse before it reads genotypes.
    """
    begin_access(args)
    if args.compat:
        files, match, _ = read_paired_inputs(args)
        fold = np.arange(len(match.is_case)) % FOLDS
        inputs = Inputs(files, match, fold, Lists())
    else:
        inputs = read_inputs(args)
    n_variants, is_missing = look(inputs.files)
    if not args.compat:
        check_number(n_variants, args.order)
    return make_cost(args, inputs, n_variants, is_missing)


def make_cost(args: Options, inputs: Inputs, n_variants: int, is_missing: bool) -> Cost:
    """Return the cost of a run, from what it is given.

    Parameters
    ----------
    n_variants
        Of all files, before filters.
    is_missing
        Some genotypes are missing.
    """
    files, match, fold, trait = inputs.files, inputs.match, inputs.fold, inputs.trait
    n_variants = max(1, round(n_variants * get_slice(args)))
    n, folds = len(match.is_case), int(fold.max()) + 1
    n_models = math.comb(n_variants, args.order)
    if trait is None:
        each_s = get_search_s(args, n, folds, is_missing)
        permuted_s = get_permuted_s(args, n, folds, is_missing)
    else:
        each_s = permuted_s = get_scored_s(args, n, folds, is_missing)
    n_words = -(-n // WORD_BITS) + 2 * folds  # a group may need a word more
    shape = get_planes_shape(n_variants, n_words, missing=args.max_missing > 0)
    read_s = READ_S * sum(file.n_bytes for file in files)
    reasons = (
        f"{n_variants:,} variants (before filters) x {n:,} individuals, {folds} folds",
        f"{n_models:,} models x {each_s * 1e9:.1f} ns, and {permuted_s * 1e9:.1f} ns "
        f"for each of {args.permutations} permutations",
        f"genotypes packed to {4 * math.prod(shape) / 1e9:.2f} GB a node",
    )
    maxima_bytes = 8 * args.permutations * (MAXIMA + args.threads - 1)
    return Cost(
        cpu_s=n_models * (each_s + args.permutations * permuted_s) + read_s,
        serial_s=2e-6 * n_variants
        + (DESCRIBED_S * n * min(args.top, n_models) if trait else 0.0),
        node_bytes=4 * math.prod(shape),
        rank_bytes=RANK_BYTES + 40 * n_variants + maxima_bytes,
        tasks=len(make_tasks(shape, args.order, args.permutations, None)),
        reasons=reasons,
    )


def get_search_s(args: Options, n: int, folds: int, is_missing: bool) -> float:
    """Return the seconds of a model of `n` individuals."""
    kind = 0 if not is_missing else 2 if args.missing == "level" else 1
    per_sample_s = PER_SAMPLE_S[args.order] * (2 if is_missing else 1)
    return n * per_sample_s + folds * PER_FOLD_S[args.order][kind]


def get_scored_s(args: Options, n: int, folds: int, is_missing: bool) -> float:
    """Return the seconds of a model of `n` individuals with scores."""
    per_sample, per_fold = SCORED[args.order]
    if args.score_bits > 8:
        per_sample *= MORE_BITS
    samples_s = get_search_s(args, n, 0, is_missing)
    return per_sample * samples_s + per_fold * get_search_s(args, 0, folds, is_missing)


def get_permuted_s(args: Options, n: int, folds: int, is_missing: bool) -> float:
    """Return the seconds of a model in a permutation.

    Permutations of labels share counts of pairs, whose scores are bounded.
    """
    search_s = get_search_s(args, n, folds, is_missing)
    if args.order == 3 or args.permutation_test == "interaction":
        return search_s
    if is_missing:
        is_shared = args.missing == "exclude" and args.rank_by != "train"
        return search_s * (PERMUTED_MISSING if is_shared else 1)
    return n * PERMUTED_SAMPLE_S + PERMUTED_S + folds * PERMUTED_FOLD_S


def look(files: Sequence[SampleFile]) -> tuple[int, bool]:
    """Return about how many variants there are, and whether genotypes are missing.

    By the first megabytes of each file.
    """
    n_variants, is_missing = 0, False
    for file in files:
        n_parts = max(1, -(-file.n_bytes // PIECE_BYTES))
        for block in read_sample(file, 0, n_parts):
            n_variants += n_parts * len(block.variants.id)
            is_missing |= bool((block.genotypes < 0).any())
    return n_variants, is_missing
