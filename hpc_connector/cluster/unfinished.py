"""The runs of an array that have not ended well, and that no job works on."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from hpc_connector.cluster.array import Element, say_some
from hpc_connector.cluster.queue import OVER, ask_queue, find_job
from hpc_connector.cluster.record import read_job
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, is_complete, read_manifest

logger = logging.getLogger(__name__)


def list_unfinished(elements: Sequence[Element]) -> list[Element]:
    """Return the elements that are to be run again, and say what is left out."""
    left = [element for element in elements if not is_done(element.out)]
    queued = list_queued(left)
    again = [element for element in left if element not in queued]
    if queued:
        names = say_some([element.dataset for element in queued])
        logger.info("left out, for they are queued or running: %s", names)
    said = (
        f"{len(elements) - len(left):,} of {len(elements):,} datasets have ended well"
    )
    logger.info(
        "%s, %s", said, f"{len(again):,} are to run" if again else "none is left"
    )
    return again


def is_done(out: Path) -> bool:
    """Return whether a run has left nothing to do."""
    if not (out / NAME).exists():
        return False
    record = read_manifest(out)
    return record.get("status") == "done" and is_complete(out, record)


def list_queued(elements: Sequence[Element]) -> list[Element]:
    """Return the elements whose last job Slurm has still to end."""
    jobs = [find_last_job(element.out) for element in elements]
    found = ask_queue(filter(None, jobs))
    if found is None:
        logger.warning("squeue does not say which of them are queued or running")
        return []
    pairs = zip(elements, (find_job(found, job) for job in jobs), strict=True)
    return [element for element, job in pairs if job and job.state not in OVER]


def find_last_job(out: Path) -> str:
    """Return the number of the last job of a run, empty if there was none."""
    with contextlib.suppress(BadInput):
        return str(read_job(out).get("job", ""))
    return str(read_manifest(out).get("job", "")) if (out / NAME).exists() else ""
