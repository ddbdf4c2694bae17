"""``hpc-connector catalog import``: data sets of another catalogue."""

import argparse

from hpc_connector import cli
from hpc_connector.catalogue.exchange import take_events, take_records
from hpc_connector.commands.catalog.words import (
    add_place,
    add_signer,
    explain_missing,
    get_catalog,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    said = "graph of DCAT, .ttl or .jsonld; or events, .jsonl"
    parser.add_argument("file", type=cli.local, metavar="FILE", help=said)
    add_signer(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Take all of a file, or nothing."""
    if args.file.suffix == ".jsonl":
        with get_catalog(args, is_new=True) as catalog:
            print(f"{args.file}: {take_events(catalog, args.file)} events")
        return cli.DONE
    with explain_missing():
        from hpc_connector.catalogue.graph.check import check_graph
        from hpc_connector.catalogue.graph.read import import_dcat
        from hpc_connector.catalogue.graph.text import read_graph

    graph = read_graph(args.file)
    check_graph(graph, str(args.file))
    records = import_dcat(graph)
    with get_catalog(args, is_new=True) as catalog:
        n_new = take_records(catalog, records)
    print(f"{args.file}: {len(records)} data sets, {n_new} of them new or changed")
    return cli.DONE
