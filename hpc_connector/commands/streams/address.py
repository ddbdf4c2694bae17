"""Which stream it is: arguments that all commands of streams share."""

import argparse
from typing import Any

from hpc_connector import cli
from hpc_connector.streams.open import EXPECTED, open_stream
from hpc_connector.streams.stream import Stream


def add_stream(parser: argparse.ArgumentParser) -> None:
    """Add the URL of a stream, and how its server is reached."""
    add = parser.add_argument
    add("url", metavar="URL", help=EXPECTED)
    said = "of NATS: TOML with token, nkey, ca, cert and key (default: none)"
    add("--profile", type=cli.local, metavar="FILE", help=said)


def open_asked(args: argparse.Namespace, **options: Any) -> Stream:
    """Return the stream that a command line names."""
    return open_stream(args.url, profile=args.profile, **options)
