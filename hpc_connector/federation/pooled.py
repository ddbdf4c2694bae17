"""What who scores makes of the sums of all sites, and whether they can be true."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.blocks import Layout, Tile, to_batches
from hpc_connector.federation.masks import Numbers
from hpc_connector.federation.study import Study
from hpc_connector.learner.mdr.bitplanes import LANES
from hpc_connector.learner.mdr.pairs._bound_kernels import (
    MOST,
    NO_BOUND,
    Asked,
    Narrow,
    collect_batches,
    collect_narrow,
)
from hpc_connector.learner.mdr.pairs._pooled_kernels import score_batches, score_tile
from hpc_connector.learner.mdr.pairs._screen_kernels import SCALE
from hpc_connector.learner.mdr.search import (
    STATISTICS,
    Best,
    Question,
    make_best,
    make_rules,
)

HOPELESS = 0.05  # slack beyond which few pairs are held back
MARGIN = 1e-12  # of bounds in double precision
RANK_BY = dict(zip(("test", "train", "whole"), STATISTICS, strict=True))


class Candidates(NamedTuple):
    """Pairs that may be among the best.

    Parameters
    ----------
    bound
        What the statistic of each is at most, float64 (pairs,).
    pairs
        Places of their variants, int64 (pairs, 2).
    """

    bound: NDArray[np.float64]
    pairs: NDArray[np.int64]


@dataclass(frozen=True)
class Pooled:
    """The counts of all sites, as far as the scorer has them.

    Parameters
    ----------
    counts
        Carriers of 0, 1, 2 and missing of the variants that are searched, int64
        (variants, groups, 4); groups are the folds of cases and then of controls.
    """

    study: Study
    layout: Layout
    counts: NDArray[np.int64]

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.size) // 2

    @cached_property
    def size(self) -> NDArray[np.int32]:
        """Individuals of each group, int32 (groups,)."""
        return np.asarray(self.counts[0].sum(axis=1), np.int32)

    @cached_property
    def of_class(self) -> NDArray[np.int32]:
        """Cases and controls, int32 (2,)."""
        return np.asarray(self.size.reshape(2, -1).sum(axis=1), np.int32)

    @cached_property
    def is_level(self) -> bool:
        """Whether missing is a genotype of its own, which some have."""
        is_missing = not bool(self.layout.is_complete.all())
        return self.study.missing == "level" and is_missing

    @cached_property
    def question(self) -> Question:
        """What is asked, as a search of one cohort asks it."""
        n = len(self.layout.rows)
        by = self.study.rank_by if self.folds > 1 else "whole"
        return Question(
            level=self.study.missing == "level",
            tie_low=self.study.tie == "low",
            rank_by=RANK_BY[by],
            top=min(self.study.top, n * (n - 1) // 2),
        )

    @cached_property
    def carriers(self) -> NDArray[np.int32]:
        """Carriers of 0, 1, 2 by place, int32 (blocks, groups, 3, 16).

        A place of no variant is as if all carried 2 among complete ones, whose cells
        with 2 follow from the others, and as if all lacked it elsewhere.
        """
        n_places = self.layout.n_blocks * LANES
        carriers = np.zeros((n_places, len(self.size), 3), np.int32)
        carriers[: self.layout.n_complete_blocks * LANES, :, 2] = self.size
        carriers[self.layout.place] = self.counts[:, :, :3]
        return np.ascontiguousarray(to_batches(carriers))

    @cached_property
    def class_carriers(self) -> NDArray[np.int32]:
        """The same of cases and of controls, int32 (blocks, 2, 3, 16)."""
        shape = (len(self.carriers), 2, self.folds, 3, LANES)
        return np.ascontiguousarray(
            self.carriers.reshape(shape).sum(axis=2, dtype=np.int32)
        )

    @cached_property
    def narrow(self) -> Narrow:
        """Carriers and contrasts in 16 bits, the blocks beside the next ones."""
        n1, n0 = self.of_class
        carriers = self.class_carriers
        contrast = np.rint(SCALE * (carriers[:, 0, :2] / n1 - carriers[:, 1, :2] / n0))
        third = -contrast.sum(axis=1, keepdims=True)
        margins = np.concatenate([contrast, third], axis=1)
        return Narrow(join_next(carriers), join_next(margins))

    @cached_property
    def slack(self) -> float:
        """What the statistic exceeds the whole accuracy by, if all are counted."""
        return get_slack(self.size) if self.question.rank_by == STATISTICS[0] else 0.0

    @cached_property
    def lacking(self) -> NDArray[np.float64]:
        """Who lacks a genotype, as ``collect_batches`` takes it; empty if no matter."""
        is_bound = self.question.rank_by == STATISTICS[0]
        if not is_bound or self.layout.is_complete.all() or self.is_level:
            return np.empty(0)
        called = self.carriers.sum(axis=2)
        missing = self.size[:, None] - called
        return np.concatenate([missing.reshape(-1), self.size]).astype(np.float64)

    def make_best(self, *, is_exact: bool) -> Best:
        """Return an empty list of models; without winners of folds if not exact."""
        best = make_best(self.question, self.folds)
        if not is_exact:
            best.fold_score[:] = np.inf
        return best

    def get_n_cells(self, n_counted: int) -> int:
        """Return the cells of a pair of which some were counted."""
        return 16 if self.is_level and n_counted == 9 else 9


def join_next(values: NDArray[Any]) -> NDArray[np.int16]:
    """Return values of blocks, each beside those of the next one, int16, flat.

    Parameters
    ----------
    values
        (blocks, ..., 16).
    """
    following = np.concatenate([values[1:], np.zeros_like(values[:1])])
    return np.concatenate([values, following], axis=-1).astype(np.int16).reshape(-1)


def get_slack(size: NDArray[np.integer[Any]]) -> float:
    """Return what test may exceed whole accuracy by; see ``_pooled_kernels``.

    Parameters
    ----------
    size
        Individuals of each group, (2 * folds,).
    """
    sizes = size.reshape(2, -1)
    if not sizes.all():
        return NO_BOUND
    share = sizes / sizes.sum(axis=1, keepdims=True)
    uneven = np.abs(share - 1 / sizes.shape[1]).sum() / 2
    return float((np.abs(share[0] - share[1]).sum() + uneven) / 2)


def is_pruned(pooled: Pooled) -> bool:
    """Return whether accuracies on all data say which pairs need their folds."""
    if pooled.question.rank_by == STATISTICS[1] or pooled.folds == 1:
        return pooled.folds == 1
    return pooled.slack <= HOPELESS


def collect(pooled: Pooled, tile: Tile, sums: Numbers, least: float) -> Candidates:
    """Return the pairs of a tile that may matter.

    Parameters
    ----------
    sums
        Tables of cases and of controls, of all sites.
    least
        Statistic that a pair must be able to reach.
    """
    n = sums.size // (2 * tile.n_counted)
    bound, pairs = np.empty(n), np.empty((n, 2), np.int64)
    is_open, tables = tile.n_counted == 9, to_signed(sums)
    asked = Asked(
        pooled.class_carriers.reshape(-1),
        pooled.of_class,
        pooled.layout.number,
        pooled.lacking if is_open else pooled.lacking[:0],
        pooled.folds,
        pooled.slack + MARGIN,
        least,
    )
    if not is_open and sums.itemsize == 2 and pooled.of_class.max() <= MOST:
        n_found = collect_narrow(
            tables, tile.blocks, asked, pooled.narrow, bound, pairs
        )
    else:
        n_cells = pooled.get_n_cells(tile.n_counted)
        n_found = collect_batches(
            tables, tile.n_counted, n_cells, tile.blocks, asked, bound, pairs
        )
    if n_found < 0:
        refuse("stage A, tables of cases and controls")
    # Copies, for they are few, and the memory that they are cut from is much
    return Candidates(bound[:n_found].copy(), pairs[:n_found].copy())


def score_all(pooled: Pooled, tile: Tile, sums: Numbers, best: Best) -> None:
    """Score every pair of a tile by its tables of folds."""
    found = score_tile(
        to_signed(sums),
        tile.n_counted,
        pooled.get_n_cells(tile.n_counted),
        tile.blocks,
        pooled.carriers.reshape(-1),
        pooled.size,
        pooled.folds,
        pooled.layout.number,
        make_rules(pooled.question),
        best,
    )
    if found < 0:
        refuse("stage B, tables of folds")


def score_listed(
    pooled: Pooled, pairs: NDArray[np.int64], n_counted: int, sums: Numbers, best: Best
) -> None:
    """Score listed pairs by their tables of folds."""
    n = -(-len(pairs) // LANES) * LANES
    numbers = np.full((n, 2), -1, np.int64)
    numbers[: len(pairs)] = pooled.layout.number[pairs]
    of_places = np.moveaxis(pooled.carriers, -1, 1).reshape(-1, len(pooled.size), 3)
    of_rows, of_columns = (
        np.ascontiguousarray(to_batches(of_places[column])).reshape(-1)
        for column in pairs.T
    )
    found = score_batches(
        to_signed(sums),
        n_counted,
        pooled.get_n_cells(n_counted),
        of_rows,
        of_columns,
        pooled.size,
        pooled.folds,
        numbers,
        make_rules(pooled.question),
        best,
    )
    if found < 0:
        refuse("stage B, tables of folds")


def to_signed(sums: Numbers) -> NDArray[Any]:
    """Return the bits of unsigned numbers as signed ones, as the kernels take them."""
    return sums.view(f"i{sums.itemsize}")


def complete(
    pooled: Pooled, pairs: NDArray[np.int64], tables: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return tables with the level of missing genotypes, if there is one.

    Parameters
    ----------
    pairs
        Numbers of the variants, int64 (pairs, 2).
    tables
        int64 (pairs, groups, 9).

    Returns
    -------
    int64 (pairs, groups, 9 or 16).
    """
    if not pooled.is_level:
        return tables
    nine = tables.reshape(*tables.shape[:2], 3, 3)
    rows, columns = (pooled.counts[column] for column in pairs.T)
    whole = np.zeros((*tables.shape[:2], 4, 4), np.int64)
    whole[..., :3, :3] = nine
    whole[..., :3, 3] = rows[..., :3] - nine.sum(axis=-1)
    whole[..., 3, :3] = columns[..., :3] - nine.sum(axis=-2)
    whole[..., 3, 3] = rows[..., 3] - whole[..., 3, :3].sum(axis=-1)
    return whole.reshape(*tables.shape[:2], 16)


def check_variants(counts: NDArray[np.int64], sizes: tuple[int, int] | None) -> None:
    """Refuse sums of stage 0 that cannot be true.

    Parameters
    ----------
    counts
        int64 (variants, groups, 4).
    sizes
        Cases and controls that the sites have told, if they have.
    """
    of_group = counts.sum(axis=2)
    if len(counts) and (of_group != of_group[0]).any():
        refuse("stage 0, individuals of a group that differ between variants")
    found = of_group[0].reshape(2, -1).sum(axis=1).tolist() if len(counts) else []
    if sizes is not None and found != list(sizes):
        refuse(f"stage 0, {found} cases and controls where sites told {list(sizes)}")


def refuse(where: str) -> None:
    """Raise that sums cannot be true."""
    raise BadInput(
        f"implausible sums ({where}): a site has sent other numbers than its counts, "
        "or under another mask; no result is let out"
    )
