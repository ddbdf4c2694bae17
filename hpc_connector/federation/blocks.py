"""What a site counts, and the blocks in which it is added up.

All sites lay out the same variants in the same order: those of which nobody at any site
lacks a genotype, then the others, each from a block of sixteen on. A message is the
tables of a tile of the pairs, or of a list of pairs.
"""

import contextlib
import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.federation.masks import Numbers, Part
from hpc_connector.learner.mdr._shuffle_kernels import rearrange_planes
from hpc_connector.learner.mdr.bitplanes import (
    LANES,
    WORD_BITS,
    Arrangement,
    get_source,
    make_arrangement,
    make_planes,
    place_codes,
)
from hpc_connector.learner.mdr.pairs._table_kernels import (
    add_tables,
    count_all_carriers,
    count_batches,
    count_listed,
)

MESSAGE_BYTES = 4 << 20
PART_BYTES = 1 << 19  # of a message, which are counted and masked in one go
VARIANTS, PAIRS, FOLDS, SIZES = 0, 1, 2, 3  # stages
COUNTED_VARIANTS = 4096  # of a site at once
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
FOUR = [0, 1, 3, 4]  # cells of nine from which the others follow


class Tile(NamedTuple):
    """Blocks of rows and of columns, and the cells that are counted of their pairs."""

    blocks: tuple[int, int, int, int]
    n_counted: int

    def split(self, n_groups: int, itemsize: int) -> Iterator["Tile"]:
        """Yield the rows of the tile by parts, whose tables stay in the cache."""
        first, last, *columns = self.blocks
        n_bytes = LANES * LANES * (columns[1] - columns[0]) * self.n_counted
        step = max(1, PART_BYTES // (n_bytes * n_groups * itemsize))
        for rows in cut(first, last, step):
            yield Tile((*rows, columns[0], columns[1]), self.n_counted)


@dataclass(frozen=True)
class Layout:
    """The variants that are searched, in the order of all sites.

    Parameters
    ----------
    rows
        Their places in the reference list, int64 (variants,), ascending.
    is_complete
        Whether nobody lacks a genotype, bool (variants,).
    """

    rows: NDArray[np.int64]
    is_complete: NDArray[np.bool_]

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Place of each variant in the planes, int64 (variants,)."""
        place = np.empty(len(self.rows), np.int64)
        n = int(self.is_complete.sum())
        place[self.is_complete] = np.arange(n)
        first = -(-n // LANES) * LANES
        place[~self.is_complete] = first + np.arange(len(self.rows) - n)
        return place

    @cached_property
    def number(self) -> NDArray[np.int64]:
        """Number of the variant at each place, int64 (places,), -1 of none."""
        number = np.full(self.n_blocks * LANES, -1, np.int64)
        number[self.place] = np.arange(len(self.rows))
        return number

    @property
    def n_complete_blocks(self) -> int:
        """Blocks of complete variants, which come first."""
        return -(-int(self.is_complete.sum()) // LANES)

    @property
    def n_blocks(self) -> int:
        """Blocks of all variants."""
        return self.n_complete_blocks + -(-int((~self.is_complete).sum()) // LANES)

    def list_tiles(self, n_groups: int, itemsize: int) -> list[Tile]:
        """Return the tiles of all pairs, each a message."""
        first, last = self.n_complete_blocks, self.n_blocks
        edge = get_edge(n_groups, 4, itemsize)
        whole = list(cut(0, first, edge))
        edge = get_edge(n_groups, 9, itemsize)
        rows, rest = list(cut(0, first, edge)), list(cut(first, last, edge))
        tiles = [Tile((*a, *b), 4) for k, a in enumerate(whole) for b in whole[k:]]
        tiles += [Tile((*a, *b), 9) for a in rows for b in rest]
        return tiles + [Tile((*a, *b), 9) for k, a in enumerate(rest) for b in rest[k:]]

    def split(
        self, pairs: NDArray[np.int64], most: int
    ) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Yield parts of listed pairs, with the cells that are counted of them.

        Parameters
        ----------
        pairs
            Places, int64 (pairs, 2).
        most
            Pairs of a message.
        """
        is_whole = pairs.max(axis=1, initial=-1) < self.n_complete_blocks * LANES
        for some, n_counted in ((pairs[is_whole], 4), (pairs[~is_whole], 9)):
            for at in range(0, len(some), most):
                yield some[at : at + most], n_counted


def keep_memory() -> None:
    """Have this process keep memory that is given back: a block takes that of the last.

    The system would give pages of zeros each time, which took as long as counting a
    block. Where the C library is not glibc, it does as it does.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 8 * MESSAGE_BYTES)
        mallopt(TRIM_THRESHOLD, 64 * MESSAGE_BYTES)


def count_numbers(tile: Tile, n_groups: int) -> int:
    """Return the numbers of the tables of a tile."""
    return count_batches(tile.blocks) * n_groups * tile.n_counted * LANES


def count_listed_numbers(n_pairs: int, n_groups: int, n_counted: int) -> int:
    """Return the numbers of the tables of listed pairs, in batches of sixteen."""
    return -(-n_pairs // LANES) * LANES * n_groups * n_counted


def cut(first: int, last: int, edge: int) -> Iterator[tuple[int, int]]:
    """Yield first and last of parts of a range, none longer than an edge."""
    for at in range(first, last, edge):
        yield at, min(at + edge, last)


def get_edge(n_groups: int, n_cells: int, itemsize: int) -> int:
    """Return the blocks along an edge of a tile, whose tables make a message."""
    n_bytes = LANES * LANES * n_groups * n_cells * itemsize
    return max(1, math.isqrt(MESSAGE_BYTES // n_bytes))


def get_most_pairs(n_groups: int, itemsize: int) -> int:
    """Return the listed pairs of a message."""
    return max(LANES, MESSAGE_BYTES // (n_groups * 9 * itemsize) // LANES * LANES)


@dataclass(frozen=True)
class Packed:
    """Genotypes of a site in one arrangement of its individuals.

    Parameters
    ----------
    codes
        Of every variant of the reference list, int32 (variants, 2, words), all missing
        where the site has none; see ``bitplanes.pack_genotypes``.
    shuffled
        Another arrangement that planes are made in, of groups of the same sizes; None
        for the same one.
    """

    codes: NDArray[np.int32]
    arrangement: Arrangement
    shuffled: Arrangement | None = None

    def make_planes(
        self, rows: NDArray[np.int64], place: NDArray[np.int64], n_blocks: int, n: int
    ) -> NDArray[np.int32]:
        """Return planes of `n` genotypes of some variants at their places."""
        n_words = self.codes.shape[2]
        planes = make_planes(n_blocks * LANES, n_words, missing=n == 3)
        place_codes(self.codes[rows], place, planes)
        if self.shuffled is None:
            return planes
        others = np.zeros_like(planes)
        source = get_source(self.shuffled, self.arrangement.slot)
        rearrange_planes(planes, source, others)
        return others


@dataclass(frozen=True)
class Local:
    """What a site holds, and nobody else sees.

    Parameters
    ----------
    in_folds, whole
        Its genotypes, arranged by class and fold, and by class alone.
    is_present
        Whether it has each variant of the reference list, bool (variants,).
    """

    in_folds: Packed
    whole: Packed
    is_present: NDArray[np.bool_]

    @property
    def is_case(self) -> NDArray[np.bool_]:
        """Whether each individual of the site is a case, bool (individuals,)."""
        arrangement = self.in_folds.arrangement
        first_control = arrangement.group_start[arrangement.folds] * WORD_BITS
        is_case: NDArray[np.bool_] = arrangement.slot < first_control
        return is_case

    def shuffle(
        self, is_case: NDArray[np.integer[Any]], fold: NDArray[np.int64]
    ) -> "Local":
        """Return the same genotypes under other labels and in other folds.

        Parameters
        ----------
        is_case, fold
            Of each individual, (individuals,): as many of each class in each fold.
        """
        folds = make_arrangement(is_case, fold, self.in_folds.arrangement.folds)
        whole = make_arrangement(is_case, np.zeros_like(fold), 1)
        return Local(
            replace(self.in_folds, shuffled=folds),
            replace(self.whole, shuffled=whole),
            self.is_present,
        )

    def count_variants(self, *, in_folds: bool = True) -> Iterator[NDArray[np.int64]]:
        """Yield carriers of 0, 1, 2 and missing, some variants after others.

        Each int64 (variants, groups, 4); groups are cases and controls, or their folds.
        """
        for first, last in cut(0, len(self.is_present), COUNTED_VARIANTS):
            yield self.count_some(np.arange(first, last), in_folds=in_folds)

    def count_some(
        self, rows: NDArray[np.int64], *, in_folds: bool = True
    ) -> NDArray[np.int64]:
        """Return carriers of 0, 1, 2 and missing of some variants.

        As :meth:`count_variants` yields them.
        """
        packed = self.in_folds if in_folds else self.whole
        size = packed.arrangement.group_size
        n_blocks = -(-len(rows) // LANES)
        planes = packed.make_planes(rows, np.arange(len(rows)), n_blocks, 3)
        counted = count_all_carriers(planes, packed.arrangement.group_start)
        counted = counted.transpose(0, 3, 1, 2).reshape(-1, len(size), 3)
        called = counted[: len(rows)].astype(np.int64)
        missing = size[:, None] - called.sum(axis=2, keepdims=True)
        return np.concatenate([called, missing], axis=2)


@dataclass(frozen=True)
class Tables:
    """The planes of a site, of the variants that are searched."""

    local: Local
    layout: Layout

    @cached_property
    def _whole(self) -> NDArray[np.int32]:
        rows, place = self.layout.rows, self.layout.place
        n = 2 if self.layout.is_complete.all() else 3
        return self.local.whole.make_planes(rows, place, self.layout.n_blocks, n)

    @cached_property
    def _in_folds(self) -> NDArray[np.int32]:
        rows, place = self.layout.rows, self.layout.place
        return self.local.in_folds.make_planes(rows, place, self.layout.n_blocks, 3)

    def count_tile(self, tile: Tile, dtype: Any, *, in_folds: bool) -> Iterator[Part]:
        """Yield the tables of a tile by parts; see ``_table_kernels``."""
        packed = self.local.in_folds if in_folds else self.local.whole
        planes = self._in_folds if in_folds else self._whole
        start = packed.arrangement.group_start
        for some in tile.split(len(start) - 1, np.dtype(dtype).itemsize):
            n = count_numbers(some, len(start) - 1)
            yield n, partial(add_tile, planes, start, some)

    def count_pairs(
        self, pairs: NDArray[np.int64], n_counted: int, dtype: Any
    ) -> Numbers:
        """Return the tables by fold of listed pairs, in batches of sixteen."""
        arrangement = self.local.in_folds.arrangement
        counts = np.zeros((len(pairs), len(arrangement.group_size), 9), np.int32)
        count_listed(self._in_folds, arrangement.group_start, pairs, counts)
        chosen = counts[:, :, FOUR] if n_counted == 4 else counts
        return np.ascontiguousarray(to_batches(chosen), dtype).reshape(-1)


def add_tile(
    planes: NDArray[np.int32], start: NDArray[np.int64], tile: Tile, sums: Numbers
) -> None:
    """Add the tables of a tile to numbers, modulo 2^w; see ``_table_kernels``."""
    signed = sums.view(f"i{sums.itemsize}")
    add_tables(planes, start, tile.blocks, tile.n_counted, signed)


def to_batches(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of pairs, the pairs of a batch last: (batches, ..., 16)."""
    n = -(-len(values) // LANES) * LANES
    padded = np.zeros((n, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return np.moveaxis(padded.reshape(-1, LANES, *values.shape[1:]), 1, -1)


def from_batches(batches: NDArray[Any], n: int) -> NDArray[Any]:
    """Return the values of `n` pairs from batches: (pairs, ...)."""
    moved = np.moveaxis(batches, -1, 1)
    return moved.reshape(-1, *moved.shape[2:])[:n]
