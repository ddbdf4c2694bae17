"""The tasks of a run: stretches of the ions in order of m/z, and their scores.

A task knows neither who runs it nor where: it takes arrays and returns arrays.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hpc_connector.learner.annotation.ion_images import SCORES, Grid, PeakList, annotate
from hpc_connector.pipeline.ledger import Arrays
from metabolite_annotation.patterns import Patterns

IONS_A_TASK = 512
MOST_TASKS = 1024


def make_tasks(mz: np.ndarray) -> list[np.ndarray]:
    """Cut the ions that have a pattern into stretches, so each needs few of the peaks.

    Parameters
    ----------
    mz
        Isotope peaks, shape (ions, images), 0 where there is none.

    Returns
    -------
    The numbers of the ions of each task, int64.
    """
    order = np.argsort(mz[:, 0], kind="stable")
    order = order[mz[order, 0] > 0]
    n = max(IONS_A_TASK, -(-len(order) // MOST_TASKS))
    return [order[first : first + n] for first in range(0, len(order), n)]


def make_run_task(
    peaks: PeakList,
    grid: Grid,
    tasks: Sequence[np.ndarray],
    patterns: Patterns,
    ppm: float,
    scored: Sequence[list[Arrays]],
) -> Callable[[int, int], None]:
    """Return the function that runs a task, given its number and the thread.

    Parameters
    ----------
    tasks
        The ions of each, rows of `patterns`.
    ppm
        Half the window of a peak, parts per million.
    scored
        Of each thread; a task adds the ions that have a score: ``ion``, int64 (n,), and
        ``scores``, float64 (n, 8), columns ``SCORES``.
    """
    mz, theoretical = patterns

    def run_task(number: int, thread: int) -> None:
        ions = tasks[number]
        scores = annotate(peaks, grid, mz[ions], theoretical[ions], ppm=ppm)
        (kept,) = np.nonzero(scores[:, 0])
        scored[thread].append({"ion": ions[kept], "scores": scores[kept]})

    return run_task


def score_nothing() -> Arrays:
    """Return the scores of no ion, as a task would."""
    return {"ion": np.zeros(0, np.int64), "scores": np.zeros((0, len(SCORES)))}


def join(parts: Sequence[Arrays]) -> Arrays:
    """Return the scored ions of several tasks as one set of arrays."""
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def spread(parts: Iterable[Arrays], n_ions: int) -> np.ndarray:
    """Return the scores of all ions, shape (ions, 8); 0 for those without."""
    scores = np.zeros((n_ions, len(SCORES)))
    for part in parts:
        scores[part["ion"]] = part["scores"]
    return scores
