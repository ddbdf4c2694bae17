"""``hpc-connector catalog revoke``: take a grant back."""

import argparse
from typing import Any

from hpc_connector import cli
from hpc_connector.catalogue.lookup import get
from hpc_connector.commands.catalog.words import (
    add_place,
    add_signer,
    as_id,
    as_receiver,
    get_catalog,
)
from hpc_connector.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("id", type=as_id, metavar="ID", help="of a data set")
    said = "as it was granted; hpc-connector catalog who says to whom"
    add("--to", required=True, type=as_receiver, metavar="WHO", help=said)
    add_signer(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Write that the grant is taken back."""
    with get_catalog(args) as catalog:

        def make() -> dict[str, Any]:
            grants = get(catalog, args.id).policy.grants
            if not any(one.to == args.to and not one.revoked for one in grants):
                raise BadInput(f"{args.id}: nothing is granted to {args.to}")
            return {"do": "revoke", "id": args.id, "to": args.to}

        catalog.write(make)
    print(f"{args.id}: {args.to} no more")
    return cli.DONE
