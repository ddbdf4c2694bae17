"""CPU time from counters that begin again: one rule for all who read telemetry.

A counter that steps down has begun again at 0, and has counted what it shows now. Only
where that is more than could be used in the time since is it none that begins again:
a sum over processes has lost one that ended, and what is left is old.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hpc_connector.telemetry.watch.proc import TICK_S, get_increases

SLACK = 2.0  # on the most cores seen in use, for times that are not exact


def get_cpu_steps(cpu_s: Sequence[float], clock_s: Sequence[float]) -> list[float]:
    """Return the CPU time from each reading of a counter to the next, never below 0.

    Parameters
    ----------
    cpu_s, clock_s
        The counter, and when it was read; n values each.

    Returns
    -------
    n - 1 values. A counter that begins again may show what one core can use in the
    time, or the most cores that were in use between two other readings.

    Examples
    --------
    >>> get_cpu_steps([5.0, 7.0, 1.0, 4.0], [0, 1, 2, 3])
    [2.0, 1.0, 3.0]
    >>> get_cpu_steps([18.0, 20.0, 10.0, 12.0], [0, 1, 2, 3])
    [2.0, 0.0, 2.0]
    """
    steps, times = get_increases(cpu_s), [b - a for a, b in itertools.pairwise(clock_s)]
    is_fall = [b < a for a, b in itertools.pairwise(cpu_s)]
    readings = list(zip(steps, times, is_fall, strict=True))
    usual = [step / time for step, time, fall in readings if time > 0 and not fall]
    cores = SLACK * max([1.0, *usual])
    return [
        0.0 if fall and step > cores * max(time, 0) + TICK_S else step
        for step, time, fall in readings
    ]


def get_cpu_s(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Return the CPU time until each row of a rank or a node, over all its processes.

    Parameters
    ----------
    rows
        With "pid", "cpu_s" and "clock_s". Another process has a counter of its own.
    """
    lives: dict[Any, list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        lives[row["pid"]].append(k)
    gained = [0.0] * len(rows)
    for places in lives.values():
        counter = [rows[k]["cpu_s"] for k in places]
        clock_s = [rows[k]["clock_s"] for k in places]
        steps = [counter[0], *get_cpu_steps(counter, clock_s)]
        for k, step in zip(places, steps, strict=True):
            gained[k] = step
    return list(itertools.accumulate(gained))
