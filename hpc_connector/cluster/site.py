"""What a job needs to know of a machine: the lines of its site file."""

import contextlib
import os
import shlex
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.fields import SHELL, Reader, number, read_fields, whole

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
    "CONNECTOR_MEM": "mem",
    "CONNECTOR_NODE_CORES": "node_cores",
    "CONNECTOR_NODE_MEM_GB": "node_mem_gb",
    "CONNECTOR_MOST_NODES": "most_nodes",
    "CONNECTOR_MOST_HOURS": "most_hours",
    "CONNECTOR_CATALOG": "catalog",
    "CONNECTOR_CATALOG_SIGNER": "catalog_signer",
}

PER_NODE, PER_CPU = "per-node", "per-cpu"


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
    mem
        What memory is asked for by: "per-node", or "per-cpu" where a site wants that.
    node_cores, node_mem_gb, most_nodes, most_hours
        Of the nodes that `qos` and `slurm_partition` give; 0 where it is not known.
    catalog
        File, or folder of journals, of its catalogue of data sets, if it has one.
    catalog_signer
        Private key that signs what is written to it, if there is one; ``~`` is the
        user's home.
    """

    account: str = ""
    qos: str = ""
    slurm_partition: str = ""
    setup: str = ""
    launch: str = "srun --mpi=pmi2 --wait=30"
    warning: str = "USR1"
    image: str = ""
    bind: str = ""
    mem: str = PER_NODE
    node_cores: int = 0
    node_mem_gb: float = 0
    most_nodes: int = 0
    most_hours: float = 0
    catalog: str = ""
    catalog_signer: str = ""


def get_site(path: Path | None = None) -> Site:
    """Return the site of a file, and by the environment what that does not say.

    Raises
    ------
    BadInput
        A file that cannot be read, or a line that is none of ``SITE_KEYS``.
    """
    said = {name: os.environ.get(name, "") for name in SITE_KEYS}
    said = {name: text for name, text in said.items() if text}
    lines = read_lines(path) if path else {}
    make_site(said, "environment")
    return make_site(said | lines, str(path))


def read_site(path: Path) -> Site:
    """Return the site of a file alone; see :func:`get_site`."""
    return make_site(read_lines(path), str(path))


def read_lines(path: Path) -> dict[str, str]:
    """Read a site file: lines NAME=VALUE, as a shell takes them too.

    Raises
    ------
    BadInput
        A file that cannot be read, or a line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a site file: {error}") from None
    pairs = [_split_line(path, n, line) for n, line in enumerate(lines, 1)]
    return {name: text for name, text in pairs if name}


def make_site(lines: dict[str, str], where: str) -> Site:
    """Return a site from its variables."""
    types = {field.name: field.type for field in fields(Site)}
    readers = {key: READERS[types[name]] for key, name in SITE_KEYS.items()}
    readers["CONNECTOR_MEM"] = _mem
    values = read_fields(Site, lines, where, readers, SHELL)
    return Site(**{SITE_KEYS[key]: value for key, value in values.items()})


def _mem(text: str) -> str:
    """Return the unit that memory is asked for by."""
    if text not in (PER_NODE, PER_CPU):
        raise ValueError(f"{PER_NODE} or {PER_CPU}")
    return text


def _number(text: str) -> float:
    """Return a number; without one it is not known."""
    try:
        return number(float(text or 0))
    except ValueError:
        raise ValueError("a number, 0 if it is not known") from None


def _whole(text: str) -> int:
    """Return a whole number; without one it is not known."""
    try:
        return whole(int(text or 0))
    except ValueError:
        raise ValueError("a whole number, 0 if it is not known") from None


READERS: dict[Any, Reader] = {str: str, int: _whole, float: _number}


def get_container(site: Site) -> list[str]:
    """Return the words that run a command in the image of a site; none without one.

    It starts in the current folder as it is without links, which an image does not
    have; what is named by a link to that folder is seen as well.
    """
    runtime = shutil.which("apptainer") or shutil.which("singularity")
    if not site.image or runtime is None:
        return []
    binds = site.bind.split(",") if site.bind else []
    here, *linked = list_here()
    binds += [place for place in (here, *linked) if not set(place) & set(",:")]
    chosen = ["--bind", ",".join(dict.fromkeys(binds))] if binds else []
    return ["env", f"PWD={here}", runtime, "exec", *chosen, site.image]


def list_here() -> list[str]:
    """Return the current folder, without links, and as a shell has reached it."""
    here, reached = os.getcwd(), os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if reached != here and os.path.samefile(here, reached):
            return [here, reached]
    return [here]


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
    if name != "CONNECTOR_SETUP":  # which the job evaluates
        value = os.path.expandvars(os.path.expanduser(value))
    return name, value
