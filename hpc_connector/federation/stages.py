"""The stages of a federated search: variants, pairs, folds of those that matter.

Every party calls the same functions in the same order; what it is told by the scorer
decides what is sent next.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import (
    COUNTED_VARIANTS,
    FOLDS,
    PAIRS,
    SIZES,
    VARIANTS,
    Layout,
    Local,
    Tables,
    cut,
    from_batches,
    get_most_pairs,
)
from hpc_connector.federation.pooled import (
    Pooled,
    check_variants,
    collect,
    complete,
    is_pruned,
    score_all,
    score_listed,
)
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link
from hpc_connector.learner.mdr._search_kernels import get_least
from hpc_connector.learner.mdr.search import Best, merge_best

CLASSES = ("cases", "controls")
FIRST_ROUND = 4  # times the models that are wanted, and then twice as many each
MOST_TILES = 32  # of pairs whose candidates are scored together
Show = Callable[[int, int], None] | None


class Kept(NamedTuple):
    """Variants that are searched, as all sites are told.

    Parameters
    ----------
    layout
        Which, and in which order.
    frequency, missing
        Of the counted allele, and of genotypes that are not called, float64
        (variants,).
    by_folds
        All pairs are sent by folds: no bound would hold enough of them back.
    is_exact
        The best model of each fold is looked for.
    removed
        Variants that are left out, by the reason.
    notes
        Folds without cases, or without controls.
    """

    layout: Layout
    frequency: NDArray[np.float64]
    missing: NDArray[np.float64]
    by_folds: bool
    is_exact: bool
    removed: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Party:
    """One that takes part: a site, of which one also scores."""

    study: Study
    link: Link
    local: Local
    dtype: type[np.unsignedinteger[Any]]
    blocks: Iterator[int] = field(default_factory=lambda: count(1 << 40))

    @property
    def n_groups(self) -> int:
        """Folds of cases and of controls."""
        return 2 * self.study.folds

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize


def sum_sizes(link: Link, n_cases: int, n_controls: int) -> tuple[int, int]:
    """Return the cases and controls of all sites."""
    numbers = np.array([n_cases, n_controls], np.uint32)
    total = link.add(SIZES, 0, numbers)
    told = None if total is None else tuple(int(n) for n in total)
    found: tuple[int, int] = link.tell(told)
    return found


def sum_variants(party: Party, sizes: tuple[int, int]) -> NDArray[np.int64] | None:
    """Add up the carriers of every variant (stage 0).

    Returns
    -------
    int64 (variants, groups, 4), of which those that some site lacks are negative where
    the study wants variants of all; None to who does not score.
    """
    link, n = party.link, len(party.local.is_present)
    parts, blocks = [], list(cut(0, n, COUNTED_VARIANTS))
    for block, counted in enumerate(party.local.count_variants()):
        sums = link.add(VARIANTS, block, counted.astype(party.dtype).reshape(-1))
        if sums is not None and link.is_scorer:
            parts.append(sums.reshape(counted.shape).astype(np.int64))
    is_here = party.local.is_present.astype(party.dtype)
    n_have = link.add(VARIANTS, len(blocks), is_here)
    if not link.is_scorer:
        return None
    assert n_have is not None
    counts = np.concatenate(parts)
    check_variants(counts, sizes)
    if party.study.variants == "intersection":
        counts[n_have < len(party.study.sites)] = -1
    return counts


def choose_variants(
    party: Party, counts: NDArray[np.int64] | None
) -> tuple[Kept, Pooled | None]:
    """Return the variants that are searched, and their counts to the scorer."""
    chosen = pooled = None
    error = None
    if counts is not None:
        try:
            chosen, pooled = filter_variants(party.study, counts)
        except BadInput as raised:
            error = raised
    kept: Any = party.link.tell(error or chosen)
    if isinstance(kept, BadInput):
        raise kept
    return kept, pooled


def filter_variants(study: Study, counts: NDArray[np.int64]) -> tuple[Kept, Pooled]:
    """Return the variants that the pooled counts keep, as one cohort is filtered.

    Parameters
    ----------
    counts
        From :func:`sum_variants`.

    Raises
    ------
    BadInput
        Fewer than two are left.
    """
    of_all = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        copies = of_all[:, 1].astype(np.float64) + 2 * of_all[:, 2]
        frequency = copies / (2 * of_all[:, :3].astype(np.float64).sum(axis=1))
        is_common = np.minimum(frequency, 1 - frequency) >= study.min_maf
        missing = of_all[:, 3] / of_all.sum(axis=1)
    is_shared = counts[:, 0, 0] >= 0
    is_called = ~(missing > study.max_missing)
    rows = np.flatnonzero(is_shared & is_called & is_common)
    removed = {
        "not at all sites": int((~is_shared).sum()),
        "missing genotypes": int((is_shared & ~is_called).sum()),
        "rare": int((is_shared & is_called & ~is_common).sum()),
    }
    removed = {reason: n for reason, n in removed.items() if n}
    if len(rows) < 2:
        said = ", ".join(f"{n} {reason}" for reason, n in removed.items()) or "none"
        raise BadInput(
            f"variants kept: {len(rows)} of {len(counts)} (removed: {said}); expected "
            "2 or more"
        )
    layout = Layout(rows, of_all[rows, 3] == 0)
    pooled = Pooled(study, layout, counts[rows])
    is_exact = study.is_exact(len(rows))
    by_folds = is_exact or not is_pruned(pooled)
    columns = frequency[rows], missing[rows]
    notes = tuple(list_empty(pooled))
    return Kept(layout, *columns, by_folds, is_exact, removed, notes), pooled


def list_empty(pooled: Pooled) -> Iterator[str]:
    """Yield a phrase for each fold that lacks a class: it is left out of means."""
    for of_class, said in zip(pooled.size.reshape(2, -1), CLASSES, strict=True):
        for fold in np.flatnonzero(of_class == 0).tolist():
            yield f"fold {fold} has no {said}: it is left out of the mean of folds"


def search_pairs(
    party: Party, kept: Kept, pooled: Pooled | None, show: Show = None
) -> Best:
    """Return the best models, in order, to all."""
    tables = Tables(party.local, kept.layout)
    best = None if pooled is None else pooled.make_best(is_exact=kept.is_exact)
    if kept.by_folds:
        search_by_folds(party, tables, pooled, best, show)
    else:
        search_bounded(party, tables, pooled, best, show)
    merged = None
    if pooled is not None and best is not None:
        merged = merge_best([best], pooled.question.top)
    found: Best = party.link.tell(merged)
    return found


def search_by_folds(
    party: Party, tables: Tables, pooled: Pooled | None, best: Best | None, show: Show
) -> None:
    """Send all pairs by folds."""
    tiles = tables.layout.list_tiles(party.n_groups, party.itemsize)
    for block, tile in enumerate(tiles):
        numbers = tables.count_tile(tile, party.dtype, in_folds=True)
        sums = party.link.add(FOLDS, block, numbers)
        if pooled is not None and best is not None and sums is not None:
            score_all(pooled, tile, sums, best)
        if show:
            show(block + 1, len(tiles))


def search_bounded(
    party: Party, tables: Tables, pooled: Pooled | None, best: Best | None, show: Show
) -> None:
    """Send all pairs without folds, and by folds those whose bound says that they may.

    The bound of a pair is compared with the worst of the best models so far.
    """
    tiles = tables.layout.list_tiles(2, party.itemsize)
    at, step = 0, 1
    while at < len(tiles):
        some = tiles[at : at + step]
        found = []
        for block, tile in enumerate(some, at):
            numbers = tables.count_tile(tile, party.dtype, in_folds=False)
            sums = party.link.add(PAIRS, block, numbers)
            if pooled is not None and best is not None and sums is not None:
                found.append(collect(pooled, tile, sums, get_worst(best)))
        score_rounds(party, tables, pooled, best, found)
        at += len(some)
        step = min(2 * step, MOST_TILES)
        if show:
            show(at, len(tiles))


def get_worst(best: Best) -> float:
    """Return the statistic that a model must reach to enter the list."""
    return float(get_least(best))


def score_rounds(
    party: Party,
    tables: Tables,
    pooled: Pooled | None,
    best: Best | None,
    found: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]],
) -> None:
    """Score candidates by folds, the highest bounds first, while they may matter."""
    bound, pairs = np.empty(0), np.empty((0, 2), np.int64)
    if found:
        bound = np.concatenate([one for one, _ in found])
        pairs = np.concatenate([one for _, one in found])
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -bound))
        bound, pairs = bound[order], pairs[order]
    at, size = 0, FIRST_ROUND * party.study.top
    while True:
        chosen = None
        if best is not None:
            reach = int(np.searchsorted(-bound, -get_worst(best), "right"))
            chosen = pairs[at : min(at + size, reach)]
        told = party.link.tell(chosen)
        if len(told) == 0:
            return
        score_pairs(party, tables, pooled, best, told)
        at, size = at + len(told), 2 * size


def score_pairs(
    party: Party,
    tables: Tables,
    pooled: Pooled | None,
    best: Best | None,
    pairs: NDArray[np.int64],
) -> None:
    """Send listed pairs by folds, and score them."""
    most = get_most_pairs(party.n_groups, party.itemsize)
    for some, n_counted in tables.layout.split(pairs, most):
        numbers = tables.count_pairs(some, n_counted, party.dtype)
        sums = party.link.add(FOLDS, next(party.blocks), numbers)
        if pooled is not None and best is not None and sums is not None:
            score_listed(pooled, some, n_counted, sums, best)


def sum_tables(
    party: Party, kept: Kept, pooled: Pooled | None, models: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the tables by fold of some models to the scorer, None to others.

    Parameters
    ----------
    models
        Numbers of their variants, int64 (models, 2).

    Returns
    -------
    int64 (models, groups, 9 or 16), the second variant fastest.
    """
    tables = Tables(party.local, kept.layout)
    most = get_most_pairs(party.n_groups, party.itemsize)
    parts = []
    for first, last in cut(0, len(models), most):
        pairs = kept.layout.place[models[first:last]]
        numbers = tables.count_pairs(pairs, 9, party.dtype)
        sums = party.link.add(FOLDS, next(party.blocks), numbers)
        if pooled is not None and sums is not None:
            batches = sums.reshape(-1, party.n_groups, 9, 16).astype(np.int64)
            found = from_batches(batches, last - first)
            parts.append(complete(pooled, models[first:last], found))
    return np.concatenate(parts) if pooled is not None else None
