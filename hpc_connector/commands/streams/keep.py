"""``hpc-connector streams create|seal|retain|list|verify``: look after streams."""

import argparse
import json
import time
from dataclasses import asdict
from typing import Any

from hpc_connector import cli
from hpc_connector.commands.streams.address import add_stream, open_asked
from hpc_connector.errors import BadInput
from hpc_connector.streams.records import MOST_SEGMENTS
from hpc_connector.streams.stream import Stream
from hpc_connector.streams.verify import verify_stream
from hpc_connector.units import SIZE, parse_size


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of one of the commands."""
    add_stream(parser)
    add = parser.add_argument
    if name == "create":
        said = "in each of which order holds (default: %(default)s)"
        number = cli.at_least(1, MOST_SEGMENTS)
        add("--segments", type=number, default=1, metavar="N", help=said)
    if name == "seal":
        add("--segment", type=cli.at_least(0), metavar="N", help="one (default: all)")
    if name == "retain":
        add = parser.add_mutually_exclusive_group(required=True).add_argument
        said = "that records are kept, such as 7d or 12h (default: for ever)"
        add("--keep", type=cli.seconds, metavar="TIME", help=said)
        said = f"of all that is kept, {SIZE} (default: no limit)"
        size = cli.as_type(parse_size)
        add("--keep-bytes", type=size, metavar="SIZE", help=said)
        add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, name: str) -> int:
    """Run one of the commands."""
    chosen = {
        "create": create,
        "seal": seal,
        "retain": retain,
        "list": show,
        "verify": verify,
    }[name]
    with open_asked(args) as stream:
        found, lines = chosen(stream, args)
    print(json.dumps(found) if args.json else "\n".join(lines))
    if faults := found.get("faults", []):
        raise BadInput(f"{len(faults)} damaged: {faults[0]}")
    return cli.DONE


Said = tuple[dict[str, Any], list[str]]  # for programs, and for people


def create(stream: Stream, args: argparse.Namespace) -> Said:
    """Make a stream."""
    stream.create(args.segments)
    said = f"{stream.url}: {args.segments} segment{'s' * (args.segments > 1)}"
    return {"url": stream.url, "segments": args.segments}, [said]


def seal(stream: Stream, args: argparse.Namespace) -> Said:
    """End a stream, or one of its segments."""
    stream.seal(args.segment)
    what = "all" if args.segment is None else f"segment {args.segment}"
    return {"url": stream.url, "sealed": args.segment}, [f"{stream.url}: {what} sealed"]


def retain(stream: Stream, args: argparse.Namespace) -> Said:
    """Delete old records."""
    before = None if args.keep is None else time.time_ns() - round(args.keep * 1e9)
    n_bytes = stream.retain(before, args.keep_bytes)
    said = f"{stream.url}: {n_bytes:,} bytes deleted"
    return {"url": stream.url, "deleted_bytes": n_bytes}, [said]


def show(stream: Stream, args: argparse.Namespace) -> Said:
    """Say what there is of each segment."""
    state = stream.describe()
    lines = [f"{state.url}, created {state.created}"]
    lines.append(f"{'segment':>7} {'records':>13} {'bytes':>17}  state")
    for one in state.segments:
        counts = ["-" if n is None else f"{n:,}" for n in (one.n_records, one.n_bytes)]
        written = f"written by {one.writer}" if one.writer else "open"
        lines.append(
            f"{one.segment:>7} {counts[0]:>13} {counts[1]:>17}  "
            f"{'sealed' if one.is_sealed else written}; from {one.first} to {one.tail}"
        )
    return asdict(state), lines


def verify(stream: Stream, args: argparse.Namespace) -> Said:
    """Read all of a stream."""
    found = verify_stream(stream)
    lines = [
        f"segment {one.segment}: {one.n_records:,} records, {one.n_bytes:,} bytes of "
        f"keys and values{', sealed' * one.is_sealed}"
        for one in found
    ]
    faults = [fault for one in found for fault in one.faults]
    segments = [asdict(one) for one in found]
    return {"url": stream.url, "segments": segments, "faults": faults}, lines + faults
