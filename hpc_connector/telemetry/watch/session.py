"""The agents of a run: one process on each node, from its start to its end."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from hpc_connector.errors import UNUSABLE
from hpc_connector.manifest import has_ended, read_manifest
from hpc_connector.options import RunOptions
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together, wait_asleep
from hpc_connector.streams.beside import prepare_stream
from hpc_connector.streams.open import open_stream
from hpc_connector.telemetry.columns import get_name
from hpc_connector.telemetry.watch.proc import RANK_NAMES

logger = logging.getLogger(__name__)

END_S = 10.0  # for an agent to write its totals
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def watch_ranks(comm: Communicator, options: RunOptions) -> Iterator[None]:
    """Have an agent on each node watch a run, then join what they wrote.

    All ranks enter it. A rank that raises leaves the agent alone, which ends with the
    ranks. A run that will be refused, or is complete, is not watched.
    """
    out = options.out
    if comm.bcast(comm.rank == 0 and has_ended(out, resume=options.resume)):
        yield
        return
    places = comm.allgather((get_name(), os.getpid()))
    nodes = list(dict.fromkeys(node for node, _ in places))
    to_stream = prepare_copy(comm, options, nodes)
    agent = start_agent(out, places, comm.rank, to_stream)
    yield
    wait_asleep(comm)  # the last sample sees all ranks
    if agent is not None:
        end_agent(agent)
    comm.Barrier()
    if comm.rank == 0:
        collect(out)
        if options.telemetry_stream:
            end_copy(out, options.telemetry_stream, options.stream_profile)


def prepare_copy(
    comm: Communicator, options: RunOptions, nodes: list[str]
) -> list[str]:
    """Make the stream of a run if it has one; return what its agent here is told.

    Raises
    ------
    BadInput
        The stream cannot be made or reached, or is no room for all nodes.
    """
    url, profile = options.telemetry_stream, options.stream_profile
    if url is None:
        return []
    with end_together(comm):
        if comm.rank == 0:
            prepare_stream(url, len(nodes), "node", profile)
    told = ["--stream", url, "--segment", str(nodes.index(get_name()))]
    return [*told, "--stream-profile", str(profile)] if profile else told


def end_copy(out: Path, url: str, profile: Path | None) -> None:
    """Seal the stream of a run that is complete; one that was stopped goes on in it."""
    if read_manifest(out).get("status") != "done":
        return
    try:
        with open_stream(url, profile=profile) as stream:
            stream.seal()
    except UNUSABLE as error:
        logger.warning("the stream of telemetry is not sealed: %s", error)


def start_agent(
    out: Path,
    places: list[tuple[str, int]],
    rank: int,
    options: Sequence[str] = (),
) -> subprocess.Popen[bytes] | None:
    """Start the agent if this is the first rank of its node; return its process.

    Parameters
    ----------
    places
        Node and process of each rank.
    options
        More of the agent, as its command line has them.
    """
    here = [(pid, k) for k, (node, pid) in enumerate(places) if node == get_name()]
    if here[0][1] != rank:
        return None
    command = [sys.executable, "-m", "hpc_connector.commands.telemetry.agent"]
    command += ["--out", str(out), "--pid", ",".join(f"{pid}:{k}" for pid, k in here)]
    command += options
    ranks = {name.decode() for name in RANK_NAMES}
    environment = {k: text for k, text in os.environ.items() if k not in ranks}
    try:
        with block_signals():  # which the agent inherits, from its first instant
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a launcher waits until they are closed
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        logger.warning("no telemetry of %s: %s", get_name(), error)
        return None


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Block what Slurm and MPI send to all processes, and :func:`end_agent` to one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*WARNINGS, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_agent(agent: subprocess.Popen[bytes]) -> None:
    """Have the agent take its last sample and end."""
    with contextlib.suppress(OSError):
        agent.send_signal(signal.SIGHUP)
    try:
        code = agent.wait(END_S)
    except subprocess.TimeoutExpired:
        agent.kill()
        code = agent.wait()
    if code:
        logger.warning("the telemetry agent of %s ended with %d", get_name(), code)


def collect(out: Path) -> None:
    """Join the rows of all nodes, if that can be done here; no run fails by it."""
    if find_spec("pyarrow") is None:
        logger.info(
            "telemetry: no pyarrow here; hpc-connector telemetry collect %s", out
        )
        return
    from hpc_connector.telemetry.collect import collect as join

    try:
        summary = join(out)
    except UNUSABLE as error:
        logger.warning("telemetry is not collected: %s", error)
        return
    logger.info("telemetry: %s", json.dumps(summary["utilisation"]))
