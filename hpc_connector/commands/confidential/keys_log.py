"""``hpc-connector keys log``: prove that a keeper's log is as it was written."""

import argparse
from typing import Any

from hpc_connector import cli
from hpc_connector.confidential.keeper.log import name_public, verify_log
from hpc_connector.confidential.keys import load_trusted


def add_command(commands: Any) -> None:
    """Add the command."""
    parser = cli.add_command(commands, "log", "verify the log of a keeper")
    parser.set_defaults(act=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = cli.add_command(actions, "verify", "find the first line that was changed")
    add = verify.add_argument
    add("log", type=cli.local, metavar="LOG", help="of a keeper")
    said = "of the keeper; without them nobody sees what is cut off at the end"
    add("--checkpoints", type=cli.local, metavar="FILE", help=said)
    said = "public key of the log (default: LOG.pub.pem, which the keeper writes)"
    add("--trust", type=cli.local, metavar="KEEPER.pub.pem", help=said)


def run(args: argparse.Namespace) -> int:
    """Verify a log; print how many lines hold."""
    (public,) = load_trusted([args.trust or name_public(args.log)])
    n = verify_log(args.log, public, args.checkpoints)
    against = "and no checkpoints" if args.checkpoints is None else "and checkpoints"
    print(f"{args.log}: {n:,} lines hold, by their chain, signatures {against}")
    return cli.DONE
