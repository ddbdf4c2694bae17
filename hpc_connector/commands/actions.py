"""``hpc-connector actions``: reduce text on the nodes that read it."""

import argparse
import json
from pathlib import Path

from hpc_connector import cli
from hpc_connector.actions.counts import read_counts
from hpc_connector.actions.run import run as run_spec
from hpc_connector.actions.spec import KNOWN
from hpc_connector.errors import BadInput
from hpc_connector.partitioner.ending import abort_on_error, end_now
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.signals import on_signals
from hpc_connector.report.actions import list_actions
from hpc_connector.units import format_table, parse_size

NAME = "hpc-connector"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    command = cli.add_command(commands, "run", "run actions on files or objects")
    add = command.add_argument
    add("spec", type=Path, metavar="SPEC.toml", help="which inputs, and which actions")
    said = "new folder for the results"
    add("--out", type=cli.local, required=True, metavar="DIR", help=said)
    said = "folder of each node for files, such as '$TMPDIR' (default: memory)"
    add("--scratch", type=cli.local, metavar="DIR", help=said)
    said = "most bytes of these files on a node, such as 20G (default: no limit)"
    size = cli.as_type(parse_size)
    add("--scratch-bytes", type=size, metavar="SIZE", help=said)
    command = cli.add_command(commands, "list", "list what actions there are")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command = cli.add_command(commands, "report", "say what moved between nodes")
    add = command.add_argument
    add("directory", type=Path, metavar="DIR", help="folder of a run with actions.json")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    act = {"run": run_actions, "list": list_known, "report": report}[args.what]
    return act(args)


def run_actions(args: argparse.Namespace) -> int:
    """Run a specification on all ranks."""
    comm = get_mpicomm()
    cli.set_up_log(NAME, rank=comm.rank)
    said = f"{NAME}: stopped on request; repeat the command\n" if comm.rank == 0 else ""
    # at once: an action may be in the middle of a call, and its files have no names
    stop = on_signals(lambda: end_now(comm, cli.STOPPED, said))
    try:
        with stop, abort_on_error(comm, lambda error: cli.explain(NAME, error)):
            room = args.scratch, args.scratch_bytes
            rows = run_spec(comm, args.spec, args.out, *room)
            if comm.rank == 0 and (told := list_actions(rows)):
                print(f"{told.said}\nresults: {args.out}")
    except SystemExit as end:
        return int(end.code or 0)
    return cli.DONE


def list_known(args: argparse.Namespace) -> int:
    """List what there is to do, and the keys that it needs."""
    if args.json:
        print(json.dumps({n: {"gives": g, "needs": k} for n, (g, k) in KNOWN.items()}))
        return cli.DONE
    for name, (gives, needs) in KNOWN.items():
        print(f"{name:<12} {gives}" + (f" ({', '.join(needs)})" if needs else ""))
    print("MODULE:NAME  what a class of yours gives")
    return cli.DONE


def report(args: argparse.Namespace) -> int:
    """Say what a run's actions moved."""
    rows = read_counts(args.directory)
    told = list_actions(rows)
    if rows is None or told is None:
        raise BadInput(
            f"{args.directory}: no actions.json: expected a run of actions, or of "
            "several nodes"
        )
    if args.json:
        print(json.dumps({"actions": rows}))
        return cli.DONE
    print(told.said)
    print(format_table([told.heads, *told.rows]))
    return cli.DONE
