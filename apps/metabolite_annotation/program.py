"""The command line of ``metabolite-annotation``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from hpc_connector import cli

NAME = "metabolite-annotation"
SIGNED = ("--adducts", "--neutral-losses", "--chem-mods")  # values begin with + or -


def make_parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the parser of the program and that of its ``run``."""
    parser = cli.make_parser(
        NAME, "FDR-controlled annotation of metabolites in imaging mass spectrometry."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="annotate a dataset")
    add_run_arguments(run)
    report = commands.add_parser("report", help="write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR")
    return parser, run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``metabolite-annotation run``."""
    cli.add_common(parser)
    cli.add_burst(parser)
    add = parser.add_argument
    add("dataset", type=cli.source, metavar="DATASET.imzML")
    add(
        "--database",
        nargs="+",
        required=True,
        type=cli.source,
        metavar="FILE",
        help="table with the columns id, name, formula: TSV or CSV",
    )
    add(
        "--skip-bad-rows",
        action="store_true",
        help="of databases: leave them out and count them",
    )
    add("--section", type=float, metavar="Z", help="of several: its position z")
    add(
        "--no-check",
        dest="check",
        action="store_false",
        help="take the .ibd file whatever its UUID and checksum are",
    )
    add("--polarity", choices=("positive", "negative"), help="default: the file's")
    add(
        "--profile",
        choices=("centroid", "as-is"),
        help="of profile spectra: pick their peaks, or search point by point",
    )
    add("--adducts", type=split, help="such as +H,+Na,+K (the default if positive)")
    add("--neutral-losses", type=split, default=(), help="such as -H2O,-CO2")
    add("--chem-mods", type=split, default=(), help="such as -CO2+CO")
    add("--analysis-version", type=int, choices=(3, 1), default=3, help="METASPACE's")
    add(
        "--instrument",
        choices=("auto", "FTICR", "Orbitrap", "TOF"),
        default="auto",
        help="auto: by the model or analyzer the file names, else Orbitrap",
    )
    add(
        "--resolving-power",
        type=resolving_power,
        metavar="R@MZ",
        help="of the instrument (140000@200)",
    )
    add("--isocalc-sigma", type=positive, metavar="DA", help="instead of its power")
    add("--ppm", type=positive, default=3.0, help="half the window of a peak (3)")
    add("--fdr", type=cli.fraction, default=0.5, help="greatest one reported (0.5)")
    add("--decoys", type=cli.at_least(1), default=20, metavar="N", help="an ion (20)")
    add("--model", metavar="FILE.cbm", help="METASPACE-ML's; scores instead of MSM")
    add(
        "--export",
        type=exports,
        default=(),
        help="csv, anndata or both: intensities of all pixels",
    )
    add(
        "--normalise",
        choices=("none", "tic", "rms", "median"),
        default="none",
        help="intensities of an export; scores are of what was measured",
    )
    add(
        "--scratch",
        type=cli.local,
        metavar="DIR",
        help="of each node, to copy the .ibd file to first: '$TMPDIR', say",
    )
    add("--pattern-cache", metavar="DIR", type=cli.local, help="of isotope patterns")


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def positive(text: str) -> float:
    """Return a number above 0."""
    if not 0 < (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return number


def resolving_power(text: str) -> tuple[float, float]:
    """Return a resolving power and its m/z from text such as 140000@200."""
    power, _, mz = text.partition("@")
    return positive(power), positive(mz or "200")


def exports(text: str) -> tuple[str, ...]:
    """Return the formats of an export."""
    names = split(text)
    if unknown := set(names) - {"csv", "anndata"}:
        raise argparse.ArgumentTypeError(f"{min(unknown)}: expected csv or anndata")
    return names


def join_signed(argv: list[str]) -> list[str]:
    """Return a command line in which ``--adducts -H`` is ``--adducts=-H``.

    What begins with a minus would be taken for an option.
    """
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in SIGNED and word[:1] in "+-[":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    argv = join_signed(sys.argv[1:] if argv is None else argv)
    try:
        parser, run = make_parser()
        args = cli.parse(parser, run, argv)
        if args.command == "report":
            cli.set_up_log(NAME)
            from metabolite_annotation.report.page import save_report

            print(save_report(args.directory))
            return cli.DONE
    except Exception as error:
        return cli.explain(NAME, error)
    return run_annotation(args)


def run_annotation(args: argparse.Namespace) -> int:
    """Run ``metabolite-annotation run`` on all ranks."""
    if not args.model and "anndata" not in args.export:  # which need SciPy
        cli.save_start_time()
    if args.plan:
        from metabolite_annotation.plan import get_cost

        return cli.print_plan(NAME, lambda: get_cost(args))
    from hpc_connector import pipeline

    def annotate(comm: Any) -> int:
        from metabolite_annotation.run import run

        return run(comm, args)

    return pipeline.run_program(NAME, annotate, args)
