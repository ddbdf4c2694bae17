"""``hpc-connector catalog grant``: let somebody use a data set."""

import argparse
from typing import Any

from hpc_connector import cli
from hpc_connector.catalogue.lookup import get
from hpc_connector.commands.catalog.words import (
    add_place,
    add_signer,
    as_day,
    as_id,
    as_receiver,
    get_catalog,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("id", type=as_id, metavar="ID", help="of a data set")
    said = "subject of a token, or role:ROLE; hpc-connector keys whoami says who it is"
    add("--to", required=True, type=as_receiver, metavar="WHO", help=said)
    said = "last day, YYYY-MM-DD"
    add("--until", required=True, type=as_day, metavar="DATE", help=said)
    add_signer(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Write the grant."""
    with get_catalog(args) as catalog:

        def make() -> dict[str, Any]:
            get(catalog, args.id)
            return {"do": "grant", "id": args.id, "to": args.to, "until": args.until}

        catalog.write(make)
    print(f"{args.id}: {args.to} until {args.until}")
    return cli.DONE
