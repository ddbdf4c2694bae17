"""Whether MPI works here: two ranks by every launcher, and what to do if not.

The ranks are ``hpc-connector doctor --rank``, so that they are found in a container.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from typing import Any

from hpc_connector import cli
from hpc_connector.cluster.site import get_container, get_site
from hpc_connector.commands.mpi_advice import LAUNCHER, get_advice, list_pmi
from hpc_connector.errors import BadInput
from hpc_connector.pipeline.process_group import start_group

NAME = "hpc-connector doctor"
RANK = ["hpc-connector", "doctor", "--rank"]
FACTS = "hpc-connector facts: "
ENDING = re.compile(r"srun: error: .* (task|step)|slurmstepd|=|Exit code|Local abort")
DOING = {
    "start_mpi": "while MPI started",
    "find_library": "once MPI had started",
    "find_hosts": "while ranks told their hosts",
    "try_sharing": "while ranks shared memory",
    "try_messages": "in messages of 4 MiB",
    "try_counter": "while ranks counted",
    "done": "after all steps",
}


@dataclass(frozen=True)
class Finding:
    """How two ranks fared that one launcher started."""

    launch: str
    state: str  # works, alone, fails, hangs
    where: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    last_line: str = ""
    advice: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--launch",
        type=command,
        action="append",
        metavar="COMMAND",
        help="a launcher with its options and, after them, a container's: "
        "'srun --mpi=pmi2 apptainer exec --sharens image.sif' (default: that of the "
        "site file if it was sourced, else all that are found)",
    )
    parser.add_argument(
        "--limit",
        type=cli.at_least(1),
        default=30,
        metavar="SECONDS",
        help="end a launcher after this time (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)


def command(text: str) -> str:
    """Return an argparse value that is a command, with its quotes closed."""
    if not shlex.split(text):
        raise ValueError("empty")
    return text


def run(args: argparse.Namespace) -> int:
    """Try the launchers; return 0 where one works."""
    if args.rank:
        return be_rank()
    launchers = args.launch or find_launchers()
    if not launchers:
        raise BadInput("neither srun nor mpirun on PATH: expected one, or --launch")
    findings = []
    for launch in launchers:
        findings.append(examine(launch, args.limit))
        if not args.json:
            print(describe(findings[-1]), flush=True)
    if args.json:
        print(json.dumps({"launchers": [asdict(found) for found in findings]}))
    return cli.DONE if any(f.state == "works" for f in findings) else cli.FAILED


def be_rank() -> int:
    """Say what this rank finds, a line of JSON for each step."""
    from hpc_connector.partitioner.ending import abort_on_error
    from hpc_connector.partitioner.launch import get_library, load_mpi, start_mpi
    from hpc_connector.partitioner.probe import probe_mpi

    def say(facts: dict[str, Any]) -> None:
        os.write(1, f"{FACTS}{json.dumps(facts)}\n".encode())  # in one piece

    say({"step": "start_mpi"})
    load_mpi()
    say(get_library())  # some do not start
    comm = start_mpi()
    with abort_on_error(comm, lambda error: cli.explain(NAME, error)):
        probe_mpi(comm, say)
    return cli.DONE


def find_launchers() -> list[str]:
    """Return the site's launcher if its file was sourced, else those found here.

    These are srun with each PMI, mpirun, and our own mpirun.
    """
    if "CONNECTOR_LAUNCH" in os.environ:
        site = get_site()
        return [f"{site.launch} {shlex.join(get_container(site))}".rstrip()]
    found = [f"srun --mpi={name}" for name in list_pmi()]
    first, ours = shutil.which("mpirun"), os.path.dirname(sys.executable) + "/mpirun"
    found += ["mpirun"] * (first is not None)
    return found + [ours] * (first != ours and os.path.exists(ours))


def examine(launch: str, limit_s: float) -> Finding:
    """Start two ranks by a launcher; return how they fared."""
    code, said = start(launch, limit_s)
    facts, sizes = read_facts(said)
    state = get_state(code, facts, sizes)
    where = DOING.get(facts.get("step", ""), "before a rank of ours began")
    advice = get_advice(launch, state, facts, said)
    return Finding(launch, state, where, facts, find_last_line(said), tuple(advice))


def find_last_line(said: str) -> str:
    """Return the last line with words in it, of the launcher only if there is no other.

    Launchers end with how many tasks ended how, in a frame.
    """
    lines = [line.strip() for line in said.splitlines() if FACTS not in line]
    lines = [line for line in lines if re.search("[a-z]{3}", line)]
    telling = [line for line in lines if not ENDING.match(line)]
    return (telling or lines or [""])[-1]


def start(launch: str, limit_s: float) -> tuple[int | None, str]:
    """Start two ranks; return the exit code, None for too long, and what they said."""
    words = shlex.split(launch)
    at = 1 + next((n for n, word in enumerate(words) if LAUNCHER.search(word)), 0)
    here = os.path.dirname(sys.executable)  # last, for mpirun is to be the site's
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), here])
    with tempfile.TemporaryFile() as said:
        code = None
        group = start_group(
            [*words[:at], "-n", "2", *words[at:], *RANK],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": path},
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired), group as process:
                code = process.wait(limit_s)
        except OSError as error:
            return 127, f"{words[0]}: {error.strerror}"
        said.seek(0)
        return code, said.read().decode(errors="replace")


def read_facts(said: str) -> tuple[dict[str, Any], list[int]]:
    """Return the facts of ranks, and the sizes of communicators that they saw."""
    facts: dict[str, Any] = {}
    sizes = []
    for line in re.findall(f"{FACTS}({{.*}})$", said, re.MULTILINE):
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            facts |= found
            sizes += [found["size"]] if "size" in found else []
    return facts, sizes


def get_state(code: int | None, facts: dict[str, Any], sizes: list[int]) -> str:
    """Return how two ranks fared."""
    if sizes and set(sizes) == {1}:
        return "alone"
    if code is None:
        return "hangs"
    sound = ("messages_arrive", "counts")
    is_sound = all(facts.get(name) for name in sound)
    is_sound &= facts.get("shares_memory") is not False
    return "works" if code == 0 and is_sound and facts["step"] == "done" else "fails"


def describe(found: Finding) -> str:
    """Return a few lines for people."""
    facts, state = found.facts, found.state
    lines = [f"{found.launch}: {state}"]
    if state in ("fails", "hangs"):
        lines[0] += f" {found.where}"
    if "library" in facts:
        lines[0] += f"; {facts['library']} ({facts['file']}, {facts['abi']} ABI)"
    if "threads" in facts:
        lines[0] += f", started by {facts['pmi']}, threads {facts['threads']}"
    if state == "works":
        lines.append(describe_ranks(facts))
    elif state != "alone" and found.last_line:
        lines.append(found.last_line)
    return "\n    ".join(lines + [f"-> {advice}" for advice in found.advice])


def describe_ranks(facts: dict[str, Any]) -> str:
    """Return where ranks ran, how fast messages are, and what a node stores."""
    host = facts["hosts"][0]
    names = " ".join(h["host"] for h in facts["hosts"])
    shared = "" if facts["shares_memory"] is None else "shared memory and "
    scratch_gb = host["scratch_free_bytes"] / 1e9
    shared_gb = (host["shared_free_bytes"] or 0) / 1e9
    return (
        f"{facts['size']} ranks on {names}; {shared}counter work; "
        f"{facts['latency_s'] * 1e6:.1f} us, {facts['bytes_per_s'] / 1e9:.1f} GB/s; "
        f"free: {host['scratch']} ({host['file_system']}) {scratch_gb:.0f} GB, "
        f"/dev/shm {shared_gb:.1f} GB"
    )
