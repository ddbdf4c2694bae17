"""``hpc-connector keys grant``: ask a keeper for what a job is to open."""

import argparse
import logging
from typing import Any

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_token, get_token
from hpc_connector.confidential.keeper.client import ask_keeper
from hpc_connector.confidential.keeper.grants import HOURS, USES
from hpc_connector.options import positive
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)


def add_command(commands: Any) -> None:
    """Add the command."""
    parser = cli.add_command(commands, "grant", "ask a keeper for data sets for a job")
    parser.set_defaults(act=run)
    add = parser.add_argument
    add("data", nargs="+", metavar="DATASET", help="as the keeper names it")
    add("--keeper", required=True, metavar="URL", help="its address, https://HOST:PORT")
    said = "that opens them, as mdr-epistasis"
    add("--program", required=True, metavar="PROGRAM", help=said)
    said = "hours from now on (default: %(default)g)"
    hours = cli.as_type(positive)
    add("--hours", type=hours, default=HOURS, metavar="N", help=said)
    said = "starts of its job, as it is queued again (default: %(default)s)"
    add("--uses", type=cli.at_least(1), default=USES, metavar="N", help=said)
    add_token(parser)


def run(args: argparse.Namespace) -> int:
    """Print the name of a grant, which is no secret."""
    asked = {"data": args.data, "program": args.program, "hours": args.hours}
    data = pack_json(asked | {"uses": args.uses})
    told = ask_keeper(args.keeper, "POST", "/v1/grants", data, get_token(args))
    logger.info("until %s, for %d starts of one job", told["ends"], told["uses"])
    print(told["grant"])
    return cli.DONE
