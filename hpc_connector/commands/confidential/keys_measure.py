"""``hpc-connector keys measure``: what a keeper lets open its data sets."""

import argparse
from typing import Any

from hpc_connector import cli
from hpc_connector.confidential.evidence.measurement import (
    hash_files,
    join_digests,
    list_files,
    measure,
)


def add_commands(commands: Any) -> None:
    """Add the command to those of ``keys``."""
    said = "print the measurement of the code that is installed here"
    command = cli.add_command(commands, "measure", said)
    said = "print also the SHA-256 of each file, to find what differs"
    command.add_argument("--files", action="store_true", help=said)
    command.set_defaults(act=run)


def run(args: argparse.Namespace) -> int:
    """Print a measurement."""
    if not args.files:
        print(measure())
        return cli.DONE
    digests = hash_files(list_files())
    for name, digest in digests:
        print(f"{digest}  {name.decode(errors='replace')}")
    print(join_digests(digests))
    return cli.DONE
