"""``hpc-connector catalog export``: data sets for other catalogues, or a run."""

import argparse
import re
from collections.abc import Callable

from hpc_connector import cli
from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.exchange import save_events
from hpc_connector.catalogue.lookup import find, get, list_ids
from hpc_connector.catalogue.records import DataSet
from hpc_connector.catalogue.repositories.submission import Words, save_submission
from hpc_connector.commands.catalog.words import (
    add_place,
    as_reference,
    explain_missing,
    get_catalog,
)
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from hpc_connector.publish import publish

NO_STUDY, FDR = "MTBLSXXXX", 0.1


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
    said = "folder of ISA-Tab for MetaboLights of --run, of metabolite-annotation"
    kinds.add_argument("--isatab", type=cli.local, metavar="DIR", help=said)
    add_dcat(parser.add_argument_group("of --dcat").add_argument)
    add = parser.add_argument_group("of --ro-crate and --isatab").add_argument
    add("--run", type=cli.local, metavar="DIR", help="folder of a run that is done")
    add = parser.add_argument_group("of --isatab").add_argument
    said = "that MetaboLights gives, MTBLS or REQ and a number "
    said += f"(default: {NO_STUDY})"
    add("--study", type=cli.as_type(study), metavar="ID", help=said)
    said = "greatest false discovery rate of an annotation (default: %(default)s)"
    add("--fdr", type=cli.fraction, default=FDR, metavar="FRACTION", help=said)
    add = parser.add_argument_group("of --ro-crate").add_argument
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
    if bool(args.ro_crate or args.isatab) != bool(args.run):
        raise BadInput("--run: expected it with --ro-crate or --isatab, and only so")
    if args.ro_crate:
        with explain_missing():
            from hpc_connector.catalogue.graph.crate import save_crate

        save_crate(args.run, args.ro_crate, agent=args.agent, license=args.license)
        print(args.ro_crate / "ro-crate-metadata.json")
        return cli.DONE
    if args.isatab:
        return export_isatab(args)
    with get_catalog(args) as catalog:
        if args.journal:
            print(f"{args.journal}: {save_events(catalog, args.journal)} events")
            return cli.DONE
        return save_graph(catalog, args)


def export_isatab(args: argparse.Namespace) -> int:
    """Write a run as ISA-Tab; say what is left to fill in."""
    about = find_data_set(args)
    found = save_submission(
        args.run,
        args.isatab,
        study=args.study or NO_STUDY,
        fdr=args.fdr,
        facts=about.facts if about else {},
        words=Words(about.title, about.description) if about else Words(),
    )
    print(f"{args.isatab}: {', '.join(found.files)}")
    print(
        f"{found.annotations} annotations at an FDR of {args.fdr:g}, "
        f"{found.left_out} above it are left out"
    )
    print(f"to fill in: {', '.join(found.empty)}; ids of terms, reliability")
    return cli.DONE


def find_data_set(args: argparse.Namespace) -> DataSet | None:
    """Return the data set that a run names as its input, if the catalogue has it."""
    inputs = read_manifest(args.run).get("inputs", ())
    named = [one["dataset"] for one in inputs if "dataset" in one]
    if not named:
        return None
    with get_catalog(args) as catalog:
        return find(catalog, named[0]["id"], named[0]["version"])


def study(text: str) -> str:
    """Return an identifier of MetaboLights, or what it has until it is accepted."""
    if not re.fullmatch("(MTBLS|REQ)[1-9][0-9]*", text):
        raise BadInput("expected MTBLS or REQ and a number, as MetaboLights gives it")
    return text


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
