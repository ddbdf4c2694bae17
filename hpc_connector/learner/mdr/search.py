"""The exhaustive search: what it is given, what it finds, and how that is merged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.mdr._arguments import Best as Best
from hpc_connector.learner.mdr._arguments import Genotypes as Genotypes
from hpc_connector.learner.mdr._arguments import Rules as Rules
from hpc_connector.learner.mdr._permutation_kernels import maximise_pairs
from hpc_connector.learner.mdr._search_kernels import search_missing_pairs
from hpc_connector.learner.mdr._shuffle_kernels import (
    rearrange_planes,
    shuffle_genotypes,
)
from hpc_connector.learner.mdr._triple_kernels import search_every_triple
from hpc_connector.learner.mdr.bitplanes import (
    WORD_BITS,
    Arrangement,
    find_complete,
    get_source,
    make_arrangement,
)
from hpc_connector.learner.mdr.folds import shuffle_labels
from hpc_connector.learner.mdr.pairs._sparse_kernels import search_sparse_pairs
from hpc_connector.learner.mdr.pairs._sparse_permutation_kernels import (
    maximise_sparse_pairs,
)
from hpc_connector.learner.mdr.pairs.complete import search_complete_pairs
from hpc_connector.learner.mdr.pairs.parts import split_tile
from hpc_connector.learner.mdr.triples._fold_kernels import search_triples_in_folds
from hpc_connector.learner.mdr.triples._permutation_kernels import maximise_triples
from hpc_connector.learner.mdr.triples.bound import make_bound

STATISTICS = ("test_balanced_accuracy", "train_balanced_accuracy", "balanced_accuracy")
EXACT_IN_SINGLE = 1 << 24  # single precision holds every integer up to here


@dataclass(frozen=True)
class Question:
    """What a search asks, apart from the genotypes.

    Parameters
    ----------
    order
        Variants of a model, 2 or 3.
    level, tie_low
        Missing is a fourth genotype; a tied cell is low risk.
    rank_by
        The first statistic of the ranking, one of STATISTICS.
    top
        Models to keep.
    min_distance
        Least distance of two variants on one chromosome, base pairs.
    seed, permutations
        Of the permutation test.
    interaction
        Permute genotypes within each class, which tests interaction alone, instead
        of labels.
    chromosome, position
        Of each variant, by its number: code int32 and base pairs int64; empty if not
        needed.
    role
        1 for the first list, 2 for the second, 3 for both, int8; empty without lists.
    home
        The one set that a variant is of, -1 if of several, int32; empty without sets.
        Two variants of one set are no model.
    """

    order: int = 2
    level: bool = False
    tie_low: bool = False
    rank_by: str = STATISTICS[0]
    top: int = 1000
    min_distance: int = 0
    seed: int = 42
    permutations: int = 0
    interaction: bool = False
    chromosome: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    position: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    role: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    home: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))


def make_rules(question: Question) -> Rules:
    """Return the rules of a question as the kernels take them."""
    first = STATISTICS.index(question.rank_by)
    statistic = [first, *(k for k in range(len(STATISTICS)) if k != first)]
    return Rules(
        question.level,
        question.tie_low,
        np.array(statistic),
        question.min_distance,
        question.chromosome,
        question.position,
        question.role,
        question.home,
    )


def make_genotypes(
    planes: NDArray[np.int32],
    n_variants: int,
    arrangement: Arrangement,
    number: NDArray[np.int64] | None = None,
) -> Genotypes:
    """Return genotypes and groups as the kernels take them.

    Cells are scored in single precision while every product of counts is exact there.

    Parameters
    ----------
    number
        Of the variant at each place of the planes, int64 (variants,): what the rules
        and the models found call it, and who wins a tie; its place if None.
    """
    folds, size = arrangement.folds, arrangement.group_size
    sums = [size[:folds].sum(), size[folds:].sum()]
    dtype = np.float32 if sums[0] * sums[1] <= EXACT_IN_SINGLE else np.float64
    if folds > 1:
        size = np.concatenate([size, sums])
    weight, inverse = _weigh_views(size, folds)
    return Genotypes(
        planes,
        n_variants,
        arrangement.group_start,
        folds,
        size.astype(np.int32),
        size.astype(dtype),
        weight.astype(dtype),
        inverse,
        np.arange(n_variants) if number is None else number,
        find_complete(planes, n_variants, int(sum(sums))),
    )


def _weigh_views(
    size: NDArray[np.int64], folds: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the weights of classes for the kernels of contrasts, and 1 / (w1 w0).

    Parameters
    ----------
    size
        Individuals of each group, and their sums over folds where there are any.

    Returns
    -------
    Weight of cases and of controls, (views, 2), and float64 (views,), 0 for 1 / 0.
    The views are all data and, for each fold, training, its cases alone, and test.
    """
    total = size[-2:]
    weight = [total[::-1]]
    for fold in range(folds if folds > 1 else 0):
        test = size[[folds + fold, fold]]
        weight += [total[::-1] - test, np.array([1, 0]), test]
    product = np.prod(weight, axis=1).astype(np.float64)
    inverse = np.divide(1.0, product, out=np.zeros(len(weight)), where=product > 0)
    return np.array(weight), inverse


