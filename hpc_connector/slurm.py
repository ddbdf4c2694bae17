"""Slurm: what a site is like, a job as text, and what the accounting says of it."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput

# What a site file may set, and the field it becomes. sbatch itself knows the first.
SITE_KEYS = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_QOS": "qos",
    "SBATCH_PARTITION": "slurm_partition",
    "CONNECTOR_SETUP": "setup",
    "CONNECTOR_LAUNCH": "launch",
    "CONNECTOR_WARNING": "warning",
    "CONNECTOR_IMAGE": "image",
    "CONNECTOR_BIND": "bind",
    "CONNECTOR_NODE_CORES": "node_cores",
    "CONNECTOR_NODE_MEM_GB": "node_mem_gb",
    "CONNECTOR_MOST_NODES": "most_nodes",
    "CONNECTOR_MOST_HOURS": "most_hours",
}
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
LATER = 2  # of these, the last, which scripts of older versions do not ask for
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "": 1}


@dataclass(frozen=True)
class Site:
    """What a job needs to know of a machine.

    Parameters
    ----------
    setup
        Shell commands before all else, such as ``module load``.
    launch
        What starts the ranks.
    warning
        The signal that `launch` passes on to the ranks.
    image
        A container to run the program in, if any.
    bind
        Folders that it sees beside the home and the current folder, with commas.
    node_cores, node_mem_gb, most_nodes, most_hours
        Of the nodes that `qos` and `slurm_partition` give; 0 where it is not known.
    """

    account: str = ""
    qos: str = ""
    slurm_partition: str = ""
    setup: str = ""
    launch: str = "srun --mpi=pmi2 --wait=30"
    warning: str = "USR1"
    image: str = ""
    bind: str = ""
    node_cores: int = 0
    node_mem_gb: float = 0
    most_nodes: int = 0
    most_hours: float = 0


@dataclass(frozen=True)
class Job:
    """What is asked of Slurm.

    Parameters
    ----------
    arguments
        Of the program: one tuple, or one for each element of an array. None where they
        stand on the command line of sbatch.
    warn_s
        Before the end of its time a job is told to stop.
    telemetry
        An agent watches the ranks of each node.
    policy
        A file that says what grows after a resource ran short.
    """

    program: str
    arguments: tuple[tuple[str, ...], ...] | None = None
    nodes: int = 1
    ntasks_per_node: int = 2
    cpus_per_task: int = 1
    time_s: int = 3600
    mem_bytes: int = 0
    warn_s: int = 120
    restarts: int = 20
    dependency: str = ""
    most_at_once: int = 0
    output: str = "%x-%j.out"
    telemetry: bool = False
    policy: str = ""


def read_site(path: Path) -> Site:
    """Read a site file: lines NAME=VALUE, as a shell takes them too.

    Raises
    ------
    BadInput
        A file that cannot be read, or a line that is none of ``SITE_KEYS``.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a site file: {error}") from None
    pairs = [_split_line(path, n, line) for n, line in enumerate(lines, 1)]
    return make_site({name: text for name, text in pairs if name}, str(path))


def get_site() -> Site:
    """Return what a site file has set that was sourced before."""
    lines = {name: os.environ.get(name, "") for name in SITE_KEYS}
    return make_site({n: text for n, text in lines.items() if text}, "environment")


def make_site(lines: dict[str, str], where: str) -> Site:
    """Return a site from its variables."""
    types: dict[str, Any] = {field.name: field.type for field in fields(Site)}
    values = {}
    for name, text in lines.items():
        if name not in SITE_KEYS:
            raise BadInput(f"{where}: {name}: expected one of {', '.join(SITE_KEYS)}")
        field = SITE_KEYS[name]
        try:
            values[field] = types[field](text)
        except ValueError:
            raise BadInput(f"{where}: {name}={text}: expected a number") from None
    return Site(**values)


def get_container(site: Site) -> list[str]:
    """Return what runs a command in the image of a site; nothing without one."""
    runtime = shutil.which("apptainer") or shutil.which("singularity")
    if not site.image or runtime is None:
        return []
    bind = ["--bind", site.bind] if site.bind else []
    return [runtime, "exec", *bind, site.image]


