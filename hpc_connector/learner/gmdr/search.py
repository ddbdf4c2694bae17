"""The exhaustive search of generalised MDR: MDR of individuals who count as scores.

The order of individuals, the question, the list of the best models and its merging are
those of MDR; individuals with a positive score stand where it has cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.gmdr._pair_kernels import search_pairs
from hpc_connector.learner.gmdr._sum_kernels import DIGIT_BITS, Scored
from hpc_connector.learner.gmdr._triple_kernels import search_triples
from hpc_connector.learner.gmdr._words import CHUNK, SETS, WORD_BITS
from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.mdr import bitplanes
from hpc_connector.learner.mdr._arguments import Best
from hpc_connector.learner.mdr._shuffle_kernels import rearrange_planes
from hpc_connector.learner.mdr.bitplanes import (
    Arrangement,
    get_source,
    make_arrangement,
)
from hpc_connector.learner.mdr.folds import deal_again
from hpc_connector.learner.mdr.search import (
    STATISTICS,
    Question,
    make_best,
    make_genotypes,
    make_rules,
    take_rules,
    take_tile,
)

CANDIDATES = 2  # models kept by integer scores for each one reported


def get_candidates(question: Question) -> int:
    """Return how many models the search keeps, of which the best are reported."""
    return CANDIDATES * question.top


def make_scored_genotypes(
    planes: NDArray[np.int32],
    n_variants: int,
    arrangement: Arrangement,
    scores: Scores,
    number: NDArray[np.int64] | None = None,
) -> Scored:
    """Return genotypes, groups and scores as the kernels take them.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16), individuals arranged by the sign of their
        score and fold: ``make_arrangement(scores.is_positive, fold)``.
    number
        Of the variant at each place of the planes, as ``make_genotypes`` takes it.
    """
    group = get_groups(arrangement)
    sums = np.bincount(group, scores.weight, len(arrangement.group_size))
    of_scores = replace(arrangement, group_size=sums.astype(np.int64))
    n_words = -(-arrangement.group_size // WORD_BITS)
    start = np.concatenate([[0], np.cumsum(n_words)]).astype(np.int64)
    genotypes = make_genotypes(planes, n_variants, of_scores, number)
    genotypes = genotypes._replace(  # one precision, so that kernels are compiled once
        float_size=genotypes.float_size.astype(np.float64),
        weight=genotypes.weight.astype(np.float64),
    )
    return Scored(
        genotypes,
        start,
        _make_entries(arrangement, start, group, scores.weight),
    )


def get_groups(arrangement: Arrangement) -> NDArray[np.int64]:
    """Return the group of each individual, int64 (individuals,)."""
    word = arrangement.slot // bitplanes.WORD_BITS
    return np.searchsorted(arrangement.group_start, word, side="right") - 1


def _make_entries(
    arrangement: Arrangement,
    start: NDArray[np.int64],
    group: NDArray[np.int64],
    weight: NDArray[np.int32],
) -> NDArray[np.uint16]:
    """Return the sums of scores of every set of a few individuals, see Scored."""
    first = arrangement.group_start[group] * bitplanes.WORD_BITS
    place = start[group] * WORD_BITS + arrangement.slot - first
    placed = np.zeros(start[-1] * WORD_BITS, np.int64)
    placed[place] = weight
    n_digits = 1 if weight.max(initial=0) < 1 << DIGIT_BITS else 2
    shift = DIGIT_BITS * np.arange(n_digits)
    digits = (placed >> shift[:, None]) & ((1 << DIGIT_BITS) - 1)
    is_in = np.arange(SETS) >> np.arange(CHUNK)[:, None] & 1
    return (digits.reshape(-1, CHUNK) @ is_in).astype(np.uint16).ravel()


def bind_search(
    scored: Scored, question: Question
) -> Callable[[Best, tuple[int, ...], NDArray[np.float32]], None]:
    """Return the kernel of a question, which takes best, tile and errors."""
    return partial(choose_kernel(question.order), scored, make_rules(question))


def choose_kernel(order: int) -> Callable[..., None]:
    """Return the kernel that searches models of an order."""
    return search_pairs if order == 2 else search_triples


def search(
    scored: Scored,
    question: Question,
    tile: Sequence[int],
    best: Best,
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Search one tile and put what is found into `best`, as ``search`` of MDR does."""
    if errors is None:
        errors = np.empty((0,) * question.order, np.float32)
    bind_search(scored, question)(best, tuple(int(b) for b in tile), errors)


def get_permutation_maximum(
    scored: Scored,
    question: Question,
    arrangement: Arrangement,
    scores: Scores,
    tile: Sequence[int],
    permutations: Sequence[int],
    known: NDArray[np.float64] | None = None,
    strata: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return the greatest statistic in a tile under each of some permutations.

    Parameters
    ----------
    known
        Maxima found elsewhere, float64 (permutations,).
    strata
        Stratum of each individual, int64 (individuals,): scores stay within it.

    Returns
    -------
    float64 (permutations,): at least `known`; -inf where the tile holds no model.
    """
    blocks, places, local = take_tile(scored.genotypes, tile)
    n_variants = int((places < scored.genotypes.n_variants).sum())
    last = scored.genotypes.n_variants - 1
    rules = take_rules(question, scored.genotypes.number[np.minimum(places, last)])
    kernel = choose_kernel(question.order)
    original = scored.genotypes.planes[blocks]
    nowhere = np.empty((0,) * question.order, np.float32)
    maximum = np.full(len(permutations), -np.inf) if known is None else known.copy()
    for p, permutation in enumerate(permutations):
        number = [question.seed, permutation + 1]
        shuffled, fold = shuffle_scores(scores, arrangement.group_size, number, strata)
        if question.rank_by == STATISTICS[2]:  # which no fold has a part in
            fold = np.zeros_like(fold)
        dealt = make_arrangement(shuffled.is_positive, fold)
        permuted = np.zeros((len(blocks), dealt.n_words, *original.shape[2:]), np.int32)
        source = get_source(dealt, arrangement.slot)
        rearrange_planes(original, source, permuted)
        here = make_scored_genotypes(permuted, n_variants, dealt, shuffled)
        best = _make_threshold(question, dealt.folds, maximum[p])
        kernel(here, rules, best, local, nowhere)
        maximum[p] = max(maximum[p], best.key[0, 0])
    return maximum


def shuffle_scores(
    scores: Scores,
    group_size: NDArray[np.int64],
    seed: Sequence[int],
    strata: NDArray[np.int64] | None = None,
) -> tuple[Scores, NDArray[np.int64]]:
    """Return the scores and folds of one permutation, a function of its seed.

    Without strata, those of a binary trait go where ``shuffle_labels`` puts labels.
    """
    rng = np.random.default_rng(seed)
    order = np.arange(len(scores.residual))
    strata = np.zeros(len(order), np.int64) if strata is None else strata
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        order[members] = members[rng.permutation(len(members))]
    shuffled = replace(
        scores, residual=scores.residual[order], quantised=scores.quantised[order]
    )
    return shuffled, deal_again(shuffled.is_positive, group_size, rng)


def _make_threshold(question: Question, folds: int, least: float) -> Best:
    """Return a list of one model, which only a greater statistic enters.

    No model wins a fold.
    """
    best = make_best(question, folds, top=1)
    best.fold_score[:] = np.inf
    if least > 0:
        best.key[0] = least
        best.size[0] = 1
    return best