def make_best(question: Question, folds: int, top: int | None = None) -> Best:
    """Return an empty list of the best models."""
    rows = (question.top if top is None else top) + 1
    return Best(
        np.full((rows, len(STATISTICS)), -np.inf),
        np.full((rows, question.order), -1, np.int64),
        np.zeros(1, np.int64),
        np.full(folds, -np.inf),
        np.full((folds, question.order), -1, np.int64),
    )


def search_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Search a tile of pairs, each part by the kernel of its genotypes."""
    if genotypes.planes.shape[2] == 2:
        search_complete_pairs(genotypes, rules, best, tile, errors)
        return
    if errors.size:  # of every pair of the tile
        search_missing_pairs(genotypes, rules, best, tile, errors)
        return
    is_bounded = genotypes.folds > 1 and not rules.level
    kernel = search_sparse_pairs if is_bounded else search_missing_pairs
    for part, is_complete in split_tile(genotypes.is_complete, tile):
        search_part = search_complete_pairs if is_complete else kernel
        search_part(genotypes, rules, best, part, errors)


def search_triples(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Search a tile of triples, scoring few if only the best are wanted."""
    bound = None
    if genotypes.planes.shape[2] == 2 and genotypes.folds > 1 and not errors.size:
        size = genotypes.size[: 2 * genotypes.folds]
        bound = make_bound(size, int(rules.statistic[0]))
    if bound:
        search_triples_in_folds(genotypes, rules, best, tile, bound)
    else:
        search_every_triple(genotypes, rules, best, tile, errors)


def choose_kernel(order: int) -> Callable[..., None]:
    """Return what searches a tile of models of an order."""
    return search_pairs if order == 2 else search_triples


def bind_search(
    genotypes: Genotypes, question: Question
) -> Callable[[Best, tuple[int, ...], NDArray[np.float32]], None]:
    """Return the kernel of a question, which takes the arguments of ``search`` left.

    Parameters
    ----------
    question
        Whose rules it searches by; ``order`` chooses the kernel.
    """
    return partial(choose_kernel(question.order), genotypes, make_rules(question))


