"""``hpc-connector federate``: prepare a search over sites, and prove its logs."""

import argparse
import json
import logging
from typing import Any

import numpy as np

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.federation.invitation import invite
from hpc_connector.federation.records import verify_all
from hpc_connector.federation.site import read_site
from hpc_connector.federation.study import read_study
from hpc_connector.federation.variants import (
    check_build,
    describe_cases,
    read_list,
)
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample
from hpc_connector.loader.individuals import Match

logger = logging.getLogger(__name__)

STUDY = "STUDY.toml: sites, variants, settings, and what may be let out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_invite(commands)
    _add_check(commands)
    said = "print the logs of parties, and prove that no line was changed"
    log = cli.add_command(commands, "log", said)
    log.set_defaults(act=run_log)
    said = "of budgets and logs, as --records of the search"
    log.add_argument("records", type=cli.local, metavar="DIR", help=said)


def _add_invite(commands: Any) -> None:
    parser = cli.add_command(commands, "invite", "write a folder for each site")
    parser.set_defaults(act=run_invite)
    add = parser.add_argument
    add("study", type=cli.local, metavar="STUDY", help=STUDY)
    said = "where each site gets a folder: the study, its list, a key of its masks"
    add("--out", type=cli.local, required=True, metavar="DIR", help=said)


def _add_check(commands: Any) -> None:
    said = "find the variants of a site in the list of the study: nothing leaves"
    parser = cli.add_command(commands, "check", said)
    parser.set_defaults(act=run_check)
    add = parser.add_argument
    add("study", type=cli.local, metavar="STUDY", help=STUDY)
    add("--site", required=True, metavar="NAME", help="as the study names it")
    said = "of the site, in files of any format"
    add("--genotypes", nargs="+", required=True, metavar="GENOTYPES", help=said)
    said = "of them (default: by the contigs of a VCF, else the study's)"
    add("--build", choices=("GRCh37", "GRCh38"), help=said)
    said = "reference sequence of that build, by which indels are aligned to the left"
    add("--fasta", metavar="FASTA", help=said)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    code: int = args.act(args)
    return code


def run_invite(args: argparse.Namespace) -> int:
    """Write the folders of the sites."""
    made = invite(args.study, args.out)
    for path in made:
        print(path)
    if made:
        logger.info(
            "%d private keys were made here: give each to its site alone, and keep "
            "none; a site that makes its own (hpc-connector keys new) names the "
            "public one in the study as mask_public",
            len(made),
        )
    return cli.DONE


def run_check(args: argparse.Namespace) -> int:
    """Find the variants of a site in the list."""
    study = read_study(args.study)
    if args.site not in study.names:
        raise BadInput(
            f"{args.site}: no site of {args.study}: expected one of "
            f"{', '.join(study.names)}"
        )
    files = [inspect_sample(path, ReadOptions()) for path in args.genotypes]
    for file in files:
        check_build(file.path, args.build, study.build)
    n = files[0].n_individuals
    if any(file.n_individuals != n for file in files):
        raise BadInput("expected files of the same individuals")
    reference = read_list(study, args.fasta)
    everybody, nobody = np.arange(n), np.zeros(n, np.int64)
    match = Match((), nobody.astype(np.int8), [everybody] * len(files), [])
    read = read_site(files, match, nobody, 1, reference)
    print(f"{n:,} individuals; {len(reference):,} variants in the list")
    for line in describe_cases(reference.told):
        print(f"of the list: {line}")
    for line in describe_cases(read.cases):
        print(line)
    print(f"{int((~read.local.is_present).sum()):,} of the list are not here")
    if read.apart is None:
        print("frequencies: the list has none to compare with")
    else:
        print(f"frequencies differ from the list by {read.apart:.3f} at most")
    return cli.DONE


def run_log(args: argparse.Namespace) -> int:
    """Print the logs of a folder."""
    for path, n, lines in verify_all(args.records):
        print(f"{path}: {n:,} lines hold, by their chain and signatures")
        for line in lines:
            told = json.loads(line)
            known = {k: v for k, v in told.items() if v is not None}
            for name in ("prev", "sig", "seq"):
                known.pop(name, None)
            print("  " + "  ".join(f"{key} {value}" for key, value in known.items()))
    return cli.DONE
