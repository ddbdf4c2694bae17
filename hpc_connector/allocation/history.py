"""Runs that were recorded, from the manifests in their folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hpc_connector.allocation.cost import Cost
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.run_record import RunRecord


@dataclass(frozen=True)
class Run:
    """A run that has ended, and what the formula of its program said before.

    Parameters
    ----------
    wall_s
        From the start of the job, where Slurm said so, else of the program.
    cpu_s
        Of all ranks.
    max_rss_bytes
        Of the rank that had most, with what it shares with others of its node.
    """

    folder: Path
    program: str
    finished: str
    plan: Cost
    ranks: int
    nodes: int
    threads: int
    wall_s: float
    cpu_s: float
    max_rss_bytes: int


def read_history(folders: Iterable[Path], program: str) -> tuple[list[Run], list[str]]:
    """Return the runs of a program, by the time they ended, and what was left out.

    Parameters
    ----------
    folders
        Of runs, or that hold such folders.

    Returns
    -------
    The runs, and why others are not among them, a phrase each.
    """
    runs, skipped = [], []
    for folder in find_runs(folders):
        try:
            record = read_manifest(folder)
            if record.get("program") == program:
                runs.append(make_run(folder, record))
        except BadInput as error:
            skipped.append(str(error))
    return sorted(runs, key=lambda run: (run.finished, str(run.folder))), skipped


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Return the folders with a manifest: these themselves, and those in them."""
    found = {
        path.parent.resolve()
        for folder in folders
        for pattern in (NAME, f"*/{NAME}")
        for path in folder.glob(pattern)
    }
    return sorted(found)


def make_run(folder: Path, record: RunRecord) -> Run:
    """Return a run from its manifest.

    Raises
    ------
    BadInput
        It did not end in one go on its ranks alone, or figures are missing or no
        numbers.
    """
    if record.get("status") != "done":
        raise BadInput(f"{folder} has not ended: status {record.get('status')!r}")
    if record.get("attempt", 1) != 1 or "burst" in record:
        raise BadInput(f"{folder} ran in several attempts, or partly elsewhere")
    if "plan" not in record:
        raise BadInput(f"{folder} has no plan to compare it by")
    try:
        used = record["resources"]
        plan = Cost(**record["plan"] | {"reasons": ()})
        run = Run(
            folder,
            record["program"],
            str(record.get("finished", "")),
            plan,
            int(used["ranks"]),
            int(used["nodes"]),
            int(used["threads"]),
            max(float(used["wall_s"]), get_elapsed_s(record)),
            float(used["cpu_s"]),
            int(used["max_rss_bytes"]),
        )
        sizes = (run.ranks, run.threads, run.nodes, run.max_rss_bytes)
        figures = (*sizes, run.wall_s, run.cpu_s, plan.cpu_s)
        if min(figures) <= 0:
            raise ValueError(f"{min(figures)} is no size or time")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder / NAME}: damaged figures: {error!r}") from None
    return run


def get_elapsed_s(record: RunRecord) -> float:
    """Return how long Slurm says the job took, 0 if it says nothing."""
    jobs = [job for job in record.get("slurm", []) if job["state"] == "COMPLETED"]
    return float(jobs[-1]["elapsed_s"]) if len(jobs) == 1 else 0.0


def read_function_peaks(
    folders: Iterable[Path], program: str, cost: Cost, backend: str
) -> tuple[list[float], list[str]]:
    """Return the peaks of a program's functions, by the time their runs ended.

    One for each run: its greatest call. That of a run which its formula says was
    smaller is taken as much larger.

    Parameters
    ----------
    cost
        Of the run to come.
    backend
        Of Lithops: elsewhere kernels may have been compiled before, or not.

    Returns
    -------
    Bytes, and why runs with functions are not among them, a phrase each.
    """
    peaks, skipped = [], []
    for folder in find_runs(folders):
        try:
            record = read_manifest(folder)
            found = record.get("program"), record.get("status"), "burst" in record
            if found == (program, "done", True):
                peak = get_function_peak(folder, record, cost, backend)
                peaks.append((str(record.get("finished", "")), str(folder), peak))
        except BadInput as error:
            skipped.append(f"left out: {error}")
    return [peak for *_, peak in sorted(peaks) if peak], skipped


def get_function_peak(
    folder: Path, record: RunRecord, cost: Cost, backend: str
) -> float:
    """Return the peak of a run's functions as one of a run to come; 0 without any.

    Parameters
    ----------
    folder
        Of the run, for messages.
    record
        Its manifest.
    cost
        Of the run to come, by the formula: a peak grows with it, and does not shrink.
    backend
        Of Lithops; a peak on another counts for nothing.

    Raises
    ------
    BadInput
        Figures are missing or no numbers.
    """
    try:
        plan = Cost(**record["plan"] | {"reasons": ()})
        burst = record["burst"]
        is_there = burst.get("backend") == backend
        peak = float(burst.get("peak_bytes") or 0) if is_there else 0.0
        plan_bytes = plan.node_bytes + plan.rank_bytes
        ratio = (cost.node_bytes + cost.rank_bytes) / plan_bytes
        if not 0 <= peak < float("inf"):
            raise ValueError(f"{peak} is no size")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
        raise BadInput(f"{folder / NAME}: damaged figures: {e!r}") from None
    return peak * max(1.0, ratio)
