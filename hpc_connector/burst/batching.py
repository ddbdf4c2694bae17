"""Which tasks go to functions, and how many at a time: deadline, budget, share."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpc_connector.burst.config import Settings
from hpc_connector.burst.dispatch import Batch, Burst
from hpc_connector.pipeline.ranks import Seat

MARGIN = 0.9  # of what ranks do until the deadline, and of the budget
BATCHES_EACH = 4  # a function, where the number of tasks is known
FIRST_BATCH = 4
SPENT = "the budget is spent"
EARLY = 0.1  # of the time until the deadline, in which ranks show how fast they are


@dataclass(frozen=True)
class Goal:
    """What a burst is for.

    Parameters
    ----------
    deadline_s
        Of ``time.monotonic()``; None to end as early as functions allow.
    budget_eur
        Not to be exceeded, by what is known when a function starts.
    rank_workers
        Ranks times threads.
    """

    rank_workers: int
    deadline_s: float | None = None
    budget_eur: float | None = None


def count_excess(left: int, rate: float, left_s: float) -> int:
    """Return how many of the tasks left the ranks will not do in the time left.

    Parameters
    ----------
    rate
        Tasks a second of all ranks.
    """
    return max(0, left - int(MARGIN * rate * max(left_s, 0.0)))


def count_affordable(burst: Burst, settings: Settings, goal: Goal) -> int:
    """Return how many tasks a function more may take within the budget.

    Until functions have shown what a task takes, one function tries one task.
    """
    if goal.budget_eur is None:
        return sys.maxsize
    usage, now_s = burst.usage, time.monotonic()
    if not usage.tasks_done:
        return int(not burst.pending)
    each_gb_s = usage.gb_s / usage.tasks_done
    pending_gb_s = sum(
        max(each_gb_s * len(f.tasks), (now_s - f.sent_s) * f.given_mb[-1] / 1024)
        for f in burst.pending.values()
    )
    spent = settings.get_cost_eur(usage.gb_s + pending_gb_s, usage.calls + 1) or 0.0
    each = settings.get_cost_eur(each_gb_s, 0) or 0.0
    left = MARGIN * goal.budget_eur - spent
    if left < 0:
        return 0
    return int(min(left / each, sys.maxsize)) if each else sys.maxsize


def grow(burst: Burst) -> int:
    """Return how many tasks a batch may have: few at first, for tasks differ."""
    return max(FIRST_BATCH, 2 * burst.largest_done)


def take_reserved(
    reserved: list[int], settings: Settings, goal: Goal
) -> Callable[[Burst], Batch | None]:
    """Return the function that takes batches of tasks for functions alone."""
    most = max(1, -(-len(reserved) // (BATCHES_EACH * settings.workers)))

    def take(burst: Burst) -> Batch | None:
        n = min(most, count_affordable(burst, settings, goal))
        if n == 0 and not burst.pending:
            burst.usage.reason = SPENT
            return None
        if not reserved:
            return None
        batch = tuple(reserved[:n])
        del reserved[:n]
        return batch

    return take


def take_overflow(
    seat: Seat, total: int, settings: Settings, goal: Goal
) -> Callable[[Burst], Batch | None]:
    """Return the function that takes the tasks that ranks would not do in time.

    Without a deadline, that is what functions can do while ranks do the rest.

    Parameters
    ----------
    seat
        Of the rank that hands out tasks.
    total
        Tasks of the ranks.
    """
    start_s = time.monotonic()
    sent = 0

    def take(burst: Burst) -> Batch | None:
        nonlocal sent
        now_s, taken = time.monotonic(), seat.count_taken()
        left, by_ranks = total - taken, taken - sent
        if left <= 0:
            return None
        if by_ranks <= goal.rank_workers and not is_late(start_s, now_s, goal):
            return ()  # none is done: nobody knows how fast ranks are
        rate = max(by_ranks - goal.rank_workers / 2, 0.5) / max(now_s - start_s, 1e-3)
        n = choose_size(left, rate, now_s, settings, goal)
        if n == 0:
            return ()
        n = min(n, grow(burst), count_affordable(burst, settings, goal))
        if n == 0:
            return () if burst.pending else None
        found = [task for _ in range(n) if (task := seat.take()) is not None]
        sent += len(found)
        return tuple(found) or None

    return take


def is_late(start_s: float, now_s: float, goal: Goal) -> bool:
    """Return whether ranks have had the time to show how fast they are."""
    if goal.deadline_s is None:
        return False
    return now_s - start_s > EARLY * (goal.deadline_s - start_s)


def choose_size(
    left: int, rate: float, now_s: float, settings: Settings, goal: Goal
) -> int:
    """Return how many tasks the next batch has: fewer towards the end.

    Parameters
    ----------
    left
        Tasks that nobody has taken.
    rate
        Tasks a second of all ranks.
    """
    each = rate / goal.rank_workers
    workers = settings.workers + goal.rank_workers
    n = min(int(settings.batch_s * each), left // (2 * workers))
    if goal.deadline_s is None:
        return max(1, n)
    left_s = goal.deadline_s - now_s
    n = max(1, min(n, int(each * left_s / 2)))
    return min(n, count_excess(left, rate, left_s))


def split(todo: Iterable[int], share: float) -> tuple[list[int], list[int]]:
    """Return the tasks for ranks, and those for functions."""
    tasks = [int(task) for task in todo]
    n = round(share * len(tasks))
    return tasks[: len(tasks) - n], tasks[len(tasks) - n :]
