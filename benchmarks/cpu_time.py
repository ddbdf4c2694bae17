"""CPU seconds, as several benchmarks measure them."""

import resource
import time
from collections.abc import Callable


def get_best_s(work: Callable[[], object], n: int = 3) -> float:
    """Return the least CPU seconds of some calls, in this process and its children."""
    times = []
    for _ in range(n):
        before = time.process_time() + get_children_s()
        work()
        times.append(time.process_time() + get_children_s() - before)
    return min(times)


def get_children_s() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
