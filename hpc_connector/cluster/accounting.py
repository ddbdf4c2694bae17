"""What the accounting of Slurm says of a job, as records of its attempts."""

import re
import shutil
import subprocess
from typing import Any

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
ASKED = ("node_mem_bytes", "limit_s")  # kept as first read
LATER = 2  # of these, the last, which scripts of older versions do not ask for


def ask_figures(job: str) -> str:
    """Return what sacct says of all attempts of a job, empty where it knows nothing."""
    if not job or shutil.which("sacct") is None:
        return ""
    command = ["sacct", "--jobs", job, "--duplicates", "--noheader", "--parsable2"]
    command += ["--format", ",".join(FIGURES)]
    return subprocess.run(command, capture_output=True, text=True).stdout


def read_figures(text: str) -> list[dict[str, Any]]:
    """Return what sacct says of the steps of a job, one record for each attempt.

    Parameters
    ----------
    text
        Lines of ``sacct --parsable2`` with the columns ``FIGURES``.
    """
    attempts: list[dict[str, Any]] = []
    for line in text.splitlines():
        row = dict(zip(FIGURES, line.split("|"), strict=False))
        if len(row) < len(FIGURES) - LATER:
            continue
        job, _, step = row["JobIDRaw"].partition(".")
        if not step:
            attempts.append(_make_attempt(row))
        elif attempts and attempts[-1]["job"] == job and step != "extern":
            _add_step(attempts[-1], row)
    return attempts


def _make_attempt(row: dict[str, str]) -> dict[str, Any]:
    given = dict(re.findall(r"(\w+)=([^,]+)", row.get("AllocTRES", "")))
    n_nodes = int(row["NNodes"] or 0)
    minutes = row.get("TimelimitRaw", "")
    return {
        "job": row["JobIDRaw"],
        "state": row["State"],
        "step_state": "",
        "nodes": row["NodeList"],
        "n_nodes": n_nodes,
        "n_tasks": 0,
        "cores": int(given.get("cpu", 0)),
        "node_mem_bytes": parse_bytes(given.get("mem", "")) // max(n_nodes, 1),
        "start": row["Start"],
        "elapsed_s": int(row["ElapsedRaw"] or 0),
        "limit_s": 60 * int(minutes) if minutes.isdigit() else 0,
        "cpu_s": 0.0,
        "max_rss_bytes": 0,
        "energy_j": None,
    }


def _add_step(attempt: dict[str, Any], row: dict[str, str]) -> None:
    attempt["cpu_s"] = round(attempt["cpu_s"] + parse_time(row["TotalCPU"] or "0"), 3)
    attempt["max_rss_bytes"] = max(attempt["max_rss_bytes"], parse_bytes(row["MaxRSS"]))
    if not row["JobIDRaw"].endswith(".batch"):
        attempt["step_state"] = row["State"]
        attempt["n_tasks"] = max(attempt["n_tasks"], int(row["NTasks"] or 0))
    if row["ConsumedEnergyRaw"].isdigit() and int(row["ConsumedEnergyRaw"]):
        energy_j = attempt["energy_j"] or 0
        attempt["energy_j"] = energy_j + int(row["ConsumedEnergyRaw"])


def join_attempts(
    before: list[dict[str, Any]], now: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the attempts of earlier jobs, and those of a job as they are now.

    What an attempt had asked for is kept as it was first read: later Slurm shows what
    the job asks for now.
    """
    jobs = {attempt["job"] for attempt in now}
    asked = {
        (attempt["job"], attempt.get("start")): {
            name: attempt[name] for name in ASKED if name in attempt
        }
        for attempt in before
    }
    return [attempt for attempt in before if attempt["job"] not in jobs] + [
        attempt | asked.get((attempt["job"], attempt["start"]), {}) for attempt in now
    ]
