"""A job as text, which sbatch takes."""

import logging
import math
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files

from hpc_connector.cluster.accounting import FIGURES
from hpc_connector.cluster.array import format_arguments, format_indices
from hpc_connector.cluster.environment import get_environment
from hpc_connector.cluster.site import PER_CPU, Site
from hpc_connector.errors import BadInput
from hpc_connector.units import format_time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What is asked of Slurm.

    Parameters
    ----------
    arguments
        Of the program: one tuple, or one for each element of an array. None where they
        stand on the command line of sbatch.
    time_s, mem_bytes
        Infinite: without a limit, and all that a node has.
    indices
        Of the elements of an array; empty for a single job.
    warn_s
        Before the end of its time a job is told to stop.
    telemetry
        An agent watches the ranks of each node.
    policy
        A file that says what grows after a resource ran short.
    export
        Which variables of the environment it gets, as sbatch takes it.
    more
        Options of sbatch beside these, one or several a line.
    most_s, most_node_bytes
        To which it may grow, 0 where it is not known.
    """

    program: str
    arguments: tuple[tuple[str, ...], ...] | None = None
    nodes: int = 1
    ntasks_per_node: int = 2
    cpus_per_task: int = 1
    time_s: float = 3600
    mem_bytes: float = 0
    warn_s: int = 120
    restarts: int = 20
    dependency: str = ""
    most_at_once: int = 0
    indices: tuple[int, ...] = ()
    telemetry: bool = False
    policy: str = ""
    export: str = "ALL"
    more: tuple[str, ...] = ()
    most_s: float = 0
    most_node_bytes: int = 0

    @property
    def output(self) -> str:
        """The log, as sbatch takes it."""
        return "%x-%A_%a.out" if self.indices else "%x-%j.out"


def render_sbatch(job: Job, site: Site) -> str:
    """Return the batch script of a job."""
    settings = {
        "SETUP": site.setup,
        "LAUNCH": site.launch,
        "WARNING": site.warning,
        "IMAGE": site.image,
        "BIND": site.bind,
    }
    lines = _format_directives(job, site)
    lines += _format_settings(settings, is_open=job.arguments is None)
    lines += [
        f"CONNECTOR_PROGRAM={shlex.quote(job.program)}",
        f"CONNECTOR_RESTARTS={job.restarts} # at most",
        f"CONNECTOR_WARN={job.warn_s} # seconds before the end of the time",
        *([f"CONNECTOR_POLICY={shlex.quote(job.policy)}"] if job.policy else []),
        f"CONNECTOR_FIGURES={','.join(FIGURES)}",
        *(["CONNECTOR_TELEMETRY=1"] if job.telemetry else []),
        *_format_limits(job),
        *_format_catalog(site),
        "export SLURM_EXPORT_ENV=ALL # to the ranks, whatever the job itself got",
        *format_arguments(job.arguments or (), job.indices),
        "",
    ]
    body = (files("hpc_connector.cluster") / "job.sh").read_text()
    return "\n".join(["#!/bin/bash", *lines, body])


def _format_directives(job: Job, site: Site) -> list[str]:
    """Return the lines that sbatch reads, and an empty one."""
    ask = {
        "job-name": job.program,
        "account": site.account,
        "qos": site.qos,
        "partition": site.slurm_partition,
        "array": format_indices(job.indices, job.most_at_once),
        "dependency": job.dependency,
        "nodes": job.nodes,
        "ntasks-per-node": job.ntasks_per_node,
        "cpus-per-task": job.cpus_per_task,
        **_format_memory(job, site),
        "time": format_time(job.time_s),
        "signal": f"B:USR1@{job.warn_s}",
        "output": job.output,
        "export": job.export,
    }
    asked = {name: shlex.quote(str(value)) for name, value in ask.items() if value}
    lines = [f"#SBATCH --{name}={value}" for name, value in asked.items()]
    lines += ["#SBATCH --open-mode=append", "#SBATCH --requeue"]
    return [*lines, *(f"#SBATCH {more}" for more in job.more), ""]


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


def _format_memory(job: Job, site: Site) -> dict[str, str]:
    """Return the option that asks for memory, if it is asked for."""
    if not job.mem_bytes:
        return {}
    if math.isinf(job.mem_bytes):
        return {"mem": "0"}
    if site.mem == PER_CPU:
        cpus = job.ntasks_per_node * job.cpus_per_task
        return {"mem-per-cpu": f"{max(int(job.mem_bytes) // cpus >> 20, 1)}M"}
    return {"mem": f"{-(-int(job.mem_bytes) >> 20)}M"}


def _format_limits(job: Job) -> list[str]:
    """Return lines that say to what a job may grow, as a site file says it."""
    most = {
        "MOST_HOURS": job.most_s / 3600,
        "NODE_MEM_GB": job.most_node_bytes / 1e9,
    }
    return [f"export CONNECTOR_{n}={value!r}" for n, value in most.items() if value]


def _format_catalog(site: Site) -> list[str]:
    """Return the line that says where the catalogue of a site is, if it has one."""
    name = shlex.quote(site.catalog)
    return [f"export CONNECTOR_CATALOG={name}"] if site.catalog else []


def submit(script: str) -> str:
    """Give a script to sbatch; return the number of the job.

    Raises
    ------
    BadInput
        There is no sbatch, or it refuses.
    """
    done = _run_sbatch(script, "--parsable")
    for line in done.stderr.splitlines():
        logger.info("%s", line)
    numbers = re.findall(r"^(\d+)(?:;.*)?$", done.stdout, re.M)  # a site may greet
    if not numbers:
        said = " ".join(done.stdout.split())
        raise BadInput(f"sbatch says no number of a job: {said or 'nothing'}")
    return str(numbers[-1])


def check(script: str) -> str:
    """Return when and where the job of a script would start; submit nothing.

    Raises
    ------
    BadInput
        There is no sbatch, or it would refuse.
    """
    said = _run_sbatch(script, "--test-only").stderr
    return " ".join(said.split()).removeprefix("sbatch: ")


def _run_sbatch(script: str, option: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("sbatch") is None:
        raise BadInput("there is no sbatch here: expected a login node of a cluster")
    done = subprocess.run(
        ["sbatch", option],
        input=script,
        env=get_environment(os.environ, script),
        capture_output=True,
        text=True,
        errors="surrogateescape",  # names of files that are no text
    )
    if done.returncode != 0:
        raise BadInput(f"sbatch refuses: {' '.join(done.stderr.split())}")
    return done
