"""The command line of ``mdr-epistasis``."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.errors import explain_missing
from hpc_connector.options import ReaderOptions
from mdr_epistasis.options import Options, choose_inputs

logger = logging.getLogger(__name__)

NAME = "mdr-epistasis"


def make_parser() -> tuple[cli.OneLineParser, cli.OneLineParser]:
    """Return the parser of the program and that of its ``run``."""
    parser = cli.make_parser(
        NAME, "Exhaustive epistasis search by multifactor dimensionality reduction."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = cli.add_command(commands, "run", "search all pairs (or triples) of variants")
    run.usage = "%(prog)s GENOTYPES... --out DIR [OPTION...]"
    cli.add_run_options(run, Options)
    report = cli.add_command(commands, "report", "write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR", help="folder of the run")
    cli.add_options(report, ReaderOptions)
    said = "search over sites that share no genotypes"
    federate = cli.add_command(commands, "federate", said)
    federate.set_defaults(parser=federate)
    said = "make a cohort with a known interaction"
    simulate = cli.add_command(commands, "simulate", said)
    simulate.set_defaults(parser=simulate)
    return parser, run


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    if argv is None:  # a process of its own
        cli.hold_collection()
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["federate"]:
        return run_federate(argv[1:])
    try:
        options = read_command(argv)
    except Exception as error:
        return cli.explain(NAME, error)
    if isinstance(options, int):
        return options
    from hpc_connector.pipeline.program import open_session

    try:
        with open_session(NAME, options, choose_inputs) as (comm, options):
            run = load_run(options)
            cli.begin_collection()
            outcome = run(comm, options)
            if outcome.result:
                print_top(options, outcome.result)
            code = cli.DONE if outcome.is_done else cli.STOPPED
    except SystemExit as end:
        return int(end.code or 0)
    return code


def read_command(argv: list[str]) -> Options | int:
    """Return the options of a run; do what else is asked for, and return its code."""
    parser, run = make_parser()
    if argv[:1] == ["simulate"]:
        return run_simulate(argv[1:])
    args = cli.parse(parser, run, argv)
    if args.command == "report":
        cli.set_up_log(NAME)
        from hpc_connector.pipeline.readers import begin_command
        from mdr_epistasis.report.page import save_report

        begin_command(cli.take_options(ReaderOptions, args), [args.directory])
        print(save_report(args.directory))
        return cli.DONE
    options = cli.get_options(Options, args)
    cli.use_one_blas_thread()
    cli.import_numba()
    if options.plan:
        from mdr_epistasis.plan import get_cost

        return cli.print_plan(NAME, lambda: get_cost(choose_inputs(options)))
    return options


def load_run(options: Options) -> Callable[[Any, Options], Any]:
    """Return the function that runs a search, which is imported now."""
    if options.compat == "bsc":
        from mdr_epistasis.compat.run import run as run_bsc

        return run_bsc
    from mdr_epistasis.runner import run

    return run


def run_simulate(argv: list[str]) -> int:
    """Run ``mdr-epistasis simulate``."""
    from mdr_epistasis.simulate.files import simulate
    from mdr_epistasis.simulate.options import SimulateOptions

    parser = cli.make_parser(f"{NAME} simulate", "Make a cohort with a known answer.")
    cli.add_options(parser, SimulateOptions)
    options = SimulateOptions(**vars(parser.parse_args(argv)))
    cli.set_up_log(NAME)
    simulate(str(options.out), options.get_design(), options.format)
    logger.info("%s: %d variants written", options.out, options.variants)
    return cli.DONE


def run_federate(argv: list[str]) -> int:
    """Run ``mdr-epistasis federate``; return its exit code."""
    cli.use_one_blas_thread()  # before numpy is imported
    from mdr_epistasis.federated import options as federated

    parser = cli.make_parser(
        f"{NAME} federate", "Search over sites that share no genotypes."
    )
    cli.add_options(parser, federated.FederateOptions)
    of_run = (*federated.OF_SITES, *federated.OF_RUNS)
    said = "as of run, of each site or of all"
    cli.add_options(parser.add_argument_group(said), Options, of_run)
    unused = ["--out", "."] if "--plan" in argv else []  # a plan writes nothing
    args = parser.parse_args([*argv, *unused])
    asked = cli.take_options(federated.FederateOptions, args)
    given = {name: getattr(args, name) for name in of_run}
    cli.import_numba()
    try:
        read_study, run = load_federated_run()
        study = read_study(asked.study)
        if args.plan:
            return print_federated_plan(study, asked.individuals)
        options = federated.make_run_options(asked, study, given, argv)
    except Exception as error:
        return cli.explain(NAME, error)
    from hpc_connector.pipeline.program import open_session

    try:
        with open_session(NAME, options) as (comm, options):
            outcome = run(comm, asked, options)
            if outcome.result:
                print_top(options, outcome.result)
    except SystemExit as end:
        return int(end.code or 0)
    return cli.DONE


def load_federated_run() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what reads a study, and runs its search; they are imported now.

    Raises
    ------
    BadInput
        There is no library of masks.
    """
    with explain_missing("masks need", "confidential", "cryptography"):
        from hpc_connector.federation.study import read_study
        from mdr_epistasis.federated.run import run
    return read_study, run


def print_federated_plan(study: Any, n_individuals: int) -> int:
    """Print what a federated search sends, as one JSON object."""
    from hpc_connector.federation.variants import read_reference
    from mdr_epistasis.federated.plan import make_plan

    cli.set_up_log(NAME)
    reference = read_reference(study.reference, study.palindromic)
    print(json.dumps(make_plan(study, len(reference), n_individuals)))
    return cli.DONE


def print_top(options: Options, result: Any) -> None:
    """Print the summary: the top models, or with ``--json`` one object.

    Of encrypted results no model is told.
    """
    from hpc_connector.publish import name_published
    from mdr_epistasis.output.summary import format_top, get_ids, list_top

    table, order = result.table, result.order
    top = [] if options.encrypt_to else list_top(table, order)
    if not options.json:
        report = name_published(options.out / "report.html")
        place = report if report.exists() else options.out
        print("\n".join([*(format_top(top) if top else []), f"results: {place}"]))
        return
    best = [row for row in range(len(table["rank"])) if table["is_best"][row]]
    summary = {
        "out": str(options.out),
        "variants": len(result.variants["id"]),
        "individuals": result.record["cohort"]["individuals"],
    }
    if not options.encrypt_to:
        summary["top"] = top
        summary["best"] = get_ids(table, order, best[0]) if best else None
    print(json.dumps(summary))
