"""How far a run is: how many tasks it has, and how many of them its ledger holds."""

import math
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.manifest import save_manifest
from hpc_connector.run_record import RunRecord
from hpc_connector.storage.address import ENCRYPTED

FEW = 3  # tasks of each thread: the first ones wait for kernels to be compiled


class Progress(NamedTuple):
    """The tasks of a run.

    Parameters
    ----------
    tasks
        All that there are.
    done
        Those that the ledger holds, of all attempts.
    left_s
        Seconds that the rest takes at the rate of this attempt; None before it has
        recorded some.
    """

    tasks: int
    done: int
    left_s: float | None


def begin_tasks(out: Path, record: RunRecord, n_tasks: int, n_done: int) -> None:
    """Keep in the manifest how many tasks there are, as the first of them begin.

    Parameters
    ----------
    n_done
        Tasks that earlier attempts have done.
    """
    since_s = round(time.time(), 3)
    record["progress"] = {"tasks": n_tasks, "done_before": n_done, "since_s": since_s}
    save_manifest(out, record)


def read_progress(out: Path, record: RunRecord) -> Progress | None:
    """Return how far a run is; None where it has not come to its tasks.

    Nor is it known where the ledger is encrypted.

    Parameters
    ----------
    record
        The manifest.
    """
    begun: Any = record.get("progress")
    try:
        n_tasks, before = int(begun["tasks"]), int(begun["done_before"])
        since_s = float(begun["since_s"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    if not (0 <= before <= n_tasks and math.isfinite(since_s)):
        return None
    if record.get("status") == "done":
        return Progress(n_tasks, n_tasks, 0.0)
    if any(out.glob(f"ledger/*{ENCRYPTED}")):
        return None
    files = list(read_finished(out / "ledger"))
    n_done = min(len(set().union(*(tasks for tasks, _ in files))), n_tasks)
    here = [saved_s for _, saved_s in files if saved_s > since_s]
    n_left, n_here = n_tasks - n_done, n_done - before
    if n_left and n_here < FEW * max(len(here), 1):
        return Progress(n_tasks, n_done, None)
    took_s = max(here, default=since_s) - since_s
    return Progress(n_tasks, n_done, n_left * took_s / max(n_here, 1))


def read_finished(ledger: Path) -> Iterator[tuple[set[int], float]]:
    """Yield the tasks that each file of a ledger has, and when it was saved.

    What was found is not read; a file that is damaged, or renamed now, is left out.
    """
    for path in ledger.glob("*.npz"):
        try:
            with np.load(path) as arrays:
                yield set(arrays["finished"].tolist()), path.stat().st_mtime
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
