"""``hpc-connector encrypt``: files that only their readers can open."""

import argparse

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_recipients, name_beside
from hpc_connector.confidential.files import encrypt_file
from hpc_connector.confidential.keys import load_recipients, load_signer
from hpc_connector.pipeline.cores import forbid_cores
from hpc_connector.storage.address import ENCRYPTED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    said = "each becomes FILE.c4gh; it stays as it is"
    add("files", type=cli.local, nargs="+", metavar="FILE", help=said)
    add_recipients(parser)
    said = "private Ed25519 key: write a seal beside each, FILE.c4gh.seal"
    add("--sign", type=cli.local, metavar="SIGNER.pem", help=said)
    said = "folder of the encrypted files (default: beside each)"
    add("--out", type=cli.local, metavar="DIR", help=said)


def run(args: argparse.Namespace) -> int:
    """Encrypt files; print the paths of what was written."""
    recipients = load_recipients(args.to)
    forbid_cores()
    signer = load_signer(args.sign) if args.sign else None
    for path in args.files:
        target = name_beside(path, args.out, path.name + ENCRYPTED)
        for written in encrypt_file(path, target, recipients, signer):
            print(written)
    return cli.DONE
