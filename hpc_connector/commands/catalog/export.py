"""``hpc-connector catalog export``: data sets for other catalogues, or a run."""

import argparse
from collections.abc import Callable

from hpc_connector import cli
from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.exchange import save_events
from hpc_connector.catalogue.lookup import get, list_ids
from hpc_connector.commands.catalog.words import (
    add_place,
    as_reference,
    explain_missing,
    get_catalog,
)
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    said = "of data sets, ID or ID@VERSION (default: all)"
    add("ids", nargs="*", type=as_reference, metavar="ID", help=said)
    kinds = parser.add_argument_group("what is written").add_mutually_exclusive_group(
        required=True
    )
    said = "graph of DCAT and HealthDCAT-AP: Turtle, or JSON-LD, by its ending"
    kinds.add_argument("--dcat", type=cli.local, metavar="FILE", help=said)
    said = "all events of the catalogue, a line each"
    kinds.add_argument("--journal", type=cli.local, metavar="FILE", help=said)
    said = "folder of an RO-Crate of --run: metadata, and the results beside it"
    kinds.add_argument("--ro-crate", type=cli.local, metavar="DIR", help=said)
    add_dcat(parser.add_argument_group("of --dcat").add_argument)
    add = parser.add_argument_group("of --ro-crate").add_argument
    add("--run", type=cli.local, metavar="DIR", help="folder of a run that is done")
    add("--agent", metavar="NAME", help="who has run it (default: nobody is named)")
    said = "of the results, a URL (default: none is said)"
    add("--license", metavar="URL", help=said)
    add_place(parser)


def add_dcat(add: Callable[..., argparse.Action]) -> None:
    """Add what is told of the catalogue itself."""
    said = "of the catalogue (default: %(default)s)"
    add("--title", default="Catalogue", metavar="TEXT", help=said)
    add("--description", default="Records", metavar="TEXT", help=said)
    said = "of the catalogue (default: that of all data sets)"
    add("--publisher", default="", metavar="NAME", help=said)
    said = "SHACL of others that it must hold too, Turtle; several times for several"
    add("--shapes", type=cli.local, action="append", metavar="FILE", help=said)


def run(args: argparse.Namespace) -> int:
    """Write what is asked for."""
    if bool(args.ro_crate) != bool(args.run):
        raise BadInput("--ro-crate and --run: expected both, or neither")
    if args.ro_crate:
        with explain_missing():
            from hpc_connector.catalogue.graph.crate import save_crate

        save_crate(args.run, args.ro_crate, agent=args.agent, license=args.license)
        print(args.ro_crate / "ro-crate-metadata.json")
        return cli.DONE
    with get_catalog(args) as catalog:
        if args.journal:
            print(f"{args.journal}: {save_events(catalog, args.journal)} events")
            return cli.DONE
        return save_graph(catalog, args)


def save_graph(catalog: Catalog, args: argparse.Namespace) -> int:
    """Write a graph, once it was checked."""
    with explain_missing():
        from hpc_connector.catalogue.graph.check import check_graph
        from hpc_connector.catalogue.graph.dcat import export_dcat
        from hpc_connector.catalogue.graph.text import format_graph, get_format

    kind = get_format(args.dcat)
    records = [get(catalog, name) for name in args.ids or list_ids(catalog)]
    if not records:
        raise BadInput(f"{catalog.path} has no data set: expected one or more")
    named = {"title": args.title, "description": args.description}
    graph = export_dcat(records, **named, publisher=args.publisher)
    check_graph(graph, str(args.dcat), args.shapes or ())
    with publish(args.dcat, "open") as stream:
        stream.write(format_graph(graph, kind).encode())
    print(f"{args.dcat}: {len(records)} data sets, {len(graph):,} statements")
    return cli.DONE
