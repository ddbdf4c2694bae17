"""Which tasks go to functions, and how many at a time: deadline, budget, share."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpc_connector.burst.config import Settings
from hpc_connector.burst.overflow import Batch, Burst
from hpc_connector.pipeline import Seat

MARGIN = 0.9  # of what ranks are expected to do until the deadline
BATCHES_EACH = 4  # a function, where the number of tasks is known
EARLY = 0.1  # of the time until the deadline, in which ranks show how fast they are


@dataclass(frozen=True)
class Aim:
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


def get_cost(burst: Burst, settings: Settings) -> float:
    """Return what functions have cost so far, in EUR, those under way included."""
    now_s = time.monotonic()
    away_s = sum(now_s - f.sent_s for f in burst.flying.values())
    seconds = burst.books.function_s + away_s
    return settings.get_cost_eur(seconds, burst.books.calls) or 0.0


def is_affordable(burst: Burst, settings: Settings, aim: Aim, more: int) -> bool:
    """Return whether some more tasks in a function stay within the budget."""
    if aim.budget_eur is None:
        return True
    done = burst.books.tasks_done
    each_s = burst.books.function_s / done if done else 0.0
    waiting_s = sum(each_s * len(f.tasks) for f in burst.flying.values())
    next_s = burst.books.function_s + waiting_s + each_s * more
    cost = settings.get_cost_eur(next_s, burst.books.calls + 1) or 0.0
    return max(cost, get_cost(burst, settings)) <= aim.budget_eur


def take_reserved(
    reserved: list[int], settings: Settings, aim: Aim
) -> Callable[[Burst], Batch | None]:
    """Return what takes batches of tasks that are for functions alone."""
    n = max(1, -(-len(reserved) // (BATCHES_EACH * settings.workers)))

    def take(burst: Burst) -> Batch | None:
        if not reserved or not is_affordable(burst, settings, aim, n):
            return None
        batch = tuple(reserved[:n])
        del reserved[:n]
        return batch

    return take


def take_overflow(
    seat: Seat, total: int, settings: Settings, aim: Aim
) -> Callable[[Burst], Batch | None]:
    """Return what takes the tasks that ranks would not do in time.

    Without a deadline, that is what functions can do while ranks do the rest.
    """
    start_s = time.monotonic()
    away = 0

    def take(burst: Burst) -> Batch | None:
        nonlocal away
        now_s, taken = time.monotonic(), seat.count_taken()
        left = total - taken
        if left <= 0:
            return None
        by_ranks = taken - away
        if by_ranks <= aim.rank_workers and not is_late(start_s, now_s, aim):
            return ()  # none is done: nobody knows how fast ranks are
        rate = max(by_ranks - aim.rank_workers / 2, 0.5) / max(now_s - start_s, 1e-3)
        n = choose_size(left, rate / aim.rank_workers, settings, aim)
        if aim.deadline_s is not None:
            n = min(n, count_excess(left, rate, aim.deadline_s - now_s))
        if n == 0:
            return ()
        if not is_affordable(burst, settings, aim, n):
            return None
        found = [task for _ in range(n) if (task := seat.take()) is not None]
        away += len(found)
        return tuple(found) or None

    return take


def is_late(start_s: float, now_s: float, aim: Aim) -> bool:
    """Return whether ranks have had the time to show how fast they are."""
    if aim.deadline_s is None:
        return False
    return now_s - start_s > EARLY * (aim.deadline_s - start_s)


def choose_size(left: int, rate: float, settings: Settings, aim: Aim) -> int:
    """Return how many tasks the next batch has: fewer towards the end.

    Parameters
    ----------
    rate
        Tasks a second of one worker.
    """
    workers = settings.workers + aim.rank_workers
    by_time = int(settings.batch_s * rate)
    return max(1, min(by_time, left // (2 * workers)))


def split(todo: Iterable[int], share: float) -> tuple[list[int], list[int]]:
    """Return the tasks for ranks, and those for functions."""
    tasks = [int(task) for task in todo]
    n = round(share * len(tasks))
    return tasks[: len(tasks) - n], tasks[len(tasks) - n :]
