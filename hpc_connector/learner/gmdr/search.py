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
from hpc_connector.learner.gmdr._sum_kernels import DIGIT_BITS, WORD_BITS, Scored
from hpc_connector.learner.gmdr._triple_kernels import search_triples
from hpc_connector.learner.gmdr._words import CHUNK
from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.mdr import bitplanes
from hpc_connector.learner.mdr._arguments import Best
from hpc_connector.learner.mdr.bitplanes import Arrangement
from hpc_connector.learner.mdr.search import Question, make_genotypes, make_rules

CANDIDATES = 2  # models kept by integer scores for each one reported


def get_candidates(question: Question) -> int:
    """Return how many models the search keeps, of which the best are reported."""
    return CANDIDATES * question.top


def make_scored_genotypes(
    planes: NDArray[np.int32],
    n_variants: int,
    arrangement: Arrangement,
    scores: Scores,
) -> Scored:
    """Return genotypes, groups and scores as the kernels take them.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16), individuals arranged by the sign of their
        score and fold: ``make_arrangement(scores.is_positive, fold)``.
    """
    group = get_groups(arrangement)
    sums = np.bincount(group, scores.weight, len(arrangement.group_size))
    of_scores = replace(arrangement, group_size=sums.astype(np.int64))
    n_words = -(-arrangement.group_size // WORD_BITS)
    start = np.concatenate([[0], np.cumsum(n_words)]).astype(np.int64)
    return Scored(
        make_genotypes(planes, n_variants, of_scores),
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
    """Return the sums of scores of every set of five individuals, see Scored."""
    first = arrangement.group_start[group] * bitplanes.WORD_BITS
    place = start[group] * WORD_BITS + arrangement.slot - first
    placed = np.zeros(start[-1] * WORD_BITS, np.int64)
    placed[place] = weight
    n_digits = 1 if weight.max(initial=0) < 1 << DIGIT_BITS else 2
    shift = DIGIT_BITS * np.arange(n_digits)
    digits = (placed >> shift[:, None]) & ((1 << DIGIT_BITS) - 1)
    is_in = np.arange(1 << CHUNK) >> np.arange(CHUNK)[:, None] & 1
    return (digits.reshape(-1, CHUNK) @ is_in).astype(np.uint16).ravel()


def bind_search(
    scored: Scored, question: Question
) -> Callable[[Best, tuple[int, ...], NDArray[np.float32]], None]:
    """Return the kernel of a question, which takes best, tile and errors."""
    kernel = search_pairs if question.order == 2 else search_triples
    return partial(kernel, scored, make_rules(question))


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
