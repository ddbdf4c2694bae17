"""``hpc-connector decrypt``: the plaintext of an encrypted file."""

import argparse
import sys
from pathlib import Path

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_key, add_trust, get_key
from hpc_connector.confidential.files import decrypt_file
from hpc_connector.confidential.keys import load_trusted
from hpc_connector.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("file", type=cli.local, metavar="FILE.c4gh", help="encrypted by Crypt4GH")
    add_key(parser)
    add_trust(parser)
    said = "of the plaintext, for its owner alone; - is standard output"
    add("--out", type=Path, required=True, metavar="FILE", help=said)


def run(args: argparse.Namespace) -> int:
    """Decrypt a file."""
    key, trusted = get_key(args), load_trusted(args.trust)
    if str(args.out) == "-":
        decrypt_file(args.file, sys.stdout.buffer, key, trusted)
        return cli.DONE
    with publish(args.out, private=True) as stream:
        decrypt_file(args.file, stream, key, trusted)
    return cli.DONE
