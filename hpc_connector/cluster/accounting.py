"""What the accounting of Slurm says of a job, as records of its attempts."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hpc_connector.cluster.queue import JOB, OVER, name_array
from hpc_connector.run_record import Attempt, RunRecord
from hpc_connector.slurm import ask_slurm
from hpc_connector.units import parse_bytes, parse_time

FIGURES = (
    "JobIDRaw",
    "State",
    "ElapsedRaw",
    "TotalCPU",
    "MaxRSS",
    "ConsumedEnergyRaw",
    "NNodes",
    "NTasks",
    "NodeList",
    "Start",
    "End",
    "TimelimitRaw",
    "AllocTRES",
)
NUMBERS = {"n_nodes", "n_tasks", "cores", "node_mem_bytes", "elapsed_s", "limit_s"}
NUMBERS |= {"cpu_s", "max_rss_bytes", "max_rss_tasks"}  # of an attempt
ASKED = ("node_mem_bytes", "limit_s")  # kept as first known
ENDS = {0: "COMPLETED", 75: "REQUEUED"}  # by the exit code of the program
ENDED = {*OVER, "REQUEUED"}  # states of an attempt to which nothing comes any more
MOST = 1e150  # of any figure: more is damaged, and a product of two is infinite
LATER = 2  # of these, the last, which scripts of older versions do not ask for
NO_ENERGY = {0} | {2**bits - k for bits in (32, 64) for k in (1, 2)}  # is not known


def ask_figures(*jobs: str) -> str:
    """Return sacct's figures of all attempts of jobs, empty where it knows nothing."""
    known = [job for job in jobs if JOB.fullmatch(job)]
    if not known:
        return ""
    command = ["sacct", "--jobs", ",".join(known), "--duplicates", "--noheader"]
    done = ask_slurm([*command, "--parsable2", "--format", ",".join(FIGURES)])
    return done.stdout if done else ""


