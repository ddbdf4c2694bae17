"""``hpc-connector streams append``: a record a line of standard input."""

import argparse
import json
import os
import sys
from collections.abc import Iterator

from hpc_connector import cli
from hpc_connector.commands.streams.address import add_stream, open_asked
from hpc_connector.errors import BadInput
from hpc_connector.streams.records import segment_of

PIECE_BYTES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the arguments of the command."""
    add_stream(parser)
    add = parser.add_argument
    said = "of all records (default: an empty one)"
    add("--key", default="", metavar="K", help=said)
    said = "that they are appended to (default: that of the key)"
    add("--segment", type=cli.at_least(0), metavar="N", help=said)
    said = "when files are on the disk: each record, after 1s, none (default: 1s)"
    add("--sync", choices=("each", "1s", "none"), default="1s", help=said)
    add("--json", action="store_true", help="print the position of each record")


def run(args: argparse.Namespace, _: str) -> int:
    """Append what comes, as soon as it does."""
    key = os.fsencode(args.key)
    with open_asked(args, sync=args.sync) as stream:
        segment = args.segment
        if segment is None:
            segment = segment_of(key, stream.n_segments)
        elif segment >= stream.n_segments:  # also where nothing comes
            most = stream.n_segments - 1
            raise BadInput(f"{args.url}: segment {segment}: expected 0 to {most}")
        for lines in read_lines():
            if not args.json:
                stream.append_many(segment, ((key, line) for line in lines))
                continue
            for line in lines:
                position = stream.append(segment, key, line)
                print(json.dumps({"segment": segment, "position": position}))
            sys.stdout.flush()
    return cli.DONE


def read_lines() -> Iterator[list[bytes]]:
    """Give the lines of standard input as they come, without their ends."""
    rest = b""
    if sys.stdin is None:
        raise BadInput("standard input is closed: expected lines to append")
    file = sys.stdin.fileno()
    while piece := os.read(file, PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]
