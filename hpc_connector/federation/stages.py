"""The stages of a federated search: variants, pairs, folds of those that matter.

Every party calls the same functions in the same order; what it is told by the scorer
decides what is sent next. Sites count and send; a hub has no genotypes, and is given
sums alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
    Tile,
    count_listed_numbers,
    count_numbers,
    cut,
    from_batches,
    get_most_pairs,
    keep_memory,
)
from hpc_connector.federation.masks import Numbers
from hpc_connector.federation.pooled import (
    Candidates,
    Pooled,
    check_variants,
    collect,
    complete,
    is_pruned,
    refuse,
    score_all,
    score_listed,
)
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Count, Link
from hpc_connector.learner.mdr._search_kernels import get_least
from hpc_connector.learner.mdr.search import Best, merge_best

CLASSES = ("cases", "controls")
FIRST_ROUND = 4  # times the models that are wanted are scored of the first tile
MOST_TILES = 32  # of pairs after which candidates are scored
MOST_HELD = 1 << 20  # candidates that wait
NOBODY = Candidates(np.empty(0), np.empty((0, 2), np.int64))
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


def show_kept(kept: Kept) -> dict[str, Any]:
    """Return what is told of the variants that are searched, in plain values."""
    columns = {"rows": kept.layout.rows, "is_complete": kept.layout.is_complete}
    told = kept._asdict() | columns | {"notes": list(kept.notes)}
    del told["layout"]
    return told


def read_kept(told: Mapping[str, Any]) -> Kept:
    """Return the variants that are searched, as :func:`show_kept` tells them."""
    known = dict(told)
    layout = Layout(known.pop("rows"), known.pop("is_complete"))
    return Kept(layout=layout, **known | {"notes": tuple(known["notes"])})


@dataclass(frozen=True)
class Party:
    """One that takes part: a site, of which one may also score, or a hub that scores.

    Parameters
    ----------
    local
        Genotypes of a site; None of a hub.
    n_variants
        Of the reference list.
    first
        Number of its first blocks: no mask is of two blocks, and none of two searches.
    """

    study: Study
    link: Link
    local: Local | None
    n_variants: int
    dtype: type[np.unsignedinteger[Any]]
    first: int = 0
    blocks: Iterator[int] = field(default_factory=lambda: count(1 << 40))

    @property
    def n_groups(self) -> int:
        """Folds of cases and of controls."""
        return 2 * self.study.folds

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    def open_tables(self, layout: Layout) -> Tables | None:
        """Return the tables of a site; None of a hub."""
        return None if self.local is None else Tables(self.local, layout)

    def add(self, stage: int, block: int, make: Count | None, n: int) -> Numbers | None:
        """Return the sum of a block of `n` numbers to who scores, None to others."""
        sums = self.link.add(stage, self.first + block, make, n, self.dtype)
        if sums is None or not self.link.is_scorer:
            return None
        if sums.size != n or sums.dtype != self.dtype:
            refuse(f"stage {stage}, {sums.size} numbers where {n} are expected")
        return sums


def sum_sizes(link: Link, sizes: Sequence[int] | None) -> tuple[int, int]:
    """Return the cases and controls of all sites.

    Parameters
    ----------
    sizes
        Of this site; None of a hub.
    """
    make = None if sizes is None else partial(np.array, sizes, np.uint32)
    total = link.add(SIZES, 0, make, 2, np.uint32)
    told = total.tolist() if total is not None and link.is_scorer else None
    n_cases, n_controls = link.tell(told)
    return n_cases, n_controls


def sum_variants(party: Party, sizes: tuple[int, int]) -> NDArray[np.int64] | None:
    """Add up the carriers of every variant (stage 0).

    Returns
    -------
    int64 (variants, groups, 4), of which those that some site lacks are negative where
    the study wants variants of all; None to who does not score.
    """
    local, n = party.local, party.n_variants
    counts = sum_carriers(party, np.arange(n), sizes)
    is_here = None if local is None else partial(local.is_present.astype, party.dtype)
    n_have = party.add(VARIANTS, -(-n // COUNTED_VARIANTS), is_here, n)
    if counts is None or n_have is None:
        return None
    if party.study.variants == "intersection":
        counts[n_have < len(party.study.sites)] = -1
    return counts


def sum_carriers(
    party: Party, rows: NDArray[np.int64], sizes: tuple[int, int]
) -> NDArray[np.int64] | None:
    """Add up the carriers of some variants of the list.

    Returns
    -------
    int64 (variants, groups, 4); None to who does not score.

    Raises
    ------
    BadInput
        They cannot be true of so many cases and controls.
    """
    local, parts = party.local, []
    counter = None if local is None else partial(count_carriers, local, party.dtype)
    for block, (first, last) in enumerate(cut(0, len(rows), COUNTED_VARIANTS)):
        make = counter and partial(counter, rows[first:last])
        shape = last - first, party.n_groups, 4
        sums = party.add(VARIANTS, block, make, math.prod(shape))
        if sums is not None:
            parts.append(sums.reshape(shape).astype(np.int64))
    if not party.link.is_scorer:
        return None
    counts = np.concatenate(parts)
    check_variants(counts, sizes)
    return counts


def count_carriers(local: Local, dtype: Any, rows: NDArray[np.int64]) -> Numbers:
    """Return the carriers of some variants at a site, as they are sent."""
    counted: Numbers = local.count_some(rows).astype(dtype).reshape(-1)
    return counted


def choose_variants(
    party: Party, counts: NDArray[np.int64] | None
) -> tuple[Kept, Pooled | None]:
    """Return the variants that are searched, and their counts to the scorer.

    Raises
    ------
    BadInput
        Fewer than two are left.
    """
    if counts is None:
        return read_kept(party.link.tell(None)), None
    kept, pooled = filter_variants(party.study, counts)
    party.link.tell(show_kept(kept))
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


class Search(NamedTuple):
    """What a party has while pairs are searched; the last two of who scores alone.

    Parameters
    ----------
    tables
        None of a hub.
    """

    party: Party
    layout: Layout
    tables: Tables | None
    pooled: Pooled | None
    best: Best | None


def search_pairs(
    party: Party, kept: Kept, pooled: Pooled | None, show: Show = None
) -> Best | None:
    """Return the best models, in order, to the scorer; None to others."""
    keep_memory()
    best = None if pooled is None else pooled.make_best(is_exact=kept.is_exact)
    tables = party.open_tables(kept.layout)
    search = Search(party, kept.layout, tables, pooled, best)
    search_by_folds(search, show) if kept.by_folds else search_bounded(search, show)
    if pooled is None or best is None:
        return None
    return merge_best([best], pooled.question.top)


def add_tile(search: Search, stage: int, block: int, tile: Tile) -> Numbers | None:
    """Return the sum of the tables of a tile, by folds in the stage of folds."""
    party, tables, in_folds = search.party, search.tables, stage == FOLDS
    n = count_numbers(tile, party.n_groups if in_folds else 2)
    if tables is None:
        return party.add(stage, block, None, n)
    make = partial(tables.count_tile, tile, party.dtype, in_folds=in_folds)
    return party.add(stage, block, make, n)


def add_pairs(
    party: Party, tables: Tables | None, pairs: NDArray[np.int64], n_counted: int
) -> Numbers | None:
    """Return the sum of the tables by folds of listed pairs."""
    n = count_listed_numbers(len(pairs), party.n_groups, n_counted)
    block = next(party.blocks)
    if tables is None:
        return party.add(FOLDS, block, None, n)
    make = partial(tables.count_pairs, pairs, n_counted, party.dtype)
    return party.add(FOLDS, block, make, n)


def search_by_folds(search: Search, show: Show) -> None:
    """Send all pairs by folds."""
    party, pooled, best = search.party, search.pooled, search.best
    tiles = search.layout.list_tiles(party.n_groups, party.itemsize)
    for block, tile in enumerate(tiles):
        sums = add_tile(search, FOLDS, block, tile)
        if pooled is not None and best is not None and sums is not None:
            score_all(pooled, tile, sums, best)
        if show:
            show(block + 1, len(tiles))


def search_bounded(search: Search, show: Show) -> None:
    """Send all pairs without folds, and by folds those whose bound says that they may.

    The bound of a pair is compared with the worst of the best models so far. Few are
    sent before all bounds are known: of the first pairs many would be, that the best
    of all leave behind.
    """
    pooled, best = search.pooled, search.best
    tiles = search.layout.list_tiles(2, search.party.itemsize)
    at, step, held = 0, 1, NOBODY
    while at < len(tiles):
        some = tiles[at : at + step]
        found = [held]
        for block, tile in enumerate(some, at):
            sums = add_tile(search, PAIRS, block, tile)
            if pooled is not None and best is not None and sums is not None:
                found.append(collect(pooled, tile, sums, get_worst(best)))
        at += len(some)
        most = 0 if at == len(tiles) else MOST_HELD
        held = score_rounds(search, sort_candidates(found), FIRST_ROUND // step, most)
        step = min(4 * step, MOST_TILES)
        if show:
            show(at, len(tiles))


def get_worst(best: Best) -> float:
    """Return the statistic that a model must reach to enter the list."""
    return float(get_least(best))


def score_rounds(
    search: Search, candidates: Candidates, first: int, most: int
) -> Candidates:
    """Score candidates by folds, the highest bounds first, while they may matter.

    Parameters
    ----------
    first
        Times the models that are wanted, at least one, are scored first, and then
        twice as many each.
    most
        Candidates that may be left.

    Returns
    -------
    What is left, of the scorer.
    """
    party, best = search.party, search.best
    bound, pairs = candidates
    at, size = 0, max(1, first) * party.study.top
    while True:
        chosen = None
        if best is not None:
            reach = int(np.searchsorted(-bound, -get_worst(best), "right"))
            last = min(at + size, reach) if at == 0 or reach - at > most else at
            bound, pairs, chosen = bound[:reach], pairs[:reach], pairs[at:last]
        told = party.link.tell(chosen)
        if len(told) == 0:
            return Candidates(bound[at:], pairs[at:])
        score_pairs(search, told)
        at, size = at + len(told), 2 * size


def sort_candidates(found: Sequence[Candidates]) -> Candidates:
    """Return the candidates of several tiles, the highest bound first."""
    bound = np.concatenate([one for one, _ in found])
    pairs = np.concatenate([one for _, one in found])
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -bound))
    return Candidates(bound[order], pairs[order])


def score_pairs(search: Search, pairs: NDArray[np.int64]) -> None:
    """Send listed pairs by folds, and score them."""
    party, pooled, best = search.party, search.pooled, search.best
    most = get_most_pairs(party.n_groups, party.itemsize)
    for some, n_counted in search.layout.split(pairs, most):
        sums = add_pairs(party, search.tables, some, n_counted)
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
    tables = party.open_tables(kept.layout)
    most = get_most_pairs(party.n_groups, party.itemsize)
    parts = []
    for first, last in cut(0, len(models), most):
        pairs = kept.layout.place[models[first:last]]
        sums = add_pairs(party, tables, pairs, 9)
        if pooled is not None and sums is not None:
            batches = sums.reshape(-1, party.n_groups, 9, 16).astype(np.int64)
            found = from_batches(batches, last - first)
            parts.append(complete(pooled, models[first:last], found))
    return np.concatenate(parts) if pooled is not None else None
