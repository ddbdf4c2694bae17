"""The grant of a job: asked for by its run, and bound to its number."""

import argparse
import json
import logging
from pathlib import Path
from typing import NamedTuple

from hpc_connector.allocation.cost import Cost
from hpc_connector.cluster.batch import Job
from hpc_connector.errors import BadInput, Later
from hpc_connector.slurm import ask, ask_config
from hpc_connector.text import read_toml

logger = logging.getLogger(__name__)

KEEPER = "keeper:"
LEAST_BYTES = 1 << 20  # of what is not known: --mem says it


class Granted(NamedTuple):
    """A grant that waits for the number of a job, and the token of its owner."""

    url: str
    name: str
    token: str


def find_keeper(arguments: tuple[str, ...]) -> str:
    """Return the address of the keeper of a run, empty if its key is no keeper's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--key")
    parser.add_argument("--config", type=Path)
    known, _ = parser.parse_known_args(list(arguments))
    key = known.key
    if key is None and known.config is not None:
        key = str(read_toml(known.config).get("key", ""))
    key = key or ""
    return key.removeprefix(KEEPER) if key.startswith(KEEPER) else ""


def add_grant(arguments: tuple[str, ...], grant: str) -> tuple[str, ...]:
    """Return the arguments of a run with its grant.

    Raises
    ------
    BadInput
        It has a keeper and no grant, or the other way round.
    """
    url = find_keeper(arguments)
    if bool(url) != bool(grant):
        lacking = "--grant NAME, of hpc-connector keys grant" if url else ""
        raise BadInput(f"expected {lacking or '--key keeper:URL of the run'}")
    return (*arguments, "--grant", grant) if grant else arguments


def get_cost(args: argparse.Namespace) -> Cost:
    """Return the cost of a run that only its job can look into.

    Raises
    ------
    BadInput
        It is not said how large the job is to be.
    """
    n_ranks = args.ntasks or args.ntasks_per_node
    said = {"--mem": args.mem, "--time": args.time, "--ntasks": n_ranks}
    lacking = [name for name, value in said.items() if not value]
    if lacking:
        raise BadInput(
            "only the job itself can look into inputs that a keeper opens: expected "
            + " and ".join(lacking)
        )
    note = "sized as asked: only the job can look into its inputs"
    return Cost(0.0, 0.0, LEAST_BYTES, 0, n_ranks, (note,))


def prepare(args: argparse.Namespace) -> Granted | None:
    """Return the grant of a job to come, None without one; a token must be there.

    Raises
    ------
    BadInput
        There is no token: log in.
    """
    if not args.grant or args.dry_run or args.check:
        return None
    from hpc_connector.confidential.identity.source import load_token

    token = load_token(descriptor=args.token_fd, command=args.token_command)
    return Granted(find_keeper(tuple(args.arguments)), args.grant, token)


def bind(granted: Granted, number: str) -> None:
    """Bind a grant to the number of a job; cancel the job if that cannot be.

    Raises
    ------
    BadInput
        The keeper refuses, or does not answer.
    """
    from hpc_connector.confidential.keeper.client import ask_keeper

    job = json.dumps({"cluster": get_cluster(), "job_id": number}).encode()
    path = f"/v1/grants/{granted.name}/job"
    try:
        ask_keeper(granted.url, "PUT", path, job, granted.token)
    except (BadInput, Later) as error:
        ask("scancel", number)
        raise BadInput(f"job {number} is cancelled, it has no grant: {error}") from None
    except BaseException:  # also of Ctrl-C: without its grant the job would fail
        ask("scancel", number)
        raise


def get_cluster() -> str:
    """Return the name of this cluster.

    Raises
    ------
    BadInput
        Slurm does not say one.
    """
    for line in ask_config().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "ClusterName":
            return value.strip()
    raise BadInput("scontrol says no ClusterName: expected a login node of a cluster")


def check_jobs(jobs: list[Job]) -> None:
    """Refuse a grant for several jobs.

    Raises
    ------
    BadInput
        A grant is bound to one.
    """
    if len(jobs) > 1:
        raise BadInput(
            f"--grant: expected one job, or one array; these are {len(jobs)}"
        )
