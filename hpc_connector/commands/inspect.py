"""``hpc-connector inspect``: what a run used, as text or as a page."""

import argparse
import json
from pathlib import Path

from hpc_connector import cli
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.report.page import save_page
from hpc_connector.report.telemetry.differences import explain_differences
from hpc_connector.report.telemetry.page import (
    find_state,
    find_told,
    format_share,
    list_figures,
    make_page,
)
from hpc_connector.run_record import RunRecord, Summary
from hpc_connector.telemetry.advice import make_advice
from hpc_connector.telemetry.calls import read_calls, summarise_calls
from hpc_connector.telemetry.collect import get_threads, summarise
from hpc_connector.telemetry.efficiency import get_efficiency
from hpc_connector.telemetry.records import read_nodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("directory", type=Path, metavar="DIR", help="folder of a run with --telemetry")
    said = "write a page (default: print the summary)"
    add("--html", type=cli.local, metavar="FILE", help=said)
    add("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what a run used and what to do next time, or write a page of it."""
    nodes = read_nodes(args.directory)
    record: RunRecord = {}
    if (args.directory / NAME).exists():
        record = read_manifest(args.directory)
    threads = get_threads(record)
    summary = summarise(nodes, threads)
    if of_calls := summarise_calls(read_calls(args.directory)):
        summary["functions"] = of_calls["functions"]
    summary["efficiency"] = get_efficiency(summary, record, threads)
    summary["advice"] = make_advice(summary)
    summary["differences"] = explain_differences(summary, record)
    told = find_told(args.directory, nodes, summary)
    state = find_state(args.directory, record, summary)
    if args.html:
        page = make_page(record, summary, nodes, threads, told, state)
        print(save_page(args.html, page))
    elif args.json:
        print(json.dumps(summary))
    else:
        print(format_summary(summary))
    return cli.DONE


def format_summary(summary: Summary) -> str:
    """Return the use of a run as text."""
    shares = summary["efficiency"].items()
    figures = list_figures(summary) + [
        (f"efficiency of {name}", format_share(found["share"]))
        for name, found in shares
    ]
    lines = [f"{value:>12}  {name}" for name, value in figures]
    lines += [found["said"] for _, found in shares]
    lines += [*summary["differences"], *summary["advice"]]
    lines += [*summary.get("forecast", []), *summary["notes"]]
    return "\n".join(lines)
