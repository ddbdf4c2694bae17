"""``hpc-connector account``: what Slurm says of a job goes into the manifest."""

import argparse
import logging
import sys

from hpc_connector import cli
from hpc_connector.cluster.accounting import join_attempts, read_figures
from hpc_connector.manifest import find_out, read_manifest, save_manifest

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--code", type=int, metavar="N", help="the program ended with")
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="those of the program; what sacct says is read from standard input",
    )


def run(args: argparse.Namespace) -> int:
    """Add the figures to the manifest; without figures, or a run, do nothing."""
    attempts = read_figures(sys.stdin.read())
    out = find_out(args.arguments)
    if not attempts or out is None or not (out / "manifest.json").exists():
        logger.info("no figures of Slurm to keep")
        return cli.DONE
    record = read_manifest(out)
    kept = join_attempts(record.get("slurm", []), attempts)
    save_manifest(out, record | {"slurm": kept})
    return cli.DONE
