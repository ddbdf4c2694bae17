"""What to do where two ranks do not find each other: only what is there is named."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Facts = dict[str, Any]

LAUNCHER = re.compile(r"(^|/)(srun|(mpirun|mpiexec|orterun|prterun)[.\w]*)$")
CONTAINER = re.compile(r"(^|/)(apptainer|singularity)$")
PATIENCE_S = 10.0
SHARED_LEAST_BYTES = 1 << 30
ALONE = "each process is alone: the launcher does not speak the language of this MPI"
COPYING = r"process_vm_readv|\bCMA\b"
NAMES = ("mpirun", "mpiexec", "mpirun.openmpi", "mpirun.mpich")
SAYS = {  # how a library's name begins, and what its mpirun says of itself
    "Open MPI": r"Open MPI|OpenRTE|PRRTE",
    "MPICH": "HYDRA",
    "MVAPICH": "HYDRA",
    "Intel": "HYDRA|Intel",
}

# Where an output names what to do; the first that fits is the advice.
ADVICE = (
    (
        r"run as root|RUN_AS_ROOT",
        "Open MPI starts nothing as root: set OMPI_ALLOW_RUN_AS_ROOT=1 and "
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    ),
    (
        r"not enough slots|slots available",
        "two ranks are more than it sees cores: add --oversubscribe",
    ),
    (
        r"mpi4py is not installed|cannot load MPI library",
        "load the MPI module of the site and pip install mpi4py; or, for a machine "
        "without one, pip install 'hpc_connector[mpi]'",
    ),
    (
        r"temporarily disabled|nodes are busy|queued and waiting",
        "Slurm has no room for two tasks now: run this in a job of two tasks",
    ),
    (
        r"hpc-connector.*(No such file|not found)|(No such file|not found).*hpc-c",
        "the ranks do not find hpc-connector: put it on PATH there",
    ),
)


def get_advice(launch: str, state: str, facts: Facts, said: str) -> list[str]:
    """Return the advice, in plain words."""
    if state == "works":
        return get_warnings(facts)
    if state == "alone":
        return [ALONE, advise_launcher(launch, facts)]
    if re.search(COPYING, said):
        return [advise_copying(launch, facts)]
    if re.search(r"unsupported PMI version|direct launched using .srun", said):
        other = advise_launcher(launch, facts)
        return [f"this MPI does not speak the launcher's PMI: {other}"]
    if re.search(r"cannot count between|MPI_ERR_WIN", said):
        return [advise_counting(facts)]
    known = [advice for words, advice in ADVICE if re.search(words, said)]
    if not known and facts.get("step") == "try_messages":
        known = [advise_copying(launch, facts)]
    return known[:1]


def advise_launcher(launch: str, facts: Facts) -> str:
    """Return by what else to start ranks: a plug-in of srun, the library's mpirun."""
    mpirun = find_mpirun(facts, launch)
    library = facts.get("file", "this MPI")
    ways = []
    if is_srun(launch):
        others = [f"--mpi={name}" for name in list_pmi() if f"={name}" not in launch]
        ways = [f"use srun {' or '.join(others)}"] if others else []
    if mpirun is not None:
        ways.append(f"use the mpirun of that library ({mpirun})")
    return ", or ".join(ways or [f"load the module of {library}, which has its mpirun"])


def is_srun(launch: str) -> bool:
    """Return whether ranks are started by srun."""
    words = [word for word in shlex.split(launch) if LAUNCHER.search(word)]
    return bool(words) and Path(words[0]).name == "srun"


def list_pmi() -> list[str]:
    """Return how srun can tell ranks of each other here; nothing without srun."""
    if not shutil.which("srun"):
        return []
    listed = run_briefly("srun", "--mpi=list")
    plugins = re.findall(r"\w+", listed)
    wanted = ["pmi2", "pmix"] + ["cray_shasta"] * os.path.exists("/opt/cray")
    return [name for name in wanted if name in plugins]


def run_briefly(*command: str) -> str:
    """Return all that a command prints, nothing where it fails or takes long."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=True,
        )
        return done.stdout.decode(errors="replace")
    return ""


def find_mpirun(facts: Facts, launch: str) -> str | None:
    """Return the mpirun of a library, another than that of a launcher, if there is one.

    It lies in a ``bin`` beside or above the library, or on PATH, and says of itself
    that it is of that MPI. One of the same version comes first.
    """
    library = facts.get("library", "")
    says = next((says for name, says in SAYS.items() if library.startswith(name)), None)
    if says is None:
        return None
    version = (re.findall(r"[0-9]+(?:\.[0-9]+)+", library) or [""])[0]
    tried = {os.path.realpath(shutil.which(word) or "") for word in shlex.split(launch)}
    known = {
        path: run_briefly(path, "--version") for path in list_mpiruns(facts["file"])
    }
    fitting = [
        (version not in said, path)
        for path, said in known.items()
        if re.search(says, said) and os.path.realpath(path) not in tried
    ]
    return min(fitting, key=lambda found: found[0])[1] if fitting else None


def list_mpiruns(library: str) -> Iterator[str]:
    """Yield the programs that start ranks: nearest to a library, then on PATH."""
    above = Path(library).parents if os.path.isabs(library) else ()
    folders = [str(folder / "bin") for folder in above]
    folders += os.environ.get("PATH", os.defpath).split(os.pathsep)
    for folder in dict.fromkeys(folders):
        yield from filter(None, (shutil.which(name, path=folder) for name in NAMES))


def advise_copying(launch: str, facts: Facts) -> str:
    """Return the setting for large messages of ranks that may not read each other."""
    is_open = facts.get("library", "").startswith("Open MPI")
    settings = (
        "OMPI_MCA_btl_vader_single_copy_mechanism=none"
        if is_open
        else "MPIR_CVAR_CH4_CMA_ENABLE=0 and UCX_POSIX_USE_PROC_LINK=n"
    )
    runtime = next(filter(CONTAINER.search, shlex.split(launch)), None)
    ways = [f"set {settings}"]
    if runtime is None or "--sharens" in run_briefly(runtime, "exec", "--help"):
        ways.insert(0, f"add --sharens to {runtime or 'apptainer'} exec")
    return (
        "ranks may not copy from each other, as each has its own container: "
        + ", or ".join(ways)
    )


def advise_counting(facts: Facts) -> str:
    """Return the setting that makes one-sided communication work."""
    if facts.get("library", "").startswith("Open MPI v4"):
        return "one-sided communication fails: with Open MPI 4 set OMPI_MCA_osc=^rdma"
    return "one-sided communication fails: load another MPI"


def get_warnings(facts: Facts) -> list[str]:
    """Return the advice where ranks work, but could do better."""
    found = []
    if facts["threads"] != "multiple":
        found.append("without threads, other nodes wait while rank 0 computes")
    for host in facts["hosts"]:
        name, scratch = host["host"], host["scratch"]
        if host["tmpdir"] and scratch != host["tmpdir"]:
            found.append(f"{name}: TMPDIR={host['tmpdir']} cannot be written")
        if not host["is_local"]:
            found.append(
                f"{name}: {scratch} is on a network: set TMPDIR to a local disk"
            )
        if (host["shared_free_bytes"] or 0) < SHARED_LEAST_BYTES:
            found.append(f"{name}: /dev/shm is small, and holds what ranks share")
    return found
