"""``hpc-connector catalog``: which data sets there are, and who may use them."""

import argparse
import importlib
from typing import Any

from hpc_connector import cli

COMMANDS = {  # what each does, in a module beside this one
    "add": "add files as a data set, or a new version of one",
    "search": "find data sets by words",
    "find": "find the data set of METASPACE's, MetaboLights' or Workbench's identifier",
    "show": "say all of a data set",
    "list": "list all data sets",
    "index": "index the objects of a data set, to be cut near the data",
    "verify": "prove that objects are as they were when they were added",
    "grant": "let somebody use a data set",
    "revoke": "take a grant back",
    "export": "write data sets for other catalogues, or a run as an RO-Crate",
    "import": "take data sets of another catalogue",
    "who": "say who may use a data set, and who was refused",
}
MODULES = {"list": "list_sets", "import": "import_sets"}  # as Python has those words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands; their own arguments are read by ``run``."""
    cli.add_commands(parser, COMMANDS)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; only its module is imported."""
    name = MODULES.get(args.what, args.what)
    chosen: Any = importlib.import_module(f"{__package__}.{name}")
    parser = cli.make_command("catalog", args.what, COMMANDS[args.what])
    chosen.add_arguments(parser)
    code: int = chosen.run(parser.parse_args(args.arguments))
    return code
