"""``hpc-connector account``: what Slurm says of a job goes into the manifest."""

import argparse
import logging
import sys
import tomllib
from pathlib import Path

from hpc_connector import cli
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.slurm import read_figures

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
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
    earlier = [a for a in record.get("slurm", []) if a["job"] != attempts[0]["job"]]
    save_manifest(out, record | {"slurm": earlier + attempts})
    return cli.DONE


def find_out(arguments: list[str]) -> Path | None:
    """Return the folder of results that a program's arguments name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--config", type=Path)
    known, _ = parser.parse_known_args(arguments)
    if known.out is None and known.config is not None:
        out = tomllib.loads(known.config.read_text()).get("out")
        return None if out is None else Path(out)
    return known.out
