"""Datasets of an array that are alike enough to ask for the same."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from hpc_connector.allocation.ask import ask_each, get_cost
from hpc_connector.allocation.cost import LEAST_S, MARGIN, Allocation, Cost
from hpc_connector.cluster.array import SHOWN, Element, say_some
from hpc_connector.cluster.site import Site
from hpc_connector.errors import BadInput

ALIKE = 4.0  # times the time, or the memory, of another


def list_costs(
    program: str,
    elements: Sequence[Element],
    site: Site,
    show: Callable[[int, int], None] | None = None,
) -> list[Cost]:
    """Return the cost of each element; the program looks at every dataset.

    If it refuses all of the first few, others are not looked at: most likely that is
    for what all have in common.

    Parameters
    ----------
    show
        Is told how many elements were looked at, of how many.

    Raises
    ------
    BadInput
        Datasets that it refuses.
    """

    def ask(element: Element) -> Cost:
        return get_cost(program, element.arguments, site)

    found: list[Cost | BadInput] = []
    with closing(ask_each(ask, elements)) as answers:
        for answer in answers:
            found.append(answer)
            if show:
                show(len(found), len(elements))
            n_bad = sum(isinstance(one, BadInput) for one in found[:SHOWN])
            if n_bad == len(found) == SHOWN:
                break
    bad = [
        (element.where, str(answer))
        for element, answer in zip(elements, found, strict=False)
        if isinstance(answer, BadInput)
    ]
    if bad:
        raise BadInput(f"{say_why(bad)}: nothing is submitted")
    return [cost for cost in found if isinstance(cost, Cost)]


def say_why(bad: Sequence[tuple[str, str]]) -> str:
    """Return why some elements are refused, once if it is for the same reason."""
    if len(bad) > 1 and len({why for _, why in bad}) == 1:
        return bad[0][1]
    return say_some([f"{where}: {why}" for where, why in bad], "; ")


def group_elements(
    elements: Sequence[Element], costs: Sequence[Cost]
) -> list[tuple[list[Element], Cost]]:
    """Return elements that may ask for the same, and a cost that covers each."""
    groups = []
    for group in group_alike(costs):
        alike = [elements[k] for k in group]
        names = [element.dataset for element in alike]
        groups.append((alike, join_costs(names, [costs[k] for k in group])))
    return groups


def group_alike(costs: Sequence[Cost]) -> list[list[int]]:
    """Return which runs may ask for the same, those of the largest first.

    None of a group takes over ``ALIKE`` times less than its largest, so that small
    datasets do not wait for what a large one needs.
    """
    left = sorted(range(len(costs)), key=lambda k: -get_core_s(costs[k]))
    groups = []
    while left:
        first = costs[left[0]]
        groups.append(sorted(k for k in left if is_alike(costs[k], first)))
        left = [k for k in left if not is_alike(costs[k], first)]
    return groups


def is_alike(cost: Cost, largest: Cost) -> bool:
    """Return whether a run takes about what the largest of its group does.

    No job is given less time than ``LEAST_S``.
    """
    less, more = sorted((get_memory(cost), get_memory(largest)))
    return more <= ALIKE * less and get_core_s(largest) <= ALIKE * max(
        get_core_s(cost), LEAST_S / MARGIN
    )


def get_core_s(cost: Cost) -> float:
    """Return the time of a run on one core."""
    return cost.cpu_s + cost.serial_s


def get_memory(cost: Cost) -> int:
    """Return the memory of a run of one rank."""
    return cost.node_bytes + cost.rank_bytes


def join_costs(names: Sequence[str], costs: Sequence[Cost]) -> Cost:
    """Return a cost that covers each of several runs: the largest in every figure.

    There are as many tasks as leave the longest of all tasks as long as it is, and as
    much memory that ranks share as the run needs that needs most with one rank.
    """
    largest = max(costs, key=get_core_s)
    most_s = max(cost.cpu_s for cost in costs)
    longest_s = max(cost.cpu_s / max(cost.tasks, 1) for cost in costs)
    tasks = math.floor(round(most_s / longest_s, 6)) if longest_s else largest.tasks
    rank_bytes = max(cost.rank_bytes for cost in costs)
    return replace(
        largest,
        cpu_s=most_s,
        serial_s=max(cost.serial_s for cost in costs),
        node_bytes=max(map(get_memory, costs)) - rank_bytes,
        rank_bytes=rank_bytes,
        more_bytes=max(cost.more_bytes for cost in costs),
        tasks=tasks,
        reasons=(say_largest(names, costs), *largest.reasons),
    )


def say_largest(names: Sequence[str], costs: Sequence[Cost]) -> str:
    """Return by which of some datasets they are sized."""
    if len(names) == 1:
        return f"sized by {names[0]}"
    each = range(len(names))
    slowest = max(each, key=lambda k: get_core_s(costs[k]))
    widest = max(each, key=lambda k: get_memory(costs[k]))
    by_memory = ""
    if get_memory(costs[widest]) > get_memory(costs[slowest]):
        by_memory = f", memory by {names[widest]}"
    return f"sized by {names[slowest]}{by_memory}, the largest of {len(names):,}"


def cover(chosen: Allocation, others: Sequence[Allocation]) -> Allocation:
    """Return an allocation with the most memory and time that others say, and why."""
    widest = max(others, key=lambda other: other.mem_bytes)
    longest = max(others, key=lambda other: other.time_s)
    reasons = dict.fromkeys((*chosen.reasons, *widest.reasons, *longest.reasons))
    return replace(
        chosen,
        mem_bytes=widest.mem_bytes,
        time_s=longest.time_s,
        reasons=tuple(reasons),
    )
