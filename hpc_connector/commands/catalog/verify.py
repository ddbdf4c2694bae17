"""``hpc-connector catalog verify``: whether objects are as they were."""

import argparse
import json
import time

from hpc_connector import cli
from hpc_connector.catalogue.verify import Verified, verify
from hpc_connector.commands.catalog.words import (
    add_json,
    add_place,
    as_reference,
    get_catalog,
    load_trusted,
)
from hpc_connector.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    said = "of data sets, ID or ID@VERSION (default: all, and the chain of events)"
    add("ids", nargs="*", type=as_reference, metavar="ID", help=said)
    said = "read all bytes again, for their SHA-256"
    add("--full", action="store_true", help=said)
    said = "public key of a signer, by one of whom each event must be signed"
    add("--trust", type=cli.local, action="append", metavar="KEY.pub.pem", help=said)
    add_json(parser)
    add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line a fault; 2 where there is one, 75 where a store does not answer."""
    if args.trust and args.ids:
        raise BadInput("--trust: expected it without an id: it proves all events")
    start_s = time.monotonic()
    with get_catalog(args) as catalog:
        trusted = load_trusted(args.trust or ())
        found = verify(catalog, args.ids, full=args.full, trusted=trusted)
    wall_s = time.monotonic() - start_s
    if args.json:
        told = found._asdict() | {"faults": [one._asdict() for one in found.faults]}
        print(json.dumps(told | {"wall_s": round(wall_s, 3)}))
    else:
        for one in found.faults:
            print(": ".join(part for part in (one.dataset, one.url, one.said) if part))
        print(describe(found, wall_s, is_trusted=bool(args.trust)))
    if any(not one.later for one in found.faults):
        return cli.BAD_INPUT
    return cli.STOPPED if found.faults else cli.DONE


def describe(found: Verified, wall_s: float, *, is_trusted: bool) -> str:
    """Return the line of what was looked at."""
    said = f"{count(found.data_sets, 'data set')}, {count(found.objects, 'object')}"
    if found.bytes:
        said += f", {found.bytes:,} bytes read at {found.bytes / wall_s / 1e6:.0f} MB/s"
    if found.signed:
        how = "" if is_trusted else " (not checked: --trust says by whom)"
        said += f", {count(found.signed, 'signed event')}{how}"
    faults = found.faults
    return f"{said}: {count(len(faults), 'fault') if faults else 'all as they were'}"


def count(n: int, what: str) -> str:
    """Return a number of things in words: 1 fault, 2 faults."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
