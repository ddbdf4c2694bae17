"""``hpc-connector catalog search``: find data sets by words."""

import argparse
import json

from hpc_connector import cli
from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.search import Hit, search
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    get_catalog,
    show_table,
)
from hpc_connector.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    said = "in the id, title, description, keywords and facts; all must be there"
    add("words", nargs="*", metavar="WORD", help=said)
    add("--format", default="", metavar="NAME", help="of an object, such as vcf")
    said = "only where an object has an index of slices"
    add("--indexed", action="store_true", help=said)
    said = "only what the user who has logged in may use today"
    add("--mine", action="store_true", help=said)
    add("--purpose", default="", metavar="WORD", help="of that use, with --mine")
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found, the best first."""
    if not (args.words or args.format or args.indexed or args.mine):
        raise BadInput("search: expected words, --format, --indexed or --mine")
    if args.purpose and not args.mine:
        raise BadInput("--purpose: expected --mine with it")
    with get_catalog(args) as catalog:
        asked = {"format": args.format, "indexed": args.indexed}
        hits = search(catalog, args.words, **asked)
        if args.mine:
            hits = choose_mine(catalog, hits, args.purpose)
    if args.json:
        print(json.dumps([hit._asdict() for hit in hits]))
    elif hits:
        print(show_table([(f"{h.id}@{h.version}", h.access, h.title) for h in hits]))
    return cli.DONE


def choose_mine(catalog: Catalog, hits: list[Hit], purpose: str) -> list[Hit]:
    """Return the data sets that the user may use today."""
    # slow to import, and only this asks who it is
    from hpc_connector.catalogue.policy import find_denial
    from hpc_connector.confidential.identity.login import get_user

    user = get_user()
    return [hit for hit in hits if not find_denial(get(catalog, hit.id), user, purpose)]
