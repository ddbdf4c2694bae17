"""A result takes the place of the one before it, file by file."""

import shutil
from pathlib import Path
from typing import Any

from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.run_record import RunRecord

OURS = ("attempt", "job", "jobs", "slurm", "started", "command", "parameters")


def publish_result(
    folder: Path, out: Path, record: RunRecord, *, is_final: bool
) -> None:
    """Move the files of a search to where results are, each by rename.

    The manifest comes last. That of a growing result says that the run goes on.

    Parameters
    ----------
    folder
        Of the search.
    record
        Of the whole run, whose beginning and parameters are kept.
    """
    found = read_manifest(folder)
    for name in found["outputs"]:
        target = out / name
        if target.is_dir():  # which a folder cannot replace
            shutil.rmtree(target)
        (folder / name).replace(target)
    own = {name: value for name, value in record.items() if name in OURS}
    merged: Any = found | own
    if not is_final:
        merged |= {"status": "running"}
        merged.pop("progress")  # of that search
    save_manifest(out, merged)
    if is_final:
        shutil.rmtree(out / "ledger", ignore_errors=True)  # last: now it is complete
