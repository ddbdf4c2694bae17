"""``hpc-connector catalog list``: all data sets."""

import argparse
import json

from hpc_connector import cli
from hpc_connector.catalogue.search import search
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    get_catalog,
    show_table,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line a data set, in order of their ids."""
    with get_catalog(args) as catalog:
        found = search(catalog)
    if args.json:
        print(json.dumps([one._asdict() for one in found]))
    elif found:
        print(show_table([(f"{o.id}@{o.version}", o.access, o.title) for o in found]))
    return cli.DONE
