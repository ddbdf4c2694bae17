"""``hpc-connector telemetry agent``: watch the ranks on this node."""

import argparse
import os
import sys

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.watch.agent import watch_node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="folder of the run")
    said = "from sample to sample (default: %(default)g)"
    add("--interval", type=interval, default=1.0, metavar="SECONDS", help=said)
    add(
        "--pid",
        type=roots,
        default={},
        metavar="PID[:RANK],...",
        help="trees to watch (default: the ranks of this job on this node)",
    )
    said = "for its textfile collector, .prom (default: not written)"
    add("--prometheus", metavar="FILE", help=said)
    said = "stream that the rows are appended to as well, which is there"
    add("--stream", default="", metavar="URL", help=said)
    said = "of the stream (default: the number of this node in its job)"
    add("--segment", type=int, metavar="N", help=said)
    said = "credentials and certificates for NATS"
    add("--stream-profile", default="", metavar="FILE", help=said)


def interval(text: str) -> float:
    """Return an argparse value of the seconds between samples."""
    if not 0.01 <= (seconds := float(text)) <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: expected 0.01..3600")
    return seconds


def roots(text: str) -> dict[int, int | None]:
    """Return an argparse value of processes, each with its rank if that is given."""
    pairs = [word.partition(":") for word in text.split(",")]
    return {int(pid): int(rank) if rank else None for pid, _, rank in pairs}


def run(args: argparse.Namespace) -> int:
    """Watch until the ranks have ended, or a signal."""
    segment = args.segment
    if segment is None:
        segment = int(os.environ.get("SLURM_NODEID", 0))
    asked = (args.out, args.pid, args.interval, args.prometheus)
    return watch_node(*asked, args.stream, segment, args.stream_profile)


def main(argv: list[str] | None = None) -> int:
    """Run the agent without the command line around it, which would need memory."""
    parser = argparse.ArgumentParser(prog="hpc-connector telemetry agent")
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except BadInput as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
