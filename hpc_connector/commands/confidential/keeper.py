"""``hpc-connector keeper``: hold headers, and release them to jobs."""

import argparse
import logging
from typing import Any

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_passphrase, add_trust
from hpc_connector.confidential.keeper.registry import (
    add_file,
    describe_all,
    revoke_names,
)
from hpc_connector.confidential.keeper.server import serve
from hpc_connector.confidential.keeper.settings import read_settings
from hpc_connector.confidential.keeper.state import Keeper, open_keeper
from hpc_connector.confidential.keys import load_key, load_trusted, read_passphrase
from hpc_connector.confidential.serving import wait_for_end
from hpc_connector.pipeline.cores import forbid_cores

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add(commands, "run", "serve until SIGTERM")
    add = _add(commands, "add", "keep the header of files of a data set")
    add.add_argument("data", metavar="DATASET", help="as keeper.toml names it")
    said = "encrypted for the keeper, with a seal beside it"
    add.add_argument("files", type=cli.local, nargs="+", metavar="FILE.c4gh", help=said)
    add_trust(add)
    _add(commands, "list", "print objects and grants, a line each")
    revoke = _add(commands, "revoke", "release nothing more by grants, or of objects")
    said = "of a grant or an object, as list prints it"
    revoke.add_argument("names", nargs="+", metavar="NAME", help=said)


def _add(commands: Any, name: str, said: str) -> cli.OneLineParser:
    parser = cli.add_command(commands, name, said)
    said = "keeper.toml: where it listens, whom it believes, who may have what"
    parser.add_argument(
        "--config", type=cli.local, required=True, metavar="FILE", help=said
    )
    add_passphrase(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; its process, which has the key, leaves no core file."""
    forbid_cores()
    settings = read_settings(args.config)
    passphrase = read_passphrase(args.passphrase_fd)
    keeper = open_keeper(settings, load_key(settings.keeper.key, passphrase))
    if args.what == "run":
        return run_server(keeper)
    if args.what == "add":
        trusted = load_trusted(args.trust)
        for path in args.files:
            print(add_file(keeper, args.data, path, trusted).id, path, sep="\t")
    elif args.what == "revoke":
        revoke_names(keeper, args.names)
    else:
        for line in describe_all(keeper):
            print(line)
    return cli.DONE


def run_server(keeper: Keeper) -> int:
    """Serve until this process is told to end."""
    with serve(keeper) as (host, port):
        logger.info("keeper on https://%s:%d", host, port)
        wait_for_end()
    return cli.DONE
