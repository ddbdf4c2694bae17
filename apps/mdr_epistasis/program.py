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
    run = cli.add_command(commands, "run", "search all pairs (or triples) of variants")
    add_run_arguments(run)
    report = cli.add_command(commands, "report", "write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR", help="folder of the run")
    said = "make a cohort with a known interaction"
    simulate = cli.add_command(commands, "simulate", said)
    simulate.set_defaults(parser=simulate)
    return parser, run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mdr-epistasis run``."""
    parser.usage = "%(prog)s GENOTYPES... --out DIR [OPTION...]"
    add_inputs(parser)
    add_reading(parser)
    add_filters(parser)
    add_search(parser)
    cli.add_common(parser)
    cli.add_burst(parser)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the files, and who is who."""
    add = parser.add_argument_group("genotypes and labels").add_argument
    said = "VCF, BCF, .bed, BGEN, .gen, BSC's text or a MDR table; files or objects"
    add("genotypes", nargs="+", type=cli.source, metavar="GENOTYPES", help=said)
    said = "who is a case; if the genotypes do not say"
    add("--labels", type=cli.source, metavar="FILE", help=said)
    said = "column of the label, name or number (default: by its name)"
    add("--label-column", metavar="NAME", help=said)
    said = "column of the ids; FID,IID for two (default: by what the ids are)"
    add("--id-column", metavar="NAME", help=said)
    said = "labels are 0 control, 1 case also in PLINK's files (there 1 and 2)"
    add("--1", action="store_true", dest="zero_one", help=said)
    for name, what in COMPANIONS.items():
        said = f"{what}, of another stem (default: beside the genotypes)"
        add(name, action="append", type=cli.source, metavar="FILE", help=said)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what genotypes are where a file leaves it open."""
    add = parser.add_argument_group("what genotypes are").add_argument
    said = "field of a VCF: calls, probabilities or dosages (default: GT)"
    add("--vcf-field", choices=("GT", "GP", "DS"), default="GT", help=said)
    said = "least probability of a call; below, it is missing (default: %(default)s)"
    threshold: dict[str, Any] = {
        "type": cli.fraction,
        "default": 0.9,
        "metavar": "FRACTION",
    }
    add("--imputation-threshold", **threshold, help=said)
    calls = ("missing", "haploid", "reference", "error")
    said = "what calls such as 0/. are (default: missing)"
    add("--half-call", choices=calls, default="missing", help=said)
    add("--chromosome", metavar="NAME", help="of files that name none, as .gen may")
    said = (
        "leave individuals out of a model, or a genotype of its own (default: exclude)"
    )
    add("--missing", choices=("exclude", "level"), default="exclude", help=said)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add which variants, and which models of them, are searched."""
    add = parser.add_argument_group("variants").add_argument
    add("--pass-only", action="store_true", help="only records whose FILTER is PASS")
    part: dict[str, Any] = {"type": cli.fraction, "metavar": "FRACTION"}
    said = "least frequency of the rarer allele (default: %(default)s)"
    add("--min-maf", **part, default=0.01, help=said)
    said = "greatest share of missing genotypes (default: %(default)s)"
    add("--max-missing", **part, default=0.05, help=said)
    said = "least distance in base pairs within a chromosome (default: %(default)s)"
    distance = cli.at_least(0, MOST_DISTANCE)
    add("--min-distance-bp", type=distance, default=0, metavar="BP", help=said)
    said = "ids to search among, one a line (default: all)"
    add("--variants", type=cli.source, metavar="FILE", help=said)
    said = "second list: pairs across the two"
    add("--with-variants", type=cli.source, metavar="FILE", help=said)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add what a model is, how it is scored, and what is kept."""
    add = parser.add_argument_group("models and results").add_argument
    said = "variants of a model (default: %(default)s)"
    add("--order", type=int, choices=(2, 3), default=2, help=said)
    said = "of the cross-validation; 1 for none (default: %(default)s)"
    add("--folds", type=cli.at_least(1), default=10, metavar="N", help=said)
    said = "id and fold (0, 1, ...) of each individual (default: by --seed)"
    add("--fold-file", type=cli.source, metavar="FILE", help=said)
    said = "risk of a cell of as many cases as expected (default: high)"
    add("--tie", choices=("high", "low"), default="high", help=said)
    add_results(add)
    said = "write what BSC's Spark program writes (default: our own)"
    add("--compat", choices=("bsc",), help=said)
    said = "of --compat bsc: FIRST-SECOND a line (default: all pairs of files)"
    add("--file-pairs", type=cli.source, metavar="FILE", help=said)


def add_results(add: Any) -> None:
    """Add what is reported of the models, and how sure that is."""
    said = "models reported (default: %(default)s)"
    add("--top", type=cli.at_least(1), default=1000, metavar="N", help=said)
    said = "accuracy by which models are ranked, of folds or whole (default: test)"
    add("--rank-by", choices=("test", "train", "whole"), default="test", help=said)
    add("--all-models", action="store_true", help="store the error of every model too")
    said = "for p-values over all models (default: %(default)s, none)"
    add("--permutations", type=cli.at_least(0), default=0, metavar="N", help=said)
    said = "shuffle labels, or genotypes within each class (default: labels)"
    tests = ("labels", "interaction")
    add("--permutation-test", choices=tests, default="labels", help=said)


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
    from hpc_connector.pipeline.program import run_program

    def search(comm: Any) -> int:
        if args.compat == "bsc":
            from mdr_epistasis.compat_bsc import run
        else:
            from mdr_epistasis.run import run
        return run(comm, args)

    return run_program(NAME, search, args)
