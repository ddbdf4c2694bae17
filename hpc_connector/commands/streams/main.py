"""``hpc-connector streams``: make, append, read, end and look after streams."""

import argparse
import importlib
from typing import Any

from hpc_connector import cli

COMMANDS = {
    "create": "make a stream",
    "append": "append the lines of standard input, a record each",
    "read": "print records, also as they come",
    "seal": "end a stream: nothing can be appended any more",
    "retain": "delete old records",
    "list": "say what there is of each segment",
    "verify": "read all, and say what is damaged",
    "from-imzml": "replay a dataset of spectra as an instrument would",
}
# Modules beside this one, with add_arguments(parser, name) and run(args, name)
PLACES = dict.fromkeys(("create", "seal", "retain", "list", "verify"), "keep")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands; their own arguments are read by ``run``."""
    cli.add_commands(parser, COMMANDS)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; only its module is imported."""
    place = PLACES.get(args.what, args.what.replace("-", "_"))
    chosen: Any = importlib.import_module(f"{__package__}.{place}")
    parser = cli.make_command("streams", args.what, COMMANDS[args.what])
    chosen.add_arguments(parser, args.what)
    code: int = chosen.run(parser.parse_args(args.arguments), args.what)
    return code
