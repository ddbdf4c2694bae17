"""The best pair of variants of each two sets, by the kernel of the search."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise
from typing import NamedTuple

import numpy as np

from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import LANES
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from mdr_epistasis.tasks import Search

BATCH_BYTES = 32 << 20  # of the genotypes of the sets that are searched at a time


class Batch(NamedTuple):
    """Some sets, whose variants stand by themselves.

    Parameters
    ----------
    sets
        Their numbers.
    variant
        Of each lane, int64 (blocks * 16,), and whether it is one: the last block of a
        set is filled with the first of its variants.
    start
        First block of each set, and after the last, int64 (sets + 1,).
    """

    sets: range
    variant: np.ndarray
    is_variant: np.ndarray
    start: np.ndarray


def search_sets(
    comm: Communicator, search: Search, members: Sequence[np.ndarray], threads: int
) -> dict[str, np.ndarray] | None:
    """Return the best pair of each two sets, on rank 0; on the others None.

    Parameters
    ----------
    members
        Numbers of the variants of each set, ascending, int64.

    Returns
    -------
    ``set`` and ``variant`` int64 (pairs, 2), in order of the sets; and the statistics,
    float64 (pairs,). A pair of sets without a model, as all are too near, is left out.
    """
    batches = make_batches(search, members)
    works = list(combinations_with_replacement(range(len(batches)), 2))
    mine = works[comm.rank :: comm.size]
    with end_together(comm):

        def work(pair: tuple[int, int]) -> tuple[np.ndarray, ...]:
            return search_batches(search, batches[pair[0]], batches[pair[1]])

        if threads == 1:
            found = [work(pair) for pair in mine]
        else:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(work, mine))
    shares = comm.gather(found)
    if shares is None:
        return None
    parts = [part for share in shares for part in share]
    sets, variants, keys = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    order = np.lexsort(sets.T[::-1])
    first = learner.STATISTICS.index(search.question.rank_by)
    names = [first, *(k for k in range(len(learner.STATISTICS)) if k != first)]
    columns = {"set": sets[order], "variant": variants[order]}
    return columns | {
        learner.STATISTICS[name]: keys[order, k] for k, name in enumerate(names)
    }


def make_batches(search: Search, members: Sequence[np.ndarray]) -> list[Batch]:
    """Cut the sets into batches whose genotypes fit into memory."""
    n_blocks = np.array([-(-len(of_set) // LANES) for of_set in members])
    most = max(1, BATCH_BYTES // search.planes[0].nbytes)
    ends = [0]
    while ends[-1] < len(members):
        n_of = np.cumsum(n_blocks[ends[-1] :])
        ends.append(ends[-1] + max(1, int(np.searchsorted(n_of, most, side="right"))))
    return [
        make_batch(range(first, last), members[first:last], n_blocks[first:last])
        for first, last in pairwise(ends)
    ]


def make_batch(
    sets: range, members: Sequence[np.ndarray], n_blocks: np.ndarray
) -> Batch:
    """Return a batch of sets, each of whole blocks."""
    lanes = [
        np.pad(of_set, (0, n * LANES - len(of_set)), constant_values=of_set[0])
        for of_set, n in zip(members, n_blocks.tolist(), strict=True)
    ]
    is_variant = [
        np.arange(n * LANES) < len(of_set)
        for of_set, n in zip(members, n_blocks.tolist(), strict=True)
    ]
    start = np.concatenate([[0], np.cumsum(n_blocks)])
    return Batch(sets, np.concatenate(lanes), np.concatenate(is_variant), start)


def search_batches(
    search: Search, first: Batch, second: Batch
) -> tuple[np.ndarray, ...]:
    """Return the best pair of each set of a batch with each later one of another.

    Returns
    -------
    Sets and variants, int64 (pairs, 2), and keys, float64 (pairs, 3).
    """
    batches = [first] if first is second else [first, second]
    variant = np.concatenate([batch.variant for batch in batches])
    is_variant = np.concatenate([batch.is_variant for batch in batches])
    shift = 0 if first is second else int(first.start[-1])
    taken = replace(
        search,
        planes=take_planes(search, variant),
        number=np.arange(len(variant)),
        question=take_question(search.question, variant, is_variant),
    )
    kernel, question = taken.bind_kernel(), taken.question
    nowhere = np.empty((0, 0), np.float32)
    found = []
    for s, of_first in enumerate(first.sets):
        for t, of_second in enumerate(second.sets):
            if of_first >= of_second:
                continue
            best = learner.make_best(question, search.arrangement.folds)
            tile = [*first.start[s : s + 2], *(shift + second.start[t : t + 2])]
            kernel(best, tuple(map(int, tile)), nowhere)
            if best.size[0]:
                pair = variant[best.model[0]]
                found.append(((of_first, of_second), pair, best.key[0]))
    if not found:
        return np.empty((0, 2), np.int64), np.empty((0, 2), np.int64), np.empty((0, 3))
    sets, variants, keys = zip(*found, strict=True)
    return np.array(sets, np.int64), np.array(variants, np.int64), np.array(keys)


def take_planes(search: Search, variant: np.ndarray) -> np.ndarray:
    """Return the genotypes of some variants, in whole blocks."""
    planes = np.empty((len(variant) // LANES, *search.planes.shape[1:]), np.int32)
    place = np.argsort(search.number)[variant]
    for block in range(len(planes)):
        at = place[block * LANES : (block + 1) * LANES]
        taken = search.planes[at // LANES, :, :, at % LANES]
        planes[block] = taken.transpose(1, 2, 0)
    return planes


def take_question(
    question: learner.Question, variant: np.ndarray, is_variant: np.ndarray
) -> learner.Question:
    """Return the question for some variants; the same one twice is no model."""
    names = ("chromosome", "position")
    columns = {name: getattr(question, name) for name in names}
    return replace(
        question,
        top=1,
        permutations=0,
        role=np.where(is_variant, 3, 0).astype(np.int8),
        home=variant.astype(np.int32),
        **{name: c[variant] if len(c) else c for name, c in columns.items()},
    )