def ask_states(jobs: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return number and state of jobs by sacct, those that it knows.

    They are found by their own numbers and by those of arrays, as in ``queue``.
    """
    known = sorted({job for job in jobs if JOB.fullmatch(job)})
    if not known:
        return {}
    command = ["sacct", "--jobs", ",".join(known), "--allocations", "--noheader"]
    done = ask_slurm([*command, "--parsable2", "--format", "JobID,JobIDRaw,State"])
    rows = [line.split("|") for line in done.stdout.splitlines()] if done else []
    whole = [(row[0], row[1], get_state(row[2])) for row in rows if row[2:]]
    own = {raw: (job, state) for job, raw, state in whole}
    return own | {name_array(job): (job, state) for job, _, state in whole}


def get_state(text: str) -> str:
    """Return a state without by whom: CANCELLED by 1000 is CANCELLED."""
    return text.partition(" ")[0]


def read_figures(text: str) -> list[Attempt]:
    """Return sacct's figures of the steps of jobs, one record for each attempt.

    Parameters
    ----------
    text
        Lines of ``sacct --parsable2`` with the columns ``FIGURES``.
    """
    attempts: list[Attempt] = []
    for line in text.splitlines():
        row = dict(zip(FIGURES, line.split("|"), strict=False))
        job, _, step = row["JobIDRaw"].partition(".") if row else ("", "", "")
        if len(row) < len(FIGURES) - LATER or not JOB.fullmatch(job):
            continue
        if not step:
            attempts.append(_make_attempt(row))
        elif attempts and attempts[-1]["job"] == job and step != "extern":
            _add_step(attempts[-1], row)
    return attempts


def choose_attempts(attempts: Sequence[Attempt], jobs: Iterable[str]) -> list[Attempt]:
    """Return the attempts of the first of some jobs that there are any of.

    The last element of an array has the number of the array itself, by which sacct
    tells of all elements. Where no number is known, attempts of a single job are taken.

    Parameters
    ----------
    jobs
        Their own numbers (JobIDRaw), the likeliest first.
    """
    there = [attempt["job"] for attempt in attempts]
    known = [job for job in jobs if job]
    if not known and len(set(there)) == 1:
        known = there
    own = next((job for job in known if job in there), None)
    return [attempt for attempt in attempts if attempt["job"] == own]


def _make_attempt(row: dict[str, str]) -> Attempt:
    given = dict(re.findall(r"(\w+)=([^,]+)", row.get("AllocTRES", "")))
    n_nodes = parse_bytes(row["NNodes"])  # 1K of 1024
    minutes = row.get("TimelimitRaw", "")
    return {
        "job": row["JobIDRaw"],
        "state": row["State"],
        "step_state": "",
        "nodes": row["NodeList"],
        "n_nodes": n_nodes,
        "n_tasks": 0,
        "cores": parse_bytes(given.get("cpu", "")),
        "node_mem_bytes": parse_bytes(given.get("mem", "")) // max(n_nodes, 1),
        "start": row["Start"],
        "elapsed_s": parse_bytes(row["ElapsedRaw"]),
        "limit_s": 60 * int(minutes) if minutes.isdigit() else 0,
        "cpu_s": 0.0,
        "max_rss_bytes": 0,
        "max_rss_tasks": 0,
        "energy_j": None,
    }


def _add_step(attempt: Attempt, row: dict[str, str]) -> None:
    with contextlib.suppress(ValueError):  # INVALID
        cpu_s = parse_time(row["TotalCPU"] or "0")
        attempt["cpu_s"] = round(attempt["cpu_s"] + cpu_s, 3)
    rss_bytes, n_tasks = parse_bytes(row["MaxRSS"]), parse_bytes(row["NTasks"])
    if rss_bytes > attempt["max_rss_bytes"]:
        attempt |= {"max_rss_bytes": rss_bytes, "max_rss_tasks": n_tasks}
    if not row["JobIDRaw"].endswith(".batch"):
        attempt["step_state"] = row["State"]
        attempt["n_tasks"] = max(attempt["n_tasks"], n_tasks)
    energy_j = parse_bytes(row["ConsumedEnergyRaw"])
    if energy_j not in NO_ENERGY:
        attempt["energy_j"] = (attempt["energy_j"] or 0) + energy_j


def list_attempts(record: RunRecord) -> list[Attempt]:
    """Return the attempts in a manifest, whatever else is there."""
    found = record.get("slurm")
    attempts = found if isinstance(found, list) else []
    return [one for one in attempts if isinstance(one, dict)]


def complete(attempt: Attempt) -> Attempt:
    """Return an attempt of any version, or damaged, with 0 for numbers it has not."""
    found = {name: attempt.get(name) for name in NUMBERS}
    numbers: Any = {
        name: value if isinstance(value, int | float) and 0 <= value < MOST else 0
        for name, value in found.items()
    }
    return cast("Attempt", attempt | numbers)


def close_attempt(attempt: Attempt, code: int) -> Attempt:
    """Return an attempt whose script ends now, which Slurm still takes for running.

    Parameters
    ----------
    code
        What the program has ended with; 75 asks to be queued again.
    """
    if has_ended(attempt):
        return attempt
    return attempt | {"state": ENDS.get(code, "FAILED")}


def has_ended(attempt: Mapping[str, Any]) -> bool:
    """Return whether the state of an attempt is its last."""
    return get_state(str(attempt.get("state", ""))) in ENDED


def rate(attempt: Attempt) -> dict[str, float | None]:
    """Return the shares of what an attempt held that it has used, as seff counts.

    CPU time of all steps, of the time of the cores; the memory of the rank that had
    most times the ranks of its step, of the memory on all nodes; the time that it took,
    of its limit. None where Slurm does not say what it held.
    """
    elapsed_s, nodes = attempt["elapsed_s"], max(attempt["n_nodes"], 1)
    rss_bytes = attempt["max_rss_bytes"] * max(attempt["max_rss_tasks"], 1)
    parts = {
        "time_efficiency": (elapsed_s, attempt["limit_s"]),
        "cpu_efficiency": (attempt["cpu_s"], attempt["cores"] * elapsed_s),
        "memory_efficiency": (rss_bytes, attempt["node_mem_bytes"] * nodes),
    }
    return {
        name: round(used / held, 4) if held else None
        for name, (used, held) in parts.items()
    }


def join_attempts(before: list[Attempt], now: list[Attempt]) -> list[Attempt]:
    """Return the attempts of jobs as they are now, and those of other jobs before them.

    What an attempt had asked for is kept as it was first known: later Slurm shows what
    the job asks for now, and 0 in its first seconds. So is the end of an attempt that
    Slurm takes for running.
    """
    first = {(attempt.get("job"), attempt.get("start")): attempt for attempt in before}
    jobs = {attempt["job"] for attempt in now}
    joined = [attempt for attempt in before if attempt.get("job") not in jobs]
    for attempt in now:
        known: Mapping[str, Any] = first.get((attempt["job"], attempt["start"]), {})
        kept: Any = {name: known[name] for name in ASKED if known.get(name)}
        if has_ended(known) and not has_ended(attempt):
            kept["state"] = known["state"]
        joined.append(attempt | kept)
    return joined
