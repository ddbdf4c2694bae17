"""What a run used, summed over ranks."""

import logging
import resource
import time
from collections.abc import Sequence
from typing import Any

from hpc_connector.partitioner.shared_memory import get_node
from hpc_connector.pipeline.ranks import TASK_CPU_S
from hpc_connector.storage.traffic import get_traffic

logger = logging.getLogger(__name__)


def get_resources(
    comm: Any, threads: int, start_s: float, inputs: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return what the run used, summed over ranks.

    Parameters
    ----------
    inputs
        As the manifest describes them. Of objects, it counts what was not fetched.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = usage.ru_utime + usage.ru_stime
    used = comm.allgather((cpu_s, TASK_CPU_S[0], usage.ru_maxrss * 1024))
    fetched = [sum(n) for n in zip(*comm.allgather(get_traffic()), strict=True)]
    _, _, nodes = get_node(comm)
    found = {
        "ranks": comm.size,
        "nodes": nodes,
        "threads": threads,
        "wall_s": round(time.time() - start_s, 3),
        "cpu_s": round(sum(cpu for cpu, _, _ in used), 3),
        "task_cpu_s": round(sum(task for _, task, _ in used), 3),
        "max_rss_bytes": max(rss for _, _, rss in used),
    }
    if fetched[0]:
        total = sum(one["bytes"] for one in inputs if "etag" in one)
        found |= dict(zip(("fetch_requests", "fetched_bytes"), fetched, strict=True))
        found["avoided_bytes"] = max(total - fetched[1], 0)
    return found


def say_fetched(used: dict[str, Any]) -> None:
    """Log how much of the objects was fetched, if there were any."""
    if "fetched_bytes" in used:
        fetched, requests = used["fetched_bytes"], used["fetch_requests"]
        total = fetched + used["avoided_bytes"]
        said = "fetched %.1f of %.1f MB of the objects, in %d requests"
        logger.info(said, fetched / 1e6, total / 1e6, requests)
