"""What a run used, summed over ranks."""

import logging
import resource
import time
from collections.abc import Sequence
from typing import NamedTuple

from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.shared_memory import get_node
from hpc_connector.pipeline.ranks import task_clock
from hpc_connector.run_record import Input, Resources
from hpc_connector.storage.traffic import get_traffic
from hpc_connector.telemetry.watch.proc import parse_peak

logger = logging.getLogger(__name__)


class Usage(NamedTuple):
    """What this process has used so far.

    Parameters
    ----------
    cpu_s, task_cpu_s
        CPU seconds of all threads; those in tasks.
    requests, n_bytes
        To stores of objects, and received from them.
    """

    cpu_s: float = 0.0
    task_cpu_s: float = 0.0
    requests: int = 0
    n_bytes: int = 0

    def since(self, then: "Usage") -> "Usage":
        """Return the usage after a time."""
        return Usage(*(a - b for a, b in zip(self, then, strict=True)))  # type: ignore


def read_usage() -> Usage:
    """Return the usage of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(used.ru_utime + used.ru_stime, task_clock.cpu_s, *get_traffic())


def read_peak_bytes() -> int:
    """Return the most that this process has held in memory.

    ``ru_maxrss`` would be that of the process that started it, where it is greater.
    """
    try:
        with open("/proc/self/status", "rb") as stream:
            mark = parse_peak(stream.read())
    except OSError:
        mark = 0
    return mark or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def get_resources(
    comm: Communicator,
    threads: int,
    start_s: float,
    inputs: Sequence[Input] = (),
    since: Usage = Usage(),  # noqa: B008
) -> Resources:
    """Return the resources of a run, summed over ranks.

    Parameters
    ----------
    inputs
        As the manifest describes them. Of objects, it counts what was not fetched.
    since
        What this process had used when the run began; nothing, where it was started
        for the run.
    """
    used: list[Usage] = comm.allgather(read_usage().since(since))
    _, _, nodes = get_node(comm)
    found: Resources = {
        "ranks": comm.size,
        "nodes": nodes,
        "threads": threads,
        "wall_s": round(time.time() - start_s, 3),
        "cpu_s": round(sum(each.cpu_s for each in used), 3),
        "task_cpu_s": round(sum(each.task_cpu_s for each in used), 3),
        "max_rss_bytes": max(comm.allgather(read_peak_bytes())),
    }
    return found | count_fetched(used, inputs)


def count_fetched(used: Sequence[Usage], inputs: Sequence[Input]) -> Resources:
    """Return how much of the objects was fetched by all ranks; nothing without any."""
    requests, n_bytes = (sum(each) for each in list(zip(*used, strict=True))[2:])
    objects = [one["bytes"] for one in inputs if "etag" in one]
    if not requests or not objects:
        return {}
    total = sum(objects)
    return {
        "fetch_requests": requests,
        "fetched_bytes": n_bytes,
        "avoided_bytes": max(total - n_bytes, 0),
    }


def say_fetched(used: Resources) -> None:
    """Log how much of the objects was fetched, if there were any."""
    if "fetched_bytes" in used:
        fetched, requests = used["fetched_bytes"], used["fetch_requests"]
        total = fetched + used["avoided_bytes"]
        said = "fetched %.1f of %.1f MB of the objects, in %d requests"
        logger.info(said, fetched / 1e6, total / 1e6, requests)