def search(
    genotypes: Genotypes,
    question: Question,
    tile: Sequence[int],
    best: Best,
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Search one tile and put what is found into `best`.

    Parameters
    ----------
    tile
        First and last block along each axis, from ``make_tiles``.
    errors
        Array for the error of every model, float32, of the size of the tile.
    """
    _search(genotypes, make_rules(question), tile, best, errors)


def _search(
    genotypes: Genotypes,
    rules: Rules,
    tile: Sequence[int],
    best: Best,
    errors: NDArray[np.float32] | None = None,
) -> None:
    """Search one tile by the kernel of the order of the models."""
    order = best.model.shape[1]
    kernel = choose_kernel(order)
    if errors is None:
        errors = np.empty((0,) * order, np.float32)
    kernel(genotypes, rules, best, tuple(int(b) for b in tile), errors)


def merge_best(found: Sequence[Best], top: int) -> Best:
    """Merge lists of best models; a model found twice counts once."""
    key = np.concatenate([best.key[: best.size[0]] for best in found])
    model = np.concatenate([best.model[: best.size[0]] for best in found])
    order = np.lexsort((*model.T[::-1], *-key.T[::-1]))
    key, model = key[order], model[order]
    is_new = np.ones(len(model), bool)
    is_new[1:] = (model[1:] != model[:-1]).any(axis=1)
    key, model = key[is_new][:top], model[is_new][:top]
    winners = [_get_winner(found, fold) for fold in range(len(found[0].fold_score))]
    return Best(
        np.concatenate([key, np.full((1, key.shape[1]), -np.inf)]),
        np.concatenate([model, np.full((1, model.shape[1]), -1)]),
        np.array([len(key)]),
        np.array([score for score, _ in winners]),
        np.array([winner for _, winner in winners], np.int64).reshape(
            len(winners), model.shape[1]
        ),
    )


def _get_winner(found: Sequence[Best], fold: int) -> tuple[float, tuple[int, ...]]:
    """Return the best training score of a fold and its model."""
    candidates = [
        (-float(best.fold_score[fold]), tuple(best.fold_model[fold].tolist()))
        for best in found
    ]
    score, model = min(candidates)
    return -score, model


def take_rules(question: Question, variants: NDArray[np.int64]) -> Rules:
    """Return the rules for some of the variants."""
    rules = make_rules(question)
    per_variant = ("chromosome", "position", "role", "home")
    columns = {name: getattr(rules, name) for name in per_variant}
    return rules._replace(
        **{name: c[variants] if len(c) else c for name, c in columns.items()}
    )


def take_tile(
    genotypes: Genotypes, tile: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, ...]]:
    """Return the blocks of a tile, its variants' places, and the tile among them.

    The ranges of a tile are the same or apart, in increasing order.
    """
    ranges = [tuple(tile[k : k + 2]) for k in range(0, len(tile), 2)]
    distinct = sorted(set(ranges))
    blocks = np.concatenate([np.arange(*r) for r in distinct])
    ends = np.cumsum([last - first for first, last in distinct])
    local = {
        r: (int(e - (r[1] - r[0])), int(e)) for r, e in zip(distinct, ends, strict=True)
    }
    places = (blocks[:, None] * 16 + np.arange(16)).ravel()
    return blocks, places, tuple(edge for r in ranges for edge in local[r])


def get_permutation_maximum(
    genotypes: Genotypes,
    question: Question,
    arrangement: Arrangement,
    is_case: NDArray[np.integer[Any]],
    tile: Sequence[int],
    permutations: Sequence[int],
    known: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the greatest statistic in a tile under each of some permutations.

    Parameters
    ----------
    known
        Maxima found elsewhere, float64 (permutations,): pairs that do not beat them
        need not be scored.

    Returns
    -------
    float64 (permutations,): at least `known`; -inf where the tile holds no model.
    """
    blocks, places, local = take_tile(genotypes, tile)
    n_variants = int((places < genotypes.n_variants).sum())
    variants = genotypes.number[np.minimum(places, genotypes.n_variants - 1)]
    rules = take_rules(question, variants)
    original = genotypes.planes[blocks]
    maximum = np.full(len(permutations), -np.inf) if known is None else known.copy()
    permuted = np.zeros((len(permutations), *original.shape), np.int32)
    for p, permutation in enumerate(permutations):
        number = [question.seed, permutation + 1]
        if question.interaction:
            _permute_genotypes(original, arrangement, variants, number, permuted[p])
        else:
            _permute_labels(original, arrangement, is_case, number, permuted[p])
    here = make_genotypes(original, n_variants, arrangement)
    slack = get_slack(question, arrangement, n_planes=original.shape[2])
    if slack is not None:
        maximise = maximise_pairs if question.order == 2 else maximise_triples
        maximise(here, permuted, rules, local, slack, question.interaction, maximum)
        return maximum
    if is_bounded(question):
        _maximise_parts(here, permuted, question, variants, arrangement, local, maximum)
        return maximum
    for p in range(len(permutations)):
        best = make_best(question, arrangement.folds, top=1)
        _search(here._replace(planes=permuted[p]), rules, local, best)
        maximum[p] = max(maximum[p], best.key[0, 0])
    return maximum


def is_bounded(question: Question) -> bool:
    """Return whether the whole accuracy bounds that of pairs with missing genotypes."""
    is_other = question.level or question.interaction
    return question.order == 2 and not is_other and question.rank_by != STATISTICS[1]


def _maximise_parts(
    genotypes: Genotypes,
    permuted: NDArray[np.int32],
    question: Question,
    variants: NDArray[np.int64],
    arrangement: Arrangement,
    tile: tuple[int, ...],
    maximum: NDArray[np.float64],
) -> None:
    """Raise maxima to those of a tile where some genotypes are missing."""
    for part, is_complete in split_tile(genotypes.is_complete, tile):
        if not is_complete:
            rules = take_rules(question, variants)
            maximise_sparse_pairs(genotypes, permuted, rules, part, maximum)
            continue
        blocks, places, local = take_tile(genotypes, part)
        n_variants = int((places < genotypes.n_variants).sum())
        planes = np.ascontiguousarray(genotypes.planes[blocks, :, :2])
        here = make_genotypes(planes, n_variants, arrangement)
        shuffled = np.ascontiguousarray(permuted[:, blocks, :, :2])
        slack = get_slack(question, arrangement, n_planes=2)
        assert slack is not None
        rules = take_rules(question, variants[places])
        maximise_pairs(here, shuffled, rules, local, slack, False, maximum)


def _permute_labels(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    is_case: NDArray[np.integer[Any]],
    number: Sequence[int],
    target: NDArray[np.int32],
) -> None:
    """Write planes arranged by shuffled labels, in folds dealt anew."""
    shuffled = shuffle_labels(is_case, arrangement.group_size, number)
    source = get_source(make_arrangement(*shuffled), arrangement.slot)
    rearrange_planes(planes, source, target)


def _permute_genotypes(
    planes: NDArray[np.int32],
    arrangement: Arrangement,
    variants: NDArray[np.int64],
    number: Sequence[int],
    target: NDArray[np.int32],
) -> None:
    """Write planes of genotypes shuffled within cases and within controls."""
    seeds = np.random.SeedSequence(number).generate_state(2, np.uint64)
    first_control = WORD_BITS * arrangement.group_start[arrangement.folds]
    slots = np.sort(arrangement.slot)
    is_control = slots >= first_control
    for seed, chosen in zip(seeds, (~is_control, is_control), strict=True):
        shuffle_genotypes(planes, slots[chosen], variants, seed, target)


def get_slack(
    question: Question, arrangement: Arrangement, *, n_planes: int
) -> float | None:
    """Return how far the statistic may exceed the balanced accuracy on all data.

    In a cell let z_f be a_f / n1 - u_f / n0 of fold f, and X their sum. With folds of
    one size, fold f adds z_f to the test score if X - z_f >= 0. The sum of those z_f
    is at most max(0, X): for X >= 0 what is left out exceeds X, for X < 0 what is
    added is less than X. So test BA <= whole BA. Where fold sizes n1_f differ from
    their mean n1, every fold adds at most |1 - n1_f / n1| + |1 - n0_f / n0|, half in
    the test shares and half in the risk labels.

    All this is said of one cell at a time, of which there may be nine or 27, and of
    whatever genotypes and labels the folds hold: it bounds pairs and triples, and any
    permutation, for classes and folds keep their sizes.

    Returns
    -------
    None where the bound does not hold: for training accuracy, and where models count
    different individuals.
    """
    if n_planes != 2 or question.rank_by == STATISTICS[1]:
        return None
    if question.rank_by == STATISTICS[2]:
        return 0.0
    size = arrangement.group_size.reshape(2, -1)
    deviation = np.abs(1 - size / size.mean(axis=1, keepdims=True))
    return float(deviation.sum() / arrangement.folds)


def get_p_values(
    statistic: NDArray[np.float64], maximum: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (b + 1) / (P + 1), b permutations whose maximum is at least the statistic.

    The maximum over all models corrects for having searched them (Westfall and
    Young's max-T).
    """
    reached = len(maximum) - np.searchsorted(np.sort(maximum), statistic, side="left")
    return (reached + 1) / (len(maximum) + 1)
