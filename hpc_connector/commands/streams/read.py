"""``hpc-connector streams read``: print records, also as they come."""

import argparse
import base64
import json
import sys
from collections.abc import Iterable, Iterator

from hpc_connector import cli
from hpc_connector.commands.streams.address import add_stream, open_asked
from hpc_connector.errors import BadInput
from hpc_connector.streams.follow import MOST_RECORDS, follow
from hpc_connector.streams.records import END, START, Record
from hpc_connector.streams.stream import Stream


def add_arguments(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the arguments of the command."""
    add_stream(parser)
    add = parser.add_argument
    said = "that is read (default: all)"
    add("--segment", type=cli.at_least(0), metavar="N", help=said)
    said = "of a record, behind which is read; start; end (default: %(default)s)"
    add("--from", dest="position", default=START, metavar="POSITION", help=said)
    said = "wait for more, until the stream is sealed"
    add("--follow", action="store_true", help=said)
    said = "go on behind damaged records, at the next file"
    add("--skip-damaged", action="store_true", help=said)
    said = "print a JSON object a record, not its value alone"
    add("--json", action="store_true", help=said)


def run(args: argparse.Namespace, _: str) -> int:
    """Print records."""
    with open_asked(args, skip_damaged=args.skip_damaged) as stream:
        n_segments = stream.n_segments
        segments = range(n_segments) if args.segment is None else [args.segment]
        if args.position not in (START, END) and len(segments) > 1:
            raise BadInput(
                f"--from {args.position}: a position is one of a segment: expected "
                f"--segment 0 to {n_segments - 1}"
            )
        is_end = args.position == END
        positions = {k: stream.tail(k) if is_end else args.position for k in segments}
        if args.follow:
            found: Iterable[list[Record]] = follow(stream, positions, segments=segments)
        else:
            found = read_all(stream, positions)
        for records in found:
            print_records(records, as_json=args.json)
    return cli.DONE


def read_all(stream: Stream, positions: dict[int, str]) -> Iterator[list[Record]]:
    """Give the records behind positions that are there now."""
    for segment, position in positions.items():
        while records := stream.read(segment, position, most_records=MOST_RECORDS):
            yield records
            position = records[-1].position


def print_records(records: list[Record], *, as_json: bool) -> None:
    """Print records, a line each."""
    if as_json:
        lines = [json.dumps(describe(record)).encode() for record in records]
    else:
        lines = [record.value for record in records]
    sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
    sys.stdout.buffer.flush()


def describe(record: Record) -> dict[str, object]:
    """Return a record as values of JSON; bytes that are no UTF-8 are in base64."""
    found: dict[str, object] = record._asdict()
    for name in ("key", "value"):
        data: bytes = getattr(record, name)
        try:
            found[name] = data.decode()
        except UnicodeDecodeError:
            del found[name]
            found[f"{name}_base64"] = base64.b64encode(data).decode()
    return found
