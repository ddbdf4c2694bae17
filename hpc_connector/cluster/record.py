"""What was submitted for a folder of results: ``job.json`` in it."""

import logging
import math
import re
from pathlib import Path
from typing import Any

from hpc_connector.cli import find_out
from hpc_connector.cluster.batch import Job
from hpc_connector.cluster.site import Site
from hpc_connector.manifest import get_time, read_record, save_record

logger = logging.getLogger(__name__)

NAME = "job.json"


def save_job(out: Path, record: dict[str, Any]) -> None:
    """Write the record of a job into the folder of its results, which is made."""
    out.mkdir(parents=True, exist_ok=True)
    save_record(out / NAME, record, "open")


def read_job(out: Path) -> dict[str, Any]:
    """Return the record of the last job that was submitted for a folder.

    See :func:`hpc_connector.manifest.read_record` for what is raised.
    """
    none = f"{out}: no job was submitted for it"
    return read_record(out / NAME, "the record of a job", none)


def record_jobs(number: str, job: Job, site: Site) -> None:
    """Write the record of a job that was submitted, of each element of an array."""
    indices = map(str, job.indices or ("",))
    for index, words in zip(indices, job.arguments or (), strict=True):
        out = find_out(list(words))
        if out is None:
            continue
        try:
            save_job(out, make_record(number, index, job, words, site))
        except OSError as error:
            logger.warning("%s is not written here: %s", out / NAME, error.strerror)


def make_record(
    number: str, index: str, job: Job, words: tuple[str, ...], site: Site
) -> dict[str, Any]:
    """Return the record of a job, or of an element of an array.

    Parameters
    ----------
    number, index
        Of the job, and of the element; empty without an array.
    words
        Arguments of the program.
    """
    values = {"%x": job.program, "%j": number, "%A": number, "%a": index}
    log = re.sub("%[xjAa]", lambda found: values[found[0]], job.output)
    return {
        "job": f"{number}_{index}" if index else number,
        "program": job.program,
        "arguments": list(words),
        "log": str(Path.cwd() / log),
        "folder": str(Path.cwd()),
        "submitted": get_time(),
        "asked": {
            "nodes": job.nodes,
            "ntasks_per_node": job.ntasks_per_node,
            "cpus_per_task": job.cpus_per_task,
            "mem_bytes": job.mem_bytes if math.isfinite(job.mem_bytes) else 0,
            "time_s": job.time_s if math.isfinite(job.time_s) else 0,
            "qos": site.qos,
            "partition": site.slurm_partition,
            "account": site.account,
        },
    }
