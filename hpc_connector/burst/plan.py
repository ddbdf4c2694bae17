"""What would go to functions and what stays with the ranks, before a run, and why."""

import math
import sys
from dataclasses import dataclass

from hpc_connector.allocation.cost import Cost
from hpc_connector.burst.batching import BATCHES_EACH, MARGIN, count_excess
from hpc_connector.burst.config import Settings

START_S = 5.0  # of a function: its container, Python, kernels


@dataclass(frozen=True)
class Plan:
    """How the tasks of a run are dealt, and what comes of it.

    Times are seconds from the start of the run; without ranks, ``ranks_end_s`` is 0.
    """

    tasks_here: int
    tasks_away: int
    ranks_alone_s: float
    ranks_end_s: float
    functions_end_s: float
    function_s: float
    cost_eur: float | None
    meets_deadline: bool
    reasons: tuple[str, ...]

    @property
    def end_s(self) -> float:
        """When the run ends."""
        return max(self.ranks_end_s, self.functions_end_s)


def plan_burst(
    cost: Cost,
    workers: int,
    settings: Settings,
    *,
    share: float | None = None,
    budget_eur: float | None = None,
    deadline_s: float | None = None,
) -> Plan:
    """Deal the tasks of a run to ranks and functions as a burst would.

    Parameters
    ----------
    workers
        Ranks times threads; 0 where functions do all (``--engine lithops``).
    share
        Of the tasks that is for functions, None to let deadline and budget say.
    """
    task_s = cost.cpu_s / max(cost.tasks, 1)
    alone_s = cost.serial_s + cost.cpu_s / workers if workers else math.inf
    remote, why = _choose(cost, workers, settings, share, deadline_s)
    reasons = [*cost.reasons, _say_alone(alone_s, workers, deadline_s), why]
    most = count_affordable(task_s, settings, budget_eur)
    if most < remote:
        reasons.append(f"the budget of {budget_eur:g} EUR pays for {most} tasks")
        remote = most
    here = cost.tasks - remote
    functions = min(settings.workers, remote)
    calls = min(remote, BATCHES_EACH * settings.workers)
    function_s = remote * task_s + calls * START_S
    here_s = cost.serial_s + here * task_s / max(workers, 1) if here else 0.0
    remote_s = cost.serial_s + function_s / functions if remote else 0.0
    reasons += _advise(remote_s, function_s, deadline_s, cost.serial_s)
    return Plan(
        here,
        remote,
        alone_s,
        here_s,
        remote_s,
        function_s,
        settings.get_cost_eur(function_s * settings.memory_mb / 1024, calls),
        deadline_s is None or max(here_s, remote_s) <= deadline_s,
        tuple(reasons),
    )


def _choose(
    cost: Cost,
    workers: int,
    settings: Settings,
    share: float | None,
    deadline_s: float | None,
) -> tuple[int, str]:
    """Return how many tasks go to functions, and why."""
    if not workers:
        return cost.tasks, "--engine lithops: functions do all tasks"
    if share:
        return round(share * cost.tasks), f"--burst-share: {share:.0%} of the tasks"
    if deadline_s is not None:
        rate = workers * cost.tasks / max(cost.cpu_s, 1e-9)
        n = count_excess(cost.tasks, rate, deadline_s - cost.serial_s)
        return (
            n,
            f"what ranks do not do in {MARGIN:.0%} of the time goes away: {n} tasks",
        )
    everybody = workers + settings.workers
    n = cost.tasks * settings.workers // everybody
    return n, f"no deadline: {settings.workers} of {everybody} workers are functions"


def _say_alone(alone_s: float, workers: int, deadline_s: float | None) -> str:
    """Return the time that ranks would take alone, in words."""
    if not workers:
        return "there are no ranks"
    until = "" if deadline_s is None else f", and the deadline is {deadline_s:,.0f} s"
    return f"{workers} workers of ranks would take {alone_s:,.0f} s{until}"


def count_affordable(
    task_s: float, settings: Settings, budget_eur: float | None
) -> int:
    """Return how many tasks a budget pays for."""
    if budget_eur is None:
        return sys.maxsize
    calls = BATCHES_EACH * settings.workers
    gb = settings.memory_mb / 1024
    each, start = (settings.get_cost_eur(s * gb, 0) or 0.0 for s in (task_s, START_S))
    start += settings.eur_per_call
    if each + start == 0.0:
        return sys.maxsize
    n = int(MARGIN * budget_eur / (each + start))  # where each has a call of its own
    if n > calls and each:
        n = max(calls, int((MARGIN * budget_eur - calls * start) / each))
    return n


def _advise(
    remote_s: float, function_s: float, deadline_s: float | None, serial_s: float
) -> list[str]:
    """Return how many functions would meet a deadline that is missed."""
    if deadline_s is None or remote_s <= deadline_s:
        return []
    left_s = deadline_s - serial_s - START_S
    if left_s <= 0:
        return ["no number of functions meets this deadline"]
    return [f"{math.ceil(function_s / left_s)} functions would meet the deadline"]