def _split_line(path: Path, number: int, line: str) -> tuple[str, str]:
    """Return name and value of a line of a site file, empty if it has none."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise BadInput(f"{path}, line {number}: {error}") from None
    words = words[1:] if words[:1] == ["export"] else words
    if not words:
        return "", ""
    name, equals, value = words[0].partition("=")
    if len(words) > 1 or not equals:
        raise BadInput(f"{path}, line {number}: expected NAME=VALUE, found {line!r}")
    return name, value


def render_sbatch(job: Job, site: Site) -> str:
    """Return the batch script of a job."""
    ask = {
        "job-name": job.program,
        "account": site.account,
        "qos": site.qos,
        "partition": site.slurm_partition,
        "array": _format_array(job),
        "dependency": job.dependency,
        "nodes": job.nodes,
        "ntasks-per-node": job.ntasks_per_node,
        "cpus-per-task": job.cpus_per_task,
        "mem": f"{-(-job.mem_bytes >> 20)}M" if job.mem_bytes else "",
        "time": format_time(job.time_s),
        "signal": f"B:USR1@{job.warn_s}",
        "output": job.output,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in ask.items() if value]
    lines += ["#SBATCH --open-mode=append", "#SBATCH --requeue", ""]
    settings = {
        "SETUP": site.setup,
        "LAUNCH": site.launch,
        "WARNING": site.warning,
        "IMAGE": site.image,
        "BIND": site.bind,
    }
    lines += _format_settings(settings, is_open=job.arguments is None)
    lines += [
        f"CONNECTOR_PROGRAM={job.program}",
        f"CONNECTOR_RESTARTS={job.restarts} # at most",
        f"CONNECTOR_WARN={job.warn_s} # seconds before the end of the time",
        *([f"CONNECTOR_POLICY={shlex.quote(job.policy)}"] if job.policy else []),
        f"CONNECTOR_FIGURES={','.join(FIGURES)}",
        *(["CONNECTOR_TELEMETRY=1"] if job.telemetry else []),
        *_format_arguments(job.arguments),
        "",
    ]
    body = (files("hpc_connector") / "job.sh").read_text()
    return "\n".join(["#!/bin/bash", *lines, body])


def _format_settings(settings: dict[str, str], *, is_open: bool) -> list[str]:
    """Return lines of shell that set what a site needs.

    Where they are open, a site file that is sourced before sbatch may set them.
    """
    if not is_open:
        return [f"CONNECTOR_{n}={shlex.quote(text)}" for n, text in settings.items()]
    said = "# As a site file says, if it is sourced before sbatch"
    return [said] + [
        f"CONNECTOR_{n}=${{CONNECTOR_{n}-{shlex.quote(text)}}}"
        for n, text in settings.items()
    ]


def _format_array(job: Job) -> str:
    """Return the indices of an array, empty for a single job."""
    if job.arguments is None or len(job.arguments) == 1:
        return ""
    most = f"%{job.most_at_once}" if job.most_at_once else ""
    return f"0-{len(job.arguments) - 1}{most}"


def _format_arguments(arguments: tuple[tuple[str, ...], ...] | None) -> list[str]:
    """Return the lines that set the arguments of the program."""
    if arguments is None:
        return []
    if len(arguments) == 1:
        return [f"set -- {shlex.join(arguments[0])}"]
    cases = [f"{k}) set -- {shlex.join(words)} ;;" for k, words in enumerate(arguments)]
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]


def format_time(time_s: float) -> str:
    """Return a time as Slurm writes it, in whole minutes, rounded up."""
    hours, minutes = divmod(-(-int(time_s) // 60), 60)
    return f"{hours // 24}-{hours % 24:02}:{minutes:02}:00"


def parse_time(text: str) -> float:
    """Return the seconds of a time of Slurm's, such as 1-02:03:04.5 or 03:04."""
    days, _, clock = text.rpartition("-")
    parts = [float(part) for part in clock.split(":")]
    if days and len(parts) < 3:  # days-hours and days-hours:minutes
        parts += [0.0] * (3 - len(parts))
    seconds = sum(part * 60**k for k, part in enumerate(reversed(parts)))
    return seconds + 86400 * int(days or 0)


def parse_bytes(text: str) -> int:
    """Return the bytes of a size of Slurm's, such as 1234K."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    return round(float(found[1]) * UNITS[found[2]]) if found else 0


def submit(script: str) -> str:
    """Give a script to sbatch; return the number of the job.

    Raises
    ------
    BadInput
        There is no sbatch, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise BadInput("there is no sbatch here: expected a login node of a cluster")
    done = subprocess.run(
        ["sbatch", "--parsable"], input=script, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BadInput(f"sbatch refuses: {' '.join(done.stderr.split())}")
    return done.stdout.strip().partition(";")[0]


def find_node(site: Site) -> tuple[int, int]:
    """Return cores and bytes of a node: of the site file, else the least of Slurm's.

    Where neither says, it is that of this machine.
    """
    cores, mem_bytes = site.node_cores, int(site.node_mem_gb * 1e9)
    if cores and mem_bytes:
        return cores, mem_bytes
    chosen = ["--partition", site.slurm_partition] if site.slurm_partition else []
    command = ["sinfo", "--noheader", "--format", "%c %m", *chosen]
    lines: Sequence[str] = []
    if shutil.which("sinfo"):
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
    nodes = [tuple(int(n.rstrip("+")) for n in line.split()) for line in lines]
    if nodes:
        least_cores, least_mib = (min(n[k] for n in nodes) for k in (0, 1))
    else:
        least_cores = os.cpu_count() or 1
        n_pages = os.sysconf("SC_PHYS_PAGES")
        least_mib = n_pages * os.sysconf("SC_PAGE_SIZE") >> 20
    return cores or least_cores, mem_bytes or least_mib << 20


def find_limits(site: Site) -> tuple[int, float]:
    """Return the most nodes and seconds of a job: of the site file, else of Slurm.

    Where there is no Slurm it is this machine alone, and 0 for any time.
    """
    nodes, most_s = site.most_nodes, 3600 * site.most_hours
    if not shutil.which("sinfo"):
        return nodes or 1, most_s
    chosen = ["--partition", site.slurm_partition] if site.slurm_partition else []
    command = ["sinfo", "--noheader", "--format", "%D %l", *chosen]
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    times = [parse_time(text) for _, text in rows if text[:1].isdigit()]
    return (
        nodes or max((int(n) for n, _ in rows), default=1),
        most_s or max(times, default=0.0),
    )


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
