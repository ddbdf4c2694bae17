"""``hpc-connector seal``: sign what an encrypted file is, and prove it."""

import argparse

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_key, add_trust, get_key
from hpc_connector.confidential.files import seal_file, verify_seal
from hpc_connector.confidential.keys import load_signer, load_trusted
from hpc_connector.crypt4gh.header import get_fingerprint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    make = cli.add_command(commands, "make", "write the seal of a file beside it")
    _add_file(make)
    add_key(make)
    said = "private Ed25519 key"
    make.add_argument(
        "--sign", type=cli.local, required=True, metavar="SIGNER.pem", help=said
    )
    said = "a later one replaces those before (default: %(default)s)"
    make.add_argument(
        "--seal-version", type=cli.at_least(1), default=1, metavar="N", help=said
    )
    verify = cli.add_command(commands, "verify", "compare a file with its seal")
    _add_file(verify)
    add_trust(verify, required=True)


def _add_file(parser: argparse.ArgumentParser) -> None:
    said = "encrypted by Crypt4GH"
    parser.add_argument("file", type=cli.local, metavar="FILE.c4gh", help=said)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    if args.what == "make":
        key = get_key(args)
        signer = load_signer(args.sign)
        print(seal_file(args.file, key, signer, args.seal_version))
        return cli.DONE
    seal = verify_seal(args.file, load_trusted(args.trust))
    print(
        f"{args.file}: {seal.head['segments']:,} segments as sealed, version "
        f"{seal.head['version']} of {seal.head['created']}, signed by "
        f"{get_fingerprint(seal.signer)}"
    )
    return cli.DONE
