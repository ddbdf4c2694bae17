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
    run = cli.add_command(commands, "run", "annotate a dataset")
    add_run_arguments(run)
    report = cli.add_command(commands, "report", "write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR", help="folder of the run")
    return parser, run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``metabolite-annotation run``."""
    parser.usage = "%(prog)s DATASET.imzML --database FILE... --out DIR [OPTION...]"
    add_inputs(parser)
    add_ions(parser)
    add_scores(parser)
    add_exports(parser)
    cli.add_common(parser)
    cli.add_burst(parser)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the dataset, and what it does not say of itself."""
    add = parser.add_argument_group("dataset and databases").add_argument
    said = "the .ibd file stands beside it; a file or an object"
    add("dataset", type=cli.source, metavar="DATASET.imzML", help=said)
    said = "tables with the columns id, name, formula: TSV or CSV"
    files: dict[str, Any] = {
        "nargs": "+",
        "required": True,
        "type": cli.source,
        "metavar": "FILE",
    }
    add("--database", **files, help=said)
    said = "of databases: leave them out and count them (default: an error)"
    add("--skip-bad-rows", action="store_true", help=said)
    said = "position z of the section, if there are several (default: the only one)"
    add("--section", type=float, metavar="Z", help=said)
    said = "take the .ibd file whatever its UUID and checksum are"
    add("--no-check", dest="check", action="store_false", help=said)
    signs = ("positive", "negative")
    add("--polarity", choices=signs, help="of the ions (default: the file's)")
    said = "profile spectra: pick their peaks, or search each point (default: refuse)"
    add("--profile", choices=("centroid", "as-is"), help=said)


def add_ions(parser: argparse.ArgumentParser) -> None:
    """Add which ions are looked for, and how their patterns are drawn."""
    add = parser.add_argument_group("ions and isotope patterns").add_argument
    listed: dict[str, Any] = {"type": split, "metavar": "LIST"}
    said = "of a molecule and its charge (default: +H,+Na,+K; negative ions -H,+Cl)"
    add("--adducts", **listed, help=said)
    said = "such as -H2O,-CO2 (default: none)"
    add("--neutral-losses", **listed, default=(), help=said)
    said = "changes of a molecule, such as -CO2+CO (default: none)"
    add("--chem-mods", **listed, default=(), help=said)
    kinds = ("auto", "FTICR", "Orbitrap", "TOF")
    said = "by the model or analyzer that the file names, else Orbitrap (default: auto)"
    add("--instrument", choices=kinds, default="auto", help=said)
    said = "resolving power at an m/z (default: 140000@200)"
    add("--resolving-power", type=resolving_power, metavar="R@MZ", help=said)
    said = "width of a peak in dalton, instead (default: by the resolving power)"
    add("--isocalc-sigma", type=positive, metavar="DA", help=said)
    said = "of isotope patterns, for later runs (default: ~/.cache/hpc_connector)"
    add("--pattern-cache", metavar="DIR", type=cli.local, help=said)


def add_scores(parser: argparse.ArgumentParser) -> None:
    """Add how ions are found and scored, and which are reported."""
    add = parser.add_argument_group("scores and rates").add_argument
    said = "half the window of a peak, parts per million (default: %(default)g)"
    add("--ppm", type=positive, default=3.0, metavar="PPM", help=said)
    said = "METASPACE's; rates of the two do not compare (default: %(default)s)"
    add("--analysis-version", type=int, choices=(3, 1), default=3, help=said)
    said = "greatest false discovery rate reported (default: %(default)s)"
    add("--fdr", type=cli.fraction, default=0.5, metavar="FRACTION", help=said)
    said = "decoys of a target ion (default: %(default)s)"
    add("--decoys", type=cli.at_least(1), default=20, metavar="N", help=said)
    said = "METASPACE-ML's, which scores instead (default: the MSM score)"
    add("--model", metavar="FILE.cbm", help=said)


def add_exports(parser: argparse.ArgumentParser) -> None:
    """Add what is written beside the results, and where files are staged."""
    add = parser.add_argument_group("exports and staging").add_argument
    said = "csv, anndata or both: intensities of all pixels (default: none)"
    add("--export", type=exports, metavar="LIST", default=(), help=said)
    kinds = ("none", "tic", "rms", "median")
    said = "intensities of an export; scores are of what was measured (default: none)"
    add("--normalise", choices=kinds, default="none", help=said)
    said = "of each node, to copy the .ibd file to: '$TMPDIR', say (default: no copy)"
    add("--scratch", type=cli.local, metavar="DIR", help=said)


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
    from hpc_connector.pipeline.program import run_program

    def annotate(comm: Any) -> int:
        from metabolite_annotation.run import run

        return run(comm, args)

    return run_program(NAME, annotate, args)
