"""The tasks of a run: a tile each, searched as it is or under some permutations."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.gmdr import search as scored
from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import LANES, Arrangement
from hpc_connector.partitioner import make_tiles
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.storer import Shards

TILES_AN_EDGE = 16  # of the triangle, unless that makes tiles too small or too large
TILE_BLOCKS = {2: (8, 64), 3: (8, 16)}
PERMUTATIONS_A_TASK = 16
PERMUTED_BLOCKS = 128
ERROR_BINS = 200  # of the errors of all models, from 0 to 1
PERMUTED_BYTES = 1 << 26  # of the genotypes that a task holds under its permutations


@dataclass(frozen=True)
class Task:
    """A tile to search, as it is or under some permutations."""

    tile: tuple[int, ...]
    permutations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tasks:
    """The tasks of a run, made when asked for: a million is an array, not objects.

    Parameters
    ----------
    tiles, permuted
        First and last block along each axis: of the search, of each permutation.
    """

    tiles: np.ndarray
    permuted: np.ndarray
    permutations: int

    def __len__(self) -> int:
        """Return the number of tasks."""
        n_batches = -(-self.permutations // PERMUTATIONS_A_TASK)
        return len(self.tiles) + n_batches * len(self.permuted)

    def __getitem__(self, number: int) -> Task:
        """Return a task."""
        number = range(len(self))[number]
        if number < len(self.tiles):
            return Task(tuple(self.tiles[number].tolist()))
        batch, place = divmod(number - len(self.tiles), len(self.permuted))
        first = batch * PERMUTATIONS_A_TASK
        last = min(first + PERMUTATIONS_A_TASK, self.permutations)
        return Task(tuple(self.permuted[place].tolist()), tuple(range(first, last)))


def make_tasks(
    shape: tuple[int, ...], order: int, permutations: int, n_first: int | None
) -> Tasks:
    """Return the tasks of a run: all tiles, then all tiles for each permutation.

    Permuting a tile's genotypes costs a little, so its tiles are as large as memory
    allows; of pairs: for triples, genotypes are few.

    Parameters
    ----------
    shape
        Of the planes.
    n_first
        Number of variants of the first list, None without lists.
    """
    n_blocks = shape[0]
    n_first_blocks = None if n_first is None else -(-n_first // LANES)
    least, most = TILE_BLOCKS[order]
    edge = min(max(least, -(-n_blocks // TILES_AN_EDGE)), most)
    tiles = make_tiles(n_blocks, edge, order, n_first_blocks=n_first_blocks)
    if order == 2:
        n_bytes = 2 * PERMUTATIONS_A_TASK * 4 * math.prod(shape[1:])
        edge = max(least, min(PERMUTED_BLOCKS, PERMUTED_BYTES // n_bytes))
    permuted = make_tiles(n_blocks, edge, order, n_first_blocks=n_first_blocks)
    return Tasks(tiles, permuted, permutations)


class Findings:
    """What one thread has found so far."""

    def __init__(self, question: learner.Question, folds: int) -> None:
        self.best = learner.make_best(question, folds)
        self.maximum = np.full(question.permutations, -np.inf)
        self.errors = np.zeros(ERROR_BINS, np.int64)  # of all models, where stored

    def to_arrays(self) -> Arrays:
        """Return the arrays that a ledger records."""
        return self.best._asdict() | {"maximum": self.maximum}


@dataclass(frozen=True)
class Search:
    """What all tasks of a run need.

    Parameters
    ----------
    planes
        Packed genotypes, int32 (blocks, words, 2 or 3, 16).
    is_case
        1 for a case or a score above 0, else 0, shape (individuals,).
    number
        Of the variant at each place of the planes, int64 (variants,).
    scores
        By which models are searched; None of plain cases and controls.
    strata
        Within which scores are permuted, int64 (individuals,); None for all.
    """

    planes: np.ndarray
    number: np.ndarray
    arrangement: Arrangement
    is_case: np.ndarray
    question: learner.Question
    scores: Scores | None = None
    strata: NDArray[np.int64] | None = None

    @cached_property
    def genotypes(self) -> Any:
        """Genotypes and groups as the kernels take them."""
        known = (self.planes, len(self.number), self.arrangement)
        if self.scores is None:
            return learner.make_genotypes(*known, self.number)
        return scored.make_scored_genotypes(*known, self.scores, self.number)

    def bind_kernel(self) -> Callable[..., None]:
        """Return the kernel of the search, which takes best, tile and errors."""
        if self.scores is None:
            return learner.bind_search(self.genotypes, self.question)
        return scored.bind_search(self.genotypes, self.question)

    def make_findings(self) -> Findings:
        """Return room for what a thread finds."""
        return Findings(self.question, self.arrangement.folds)


def make_run_task(
    search: Search,
    tasks: Tasks,
    findings: Sequence[Findings],
    shards: Shards | None = None,
) -> Callable[[int, int], None]:
    """Return the function that runs a task, given its number and the thread.

    Parameters
    ----------
    findings
        Of each thread; a task puts there what it finds.
    shards
        Where the errors of all models go, if they are wanted.
    """
    kernel = search.bind_kernel()
    nowhere = np.empty((0,) * search.question.order, np.float32)

    def run_task(number: int, thread: int) -> None:
        task, mine = tasks[number], findings[thread]
        if task.permutations:
            permute(search, task, mine)
            return
        errors = make_errors(task.tile) if shards else nowhere
        kernel(mine.best, task.tile, errors)
        if shards:
            shards.save(number, [LANES * b for b in task.tile[::2]], errors)
            mine.errors += count_errors(errors)

    return run_task


def permute(search: Search, task: Task, findings: Findings) -> None:
    """Search a tile under some permutations; keep the maximum of each."""
    chosen = list(task.permutations)
    known = findings.maximum[chosen]
    asked = (search.genotypes, search.question, search.arrangement)
    if search.scores is None:
        found = learner.get_permutation_maximum(
            *asked, search.is_case, task.tile, chosen, known
        )
    else:
        found = scored.get_permutation_maximum(
            *asked, search.scores, task.tile, chosen, known, search.strata
        )
    findings.maximum[chosen] = found


def make_errors(tile: tuple[int, ...]) -> np.ndarray:
    """Return an array for the errors of a tile."""
    edges = [(b - a) * LANES for a, b in zip(tile[::2], tile[1::2], strict=True)]
    return np.full(edges, np.nan, np.float32)


def count_errors(errors: np.ndarray) -> NDArray[np.int64]:
    """Return how many errors are in each of bins as wide as another, from 0 to 1.

    Parameters
    ----------
    errors
        float32, NaN where there is no model.

    Examples
    --------
    >>> count_errors(np.array([0.0, 0.004, 0.5, 1.0, np.nan], np.float32)).nonzero()
    (array([  0, 100, 199]),)
    """
    known = errors[~np.isnan(errors)]
    bins = np.minimum((known * np.float32(ERROR_BINS)).astype(np.int64), ERROR_BINS - 1)
    return np.bincount(bins, minlength=ERROR_BINS)


def merge(found: Sequence[Arrays], top: int) -> Arrays:
    """Merge what threads, ranks or attempts found; in any order, some at a time."""
    maximum = found[0]["maximum"].copy()
    for arrays in found[1:]:  # not all at once: there may be millions of each
        np.maximum(maximum, arrays["maximum"], out=maximum)
    best = learner.merge_best([get_best(arrays) for arrays in found], top)
    return best._asdict() | {"maximum": maximum}


def get_best(arrays: Arrays) -> learner.Best:
    """Return the best models of what was found."""
    return learner.Best(**{name: arrays[name] for name in learner.Best._fields})


def search_all(search: Search, tasks: Tasks, threads: int) -> Arrays:
    """Run all tasks on threads of this process; return what they found."""
    mine = [search.make_findings() for _ in range(threads)]
    run_task = make_run_task(search, tasks, mine)
    left = iter(range(len(tasks)))

    def work(thread: int) -> None:
        for number in left:
            run_task(number, thread)

    if threads == 1:
        work(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
    return merge([each.to_arrays() for each in mine], search.question.top)
