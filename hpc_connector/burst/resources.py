"""Memory and number of functions, where the file of a burst does not say them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpc_connector.allocation.cost import MARGIN, MEM_MARGIN, Allocation, Cost
from hpc_connector.allocation.history import read_function_peaks
from hpc_connector.allocation.limits import OUT_OF_MEMORY, Policy, grow, read_policy
from hpc_connector.allocation.memory import LEAST_RUNS, size_memory
from hpc_connector.burst.config import Settings
from hpc_connector.burst.plan import count_affordable, plan_burst
from hpc_connector.errors import BadInput
from hpc_connector.options import BurstOptions

logger = logging.getLogger(__name__)

STEP_MB = 64
# Below it a function has a part of a core: a lower price, and as much more time.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
WHOLE_CORE_MB = {"aws_lambda": 1769}


def choose_resources(
    options: BurstOptions,
    out: Path | None,
    settings: Settings,
    cost: Cost,
    ranks: int,
    program: str,
) -> tuple[Settings, Policy, list[str]]:
    """Return settings with memory and number of functions, the policy, and reasons.

    Parameters
    ----------
    out
        Folder of the results of the run.
    cost
        Of what is to be run, by the formula of the program.
    ranks
        Ranks times threads; 0 where functions do all.

    Raises
    ------
    BadInput
        A policy that cannot be read.
    """
    policy = read_policy(options.policy)
    folders = options.history or ([out.parent] if out else [])
    peaks: list[float] = []
    notes: list[str] = []
    if not settings.memory_mb:
        peaks, notes = read_function_peaks(folders, program, cost, settings.backend)
    settings, of_memory = choose_memory(settings, cost, peaks, policy)
    settings, of_workers = choose_workers(
        settings,
        cost,
        ranks,
        share=options.burst_share,
        budget_eur=options.budget,
        deadline_s=options.deadline,
    )
    return settings, policy, [*notes, of_memory, of_workers]


def choose_memory(
    settings: Settings, cost: Cost, peaks: Sequence[float], policy: Policy
) -> tuple[Settings, str]:
    """Return settings with the memory of a function, and why it is that.

    Parameters
    ----------
    peaks
        Bytes of the greatest call of each recorded run, in the order they ended.
    """
    if settings.memory_mb:
        return settings, f"memory of a function: {settings.memory_mb} MB, as given"
    formula = MEM_MARGIN * (cost.node_bytes + cost.rank_bytes)
    need_mb = round_up(policy.margin * size_memory(peaks, formula))
    if len(peaks) >= LEAST_RUNS:
        why = f"by {len(peaks)} runs with peaks up to {format_mb(max(peaks))}"
    else:
        n = f"{len(peaks)} recorded runs on {settings.backend}"
        why = f"by the formula of the program: {n}, fewer than {LEAST_RUNS}"
    core_mb = round_up(WHOLE_CORE_MB.get(settings.backend, 0) << 20)
    if core_mb > need_mb:
        need_mb, why = core_mb, f"{why}; less is not a whole core"
    memory_mb = min(need_mb, get_most_mb(settings, policy))
    if memory_mb < need_mb:
        why += f"; {need_mb} MB is more than is allowed"
    why = f"memory of a function: {memory_mb} MB, {why}"
    return replace(settings, memory_mb=memory_mb), why


def round_up(n_bytes: float) -> int:
    """Return the MiB of some bytes, a multiple of ``STEP_MB``."""
    return STEP_MB * math.ceil(n_bytes / (STEP_MB << 20))


def format_mb(n_bytes: float) -> str:
    """Return some bytes in MiB, which clouds call MB."""
    return f"{n_bytes / (1 << 20):.0f} MB"


def get_most_mb(settings: Settings, policy: Policy) -> int:
    """Return the most memory of a function, MiB, by the file and by the policy."""
    by_policy = int(policy.most_mem) >> 20
    most = int(settings.most_memory_mb)
    return max(1, min(most, by_policy)) if policy.most_mem else most


def choose_workers(
    settings: Settings,
    cost: Cost,
    ranks: int,
    *,
    share: float | None = None,
    budget_eur: float | None = None,
    deadline_s: float | None = None,
) -> tuple[Settings, str]:
    """Return settings with the number of functions at a time, and why it is that.

    As few as meet the deadline, and no more than the tasks that the budget pays for.

    Parameters
    ----------
    cost
        Of what is to be run, by the formula.
    ranks
        Ranks times threads that run tasks too.
    share
        Of the tasks that functions take, None for those that are late.
    budget_eur, deadline_s
        None for none.
    """
    if settings.workers:
        return settings, f"functions at a time: {settings.workers:g}, as given"
    n, why = int(settings.most_workers), "the most, for there is no deadline"
    if deadline_s is not None:
        n, why = count_needed(settings, cost, ranks, share, deadline_s)
    chosen = replace(settings, workers=n)
    task_s = cost.cpu_s / max(cost.tasks, 1)
    if (paid := max(1, count_affordable(task_s, chosen, budget_eur))) < n:
        why = f"for the budget of {budget_eur:g} EUR pays for so many tasks"
        chosen = replace(settings, workers=paid)
    return chosen, f"functions at a time: {chosen.workers}, {why}"


def count_needed(
    settings: Settings, cost: Cost, ranks: int, share: float | None, deadline_s: float
) -> tuple[int, str]:
    """Return how many functions meet a deadline, and that in words.

    Also where tasks take ``MARGIN`` times what the formula of the program says, for
    they run on other processors. A number that is not used costs nothing.

    Parameters
    ----------
    cost
        Of what is to be run, by the formula.
    ranks
        Ranks times threads that run tasks too.
    share
        Of the tasks that functions take, None for those that are late.
    """
    slow = replace(cost, cpu_s=MARGIN * cost.cpu_s)

    def get_end_s(n: int) -> float:
        chosen = replace(settings, workers=n)
        plan = plan_burst(slow, ranks, chosen, share=share, deadline_s=deadline_s)
        return plan.functions_end_s

    most = int(settings.most_workers)
    for n in range(1, most + 1):
        if get_end_s(n) <= deadline_s:
            return n, f"which meet the deadline, if tasks take {MARGIN:g} times as long"
    return most, "the most, and even so the deadline is missed"


def grow_memory(
    settings: Settings, policy: Policy, given_mb: int, attempt: int
) -> int | None:
    """Return the memory to give after a function ran out, None where it had most.

    By the rule of the policy for jobs, ``after_out_of_memory``; in MiB.

    Parameters
    ----------
    attempt
        How many functions with the same tasks have run out of it, 1 or more.
    """
    most_mb = get_most_mb(settings, policy)
    capped = replace(policy, most_mem=float(most_mb << 20))
    asked = Allocation(mem_bytes=given_mb << 20)
    try:
        grown = grow(capped, asked, OUT_OF_MEMORY, attempt=attempt)
    except BadInput as error:
        logger.warning("functions: %s", error)
        return None
    memory_mb = min(round_up(grown.mem_bytes), most_mb)
    logger.info("a function of %d MB ran out: %d MB", given_mb, memory_mb)
    return memory_mb
