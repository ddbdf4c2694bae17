"""Memory for a task, from what tasks of its kind have used before."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS = 3  # fewer say nothing of how much runs differ
SPARE_BYTES = 100 << 20  # least margin: small tasks differ by more than a tenth
SPREADS = (1.0, 0.5, 0.25, 2.0)  # margins, in standard deviations of the peaks
MOST_RUNS = 40  # the last ones are looked at
MOST_BYTES = 128 << 30  # of a node


@dataclass(frozen=True)
class EndedTask:
    """A task that has ended.

    Parameters
    ----------
    kind
        Tasks of one kind are alike: program or workflow, and step.
    start_s, end_s
        When, by one clock.
    run_s
        How long it held its memory.
    """

    kind: str
    start_s: float
    end_s: float
    run_s: float
    asked_bytes: float
    peak_bytes: float


@dataclass(frozen=True)
class Waste:
    """What a rule would have cost: byte seconds held in vain, and failing tasks."""

    byte_s: float
    failing: int
    tasks: int


Rule: TypeAlias = Callable[[Sequence[float], EndedTask], float]


def size_memory(peaks: Sequence[float], asked_bytes: float) -> float:
    """Return the memory to give to a task: the greatest peak, and a margin.

    The margin is what peaks differ by, for a tenth is too much where all runs are alike
    and too little where they are not; see :func:`choose_spread`.

    Parameters
    ----------
    peaks
        Bytes that completed tasks of this kind have used, in the order they ended.
    asked_bytes
        What the user would ask for; it is kept while fewer than ``LEAST_RUNS`` are
        known.

    Examples
    --------
    >>> size_memory([1e9, 1e9, 1e9], 8e9) / 1e9
    1.1048576
    """
    if len(peaks) < LEAST_RUNS:
        return asked_bytes
    last = np.array(peaks[-MOST_RUNS:], float)
    return float(last.max() + get_margin(choose_spread(last), last.std()))


def get_margin(
    spread: float, deviation: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the bytes above the greatest peak, by the standard deviation of peaks."""
    return np.maximum(SPARE_BYTES, spread * deviation)


def choose_spread(peaks: NDArray[np.float64]) -> float:
    """Return how many standard deviations as a margin would have wasted least.

    Each peak is held against those before it; a task that fails is run again with twice
    as much.

    Parameters
    ----------
    peaks
        Bytes, in the order tasks ended, shape (runs,).
    """
    places = range(LEAST_RUNS, len(peaks))
    now = peaks[LEAST_RUNS:]
    most = np.maximum.accumulate(peaks)[LEAST_RUNS - 1 : -1]
    deviation = np.array([peaks[:k].std() for k in places])

    def get_waste(spread: float) -> float:
        given = most + get_margin(spread, deviation)
        again = given + np.maximum(2 * given, now)
        return float((np.where(given < now, again, given) - now).sum())

    return min(SPREADS, key=get_waste)


def grow_memory(given_bytes: float, peaks: Sequence[float]) -> float:
    """Return the memory for a task that ran out: the most seen, then twice as much."""
    most = max(peaks, default=0.0)
    return min(most if most > given_bytes else 2 * given_bytes, MOST_BYTES)


def follow(tasks: Iterable[EndedTask]) -> Iterator[tuple[EndedTask, list[float]]]:
    """Yield tasks as they start, each with the peaks of its kind known by then.

    Only what had completed before a task started is known: tasks that start together
    learn nothing of each other, nor a task of itself.
    """
    by_start = sorted(tasks, key=lambda task: task.start_s)
    by_end = iter(sorted(by_start, key=lambda task: task.end_s))
    known: dict[str, list[float]] = defaultdict(list)
    ended = next(by_end, None)
    for task in by_start:
        while ended is not None and ended.end_s < task.start_s:
            known[ended.kind].append(ended.peak_bytes)
            ended = next(by_end, None)
        yield task, known[task.kind]


def replay(tasks: Iterable[EndedTask], rule: Rule | None = None) -> Waste:
    """Return the waste of a rule, had it sized tasks in the order of time.

    A failed attempt wastes all that it was given, for as long as the task takes.

    Parameters
    ----------
    rule
        Takes the known peaks of the kind and the task, and returns bytes; it must not
        look at the peak of the task. :func:`size_memory` without it.
    """
    rule = rule or (lambda peaks, task: size_memory(peaks, task.asked_bytes))
    byte_s, failing, n_tasks = 0.0, 0, 0
    for task, peaks in follow(tasks):
        given = rule(peaks, task)
        failing += given < task.peak_bytes
        n_tasks += 1
        while given < task.peak_bytes and given < MOST_BYTES:
            byte_s += given * task.run_s
            given = grow_memory(given, peaks)
        byte_s += max(given - task.peak_bytes, 0) * task.run_s
    return Waste(byte_s, failing, n_tasks)
