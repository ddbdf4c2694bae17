"""``hpc-connector account``: what Slurm says of a job goes into the manifest."""

import argparse
import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.slurm import read_figures

ASKED = ("node_mem_bytes", "limit_s")

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
    kept = join_attempts(record.get("slurm", []), attempts)
    save_manifest(out, record | {"slurm": kept})
    return cli.DONE


def join_attempts(
    before: list[dict[str, Any]], now: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the attempts of earlier jobs, and those of a job as they are now.

    What an attempt had asked for is kept as it was first read: later Slurm shows what
    the job asks for now.
    """
    jobs = {attempt["job"] for attempt in now}
    asked = {
        (attempt["job"], attempt.get("start")): {
            name: attempt[name] for name in ASKED if name in attempt
        }
        for attempt in before
    }
    return [attempt for attempt in before if attempt["job"] not in jobs] + [
        attempt | asked.get((attempt["job"], attempt["start"]), {}) for attempt in now
    ]


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
