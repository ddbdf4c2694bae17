"""How far a run is: how many tasks it has, and how many of them its ledger holds."""

import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.manifest import save_manifest

KEY = "progress"  # of the manifest


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
        recorded any.
    """

    tasks: int
    done: int
    left_s: float | None


def begin_tasks(out: Path, record: dict[str, Any], n_tasks: int, n_done: int) -> None:
    """Keep in the manifest how many tasks there are, as the first of them begin.

    Parameters
    ----------
    n_done
        Tasks that earlier attempts have done.
    """
    since_s = round(time.time(), 3)
    record[KEY] = {"tasks": n_tasks, "done_before": n_done, "since_s": since_s}
    save_manifest(out, record)


def read_progress(out: Path, record: dict[str, Any]) -> Progress | None:
    """Return how far a run is; None where it has not come to its tasks.

    Parameters
    ----------
    record
        The manifest.
    """
    begun = record.get(KEY)
    try:
        n_tasks, before = int(begun["tasks"]), int(begun["done_before"])
        since_s = float(begun["since_s"])
    except (TypeError, KeyError, ValueError):
        return None
    if record.get("status") == "done":
        return Progress(n_tasks, n_tasks, 0.0)
    done, last_s = read_finished(out / "ledger")
    n_done, took_s = min(len(done), n_tasks), last_s - since_s
    if n_done <= before or took_s <= 0:
        return Progress(n_tasks, n_done, None if n_done < n_tasks else 0.0)
    rate = (n_done - before) / took_s
    return Progress(n_tasks, n_done, max(0.0, (n_tasks - n_done) / rate))


def read_finished(ledger: Path) -> tuple[set[int], float]:
    """Return the tasks in a ledger, and the Unix time at which it last grew.

    What was found is not read; a file that is damaged, or renamed now, is left out.
    """
    finished: set[int] = set()
    last_s = 0.0
    for path in ledger.glob("*.npz"):
        try:
            with np.load(path) as arrays:
                finished.update(arrays["finished"].tolist())
            last_s = max(last_s, path.stat().st_mtime)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
    return finished, last_s
