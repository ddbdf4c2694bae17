"""Options that these commands share."""

import argparse
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector import cli
from hpc_connector.confidential.keys import load_key, read_passphrase
from hpc_connector.pipeline.cores import forbid_cores


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the key of a reader."""
    said = "private key of a reader; it may have a passphrase"
    parser.add_argument(
        "--key", type=cli.local, required=True, metavar="NAME.sec", help=said
    )
    add_passphrase(parser)


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add where a passphrase comes from."""
    said = "open file with the passphrase on its first line (default: asked for)"
    parser.add_argument("--passphrase-fd", type=cli.at_least(0), metavar="N", help=said)


def add_token(parser: argparse.ArgumentParser) -> None:
    """Add where the token of a user comes from."""
    said = "open file with a token on its first line (default: that of keys login)"
    parser.add_argument("--token-fd", type=cli.at_least(0), metavar="N", help=said)
    said = "command that prints a token, such as 'oidc-token NAME'"
    parser.add_argument("--token-command", default="", metavar="WORDS", help=said)


def get_token(args: argparse.Namespace) -> str:
    """Return the token of the user."""
    # slow to import, and most commands need no token
    from hpc_connector.confidential.identity.source import load_token

    forbid_cores()
    return load_token(descriptor=args.token_fd, command=args.token_command)


def add_recipients(parser: argparse.ArgumentParser) -> None:
    """Add the public keys of readers."""
    said = "public key of a reader; for several, several times"
    parser.add_argument(
        "--to",
        type=cli.local,
        required=True,
        action="append",
        metavar="READER.pub",
        help=said,
    )


def add_trust(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the public keys of signers, one of whom must have sealed a file."""
    said = "public key of who must have sealed it; several times for one of several"
    parser.add_argument(
        "--trust",
        type=cli.local,
        required=required,
        action="append",
        default=[],
        metavar="SIGNER.pub.pem",
        help=said,
    )


def get_key(args: argparse.Namespace) -> X25519PrivateKey:
    """Return the key of the reader; this process leaves no core file from then on."""
    forbid_cores()
    return load_key(args.key, read_passphrase(args.passphrase_fd))


def name_beside(path: Path, out: Path | None, name: str) -> Path:
    """Return a path of a name, in a folder if one is chosen, else beside a file."""
    if out is not None:
        os.makedirs(out, exist_ok=True)
    return (path.parent if out is None else out) / name
