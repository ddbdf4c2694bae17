"""The job of a run: what ``submit`` keeps of it in the folder of the results."""

import json
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish

JOB = "job.json"
FORMAT_VERSION = 1


def save_job(out: Path, record: dict[str, Any]) -> None:
    """Write ``job.json``, published by rename."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION} | record, indent=2)
    with publish(out / JOB) as stream:
        stream.write(f"{text}\n".encode())


def read_job(out: Path) -> dict[str, Any]:
    """Return the job of a run.

    Raises
    ------
    BadInput
        There is none, or it cannot be read.
    """
    path = out / JOB
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read as a job: {error}") from None
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        raise BadInput(f"{path}: expected a job of format version {FORMAT_VERSION}")
    return record
