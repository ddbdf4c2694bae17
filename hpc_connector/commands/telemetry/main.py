"""``hpc-connector telemetry``: watch runs, and learn from what was seen."""

import argparse
import importlib
import os
import sys
from typing import Any

from hpc_connector import cli

COMMANDS = {  # modules beside this one, with add_arguments(parser) and run(args)
    "agent": "watch the ranks on this node",
    "follow": "show what runs use, while they go on",
    "collect": "join the rows of all nodes of a run",
    "train": "learn to forecast from runs",
    "forecast": "say what a run will use next",
    "recommend": "say what the next run should ask for",
    "grow": "say what a job that ran short should ask for",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands; their own arguments are read by ``run``."""
    cli.add_commands(parser, COMMANDS)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; only its module is imported."""
    chosen: Any = importlib.import_module(f"{__package__}.{args.what}")
    parser = cli.make_command("telemetry", args.what, COMMANDS[args.what])
    chosen.add_arguments(parser)
    parsed = parser.parse_args(args.arguments)
    if args.what == "agent":  # without what is imported here, it needs 3 MB less
        command = [sys.executable, "-m", chosen.__name__, *args.arguments]
        os.execv(sys.executable, command)
    code: int = chosen.run(parsed)
    return code
