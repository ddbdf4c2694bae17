"""``hpc-connector telemetry collect``: join the rows of all nodes of a run."""

import argparse
import json
from pathlib import Path

from hpc_connector import cli
from hpc_connector.telemetry.collect import collect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of a run")


def run(args: argparse.Namespace) -> int:
    """Join the telemetry of a run, and print the summary."""
    print(json.dumps(collect(args.directory), indent=2))
    return cli.DONE
