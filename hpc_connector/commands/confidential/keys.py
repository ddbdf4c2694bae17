"""``hpc-connector keys``: make keys, who may have them, files to other readers."""

import argparse
from pathlib import Path

from hpc_connector import cli
from hpc_connector.commands.confidential import (
    keys_grant,
    keys_log,
    keys_login,
    keys_measure,
)
from hpc_connector.commands.confidential.words import (
    add_key,
    add_passphrase,
    add_recipients,
    get_key,
)
from hpc_connector.confidential.files import reencrypt_file
from hpc_connector.confidential.keys import (
    load_recipients,
    read_passphrase,
    save_new_keys,
    save_new_signer,
)
from hpc_connector.errors import BadInput
from hpc_connector.pipeline.cores import forbid_cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    new = cli.add_command(commands, "new", "make the key of a reader, or of a signer")
    said = "written are NAME.sec, for you alone, and NAME.pub"
    new.add_argument("name", type=Path, metavar="NAME", help=said)
    said = "of who seals files, instead: NAME.pem and NAME.pub.pem"
    new.add_argument("--signer", action="store_true", help=said)
    add_passphrase(new)
    again = cli.add_command(
        commands, "reencrypt", "give a file to other readers, by its header alone"
    )
    said = "encrypted by Crypt4GH"
    again.add_argument("file", type=cli.local, metavar="FILE.c4gh", help=said)
    add_key(again)
    add_recipients(again)
    said = "a copy for them (default: the header is written over)"
    again.add_argument("--out", type=cli.local, metavar="FILE", help=said)
    keys_login.add_commands(commands)
    keys_grant.add_command(commands)
    keys_log.add_command(commands)
    keys_measure.add_commands(commands)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    if "act" in args:
        code: int = args.act(args)
        return code
    if args.what == "reencrypt":
        recipients = load_recipients(args.to)
        print(reencrypt_file(args.file, get_key(args), recipients, args.out))
        return cli.DONE
    forbid_cores()
    passphrase = read_passphrase(args.passphrase_fd)
    if passphrase == b"":
        raise BadInput(
            f"--passphrase-fd {args.passphrase_fd}: its first line is empty: expected "
            "a passphrase"
        )
    if args.signer and passphrase:
        raise BadInput("--passphrase-fd: the key of a signer has none here")
    name = args.name
    for path in (
        save_new_signer(name) if args.signer else save_new_keys(name, passphrase or b"")
    ):
        print(path)
    return cli.DONE
