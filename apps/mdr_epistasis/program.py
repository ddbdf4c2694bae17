"""The command line of ``mdr-epistasis``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from hpc_connector import cli

NAME = "mdr-epistasis"
MOST_DISTANCE = 10**12  # no genome is as long
COMPANIONS = {
    "--sample-file": "individuals in order, for BGEN, .gen, BSC's text",
    "--fam": ".fam of a .bed file",
    "--bim": ".bim of a .bed file",
}


def make_parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the parser of the program and that of its ``run``."""
    parser = cli.make_parser(
        NAME, "Exhaustive epistasis search by multifactor dimensionality reduction."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="search all pairs (or triples) of variants")
    add_run_arguments(run)
    report = commands.add_parser("report", help="write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR")
    simulate = commands.add_parser(
        "simulate", help="make a cohort with a known interaction"
    )
    simulate.set_defaults(parser=simulate)
    return parser, run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mdr-epistasis run``."""
    cli.add_common(parser)
    cli.add_burst(parser)
    add = parser.add_argument
    said = "VCF, BCF, .bed, BGEN, .gen"
    add("genotypes", nargs="+", type=cli.source, metavar="GENOTYPES", help=said)
    said = "who is a case; if the genotypes do not say"
    add("--labels", type=cli.source, metavar="FILE", help=said)
    add("--label-column", metavar="NAME", help="column of the label, name or number")
    add("--id-column", metavar="NAME", help="column of the ids; FID,IID for two")
    add(
        "--1",
        action="store_true",
        dest="zero_one",
        help="labels are 0 control, 1 case also in PLINK's files (there 1 and 2)",
    )
    for name, what in COMPANIONS.items():
        said = f"{what}, of another stem"
        add(name, action="append", type=cli.source, metavar="FILE", help=said)
    add("--order", type=int, choices=(2, 3), default=2, help="variants of a model (2)")
    add("--folds", type=cli.at_least(1), default=10, help="1: no cross-validation (10)")
    said = "id and fold (0, 1, ...) of each individual"
    add("--fold-file", type=cli.source, metavar="FILE", help=said)
    add("--top", type=cli.at_least(1), default=1000, help="models reported (1000)")
    add("--rank-by", choices=("test", "train", "whole"), default="test")
    add("--all-models", action="store_true", help="store the error of every model")
    add("--permutations", type=cli.at_least(0), default=0, help="for p-values (0)")
    add(
        "--permutation-test",
        choices=("labels", "interaction"),
        default="labels",
        help="shuffle labels, or genotypes within each class (labels)",
    )
    add(
        "--imputation-threshold", type=cli.fraction, default=0.9, help="of a call (0.9)"
    )
    add("--vcf-field", choices=("GT", "GP", "DS"), default="GT", help="default: GT")
    add(
        "--half-call",
        choices=("missing", "haploid", "reference", "error"),
        default="missing",
        help="what calls such as 0/. are (missing)",
    )
    add("--chromosome", metavar="NAME", help="of files that name none, as .gen may")
    add("--pass-only", action="store_true", help="only records whose FILTER is PASS")
    add("--min-maf", type=cli.fraction, default=0.01, help="least allele frequency")
    add("--max-missing", type=cli.fraction, default=0.05, help="greatest missing share")
    distance = cli.at_least(0, MOST_DISTANCE)
    add("--min-distance-bp", type=distance, default=0, help="within a chromosome")
    add("--missing", choices=("exclude", "level"), default="exclude")
    add("--tie", choices=("high", "low"), default="high", help="risk of a tied cell")
    said = "ids to search among, one a line"
    add("--variants", type=cli.source, metavar="FILE", help=said)
    said = "second list: pairs across the two"
    add("--with-variants", type=cli.source, metavar="FILE", help=said)
    add("--compat", choices=("bsc",), help="write what BSC's Spark program writes")
    said = "of --compat bsc: FIRST-SECOND a line"
    add("--file-pairs", type=cli.source, metavar="FILE", help=said)


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser, run = make_parser()
        if argv[:1] == ["simulate"]:
            return run_simulate(argv[1:])
        args = cli.parse(parser, run, argv)
        if args.command == "report":
            cli.set_up_log(NAME)
            from mdr_epistasis.report.page import save_report

            print(save_report(args.directory))
            return cli.DONE
    except Exception as error:
        return cli.explain(NAME, error)
    return run_search(args)


def run_simulate(argv: list[str]) -> int:
    """Run ``mdr-epistasis simulate``."""
    from mdr_epistasis import simulate

    parser = cli.make_parser(f"{NAME} simulate", "Make a cohort with a known answer.")
    simulate.add_arguments(parser)
    args = parser.parse_args(argv)
    cli.set_up_log(NAME)
    return simulate.run(args)


def run_search(args: argparse.Namespace) -> int:
    """Run ``mdr-epistasis run`` on all ranks."""
    cli.save_start_time()
    if args.plan:
        from mdr_epistasis.plan import get_cost

        return cli.print_plan(NAME, lambda: get_cost(args))
    from hpc_connector import pipeline

    def search(comm: Any) -> int:
        if args.compat == "bsc":
            from mdr_epistasis.compat_bsc import run
        else:
            from mdr_epistasis.run import run
        return run(comm, args)

    return pipeline.run_program(NAME, search, args)
