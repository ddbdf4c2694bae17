"""The command line of ``metabolite-annotation``."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hpc_connector import cli
from hpc_connector.options import ReaderOptions
from metabolite_annotation.options import (
    PROGRAM,
    Options,
    PageOptions,
    choose_inputs,
)

OTHERS = {  # commands that are no run; each has a package with a module `command`
    "compare": "compare the annotations of runs",
    "databases": "list, check and convert databases of molecules",
    "export": "write exports of a finished run",
    "follow": "annotate a dataset while it is acquired",
    "simulate": "make a dataset with known ions",
}
# Values begin with + or -
SIGNED = ("--adducts", "--neutral-losses", "--chem-mods", "--optical-transform")


def make_parser() -> tuple[cli.OneLineParser, cli.OneLineParser]:
    """Return the parser of the program and that of its ``run``."""
    parser = cli.make_parser(
        PROGRAM,
        "FDR-controlled annotation of metabolites in imaging mass spectrometry.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = cli.add_command(commands, "run", "annotate a dataset")
    run.usage = "%(prog)s DATASET.imzML --database FILE... --out DIR [OPTION...]"
    cli.add_run_options(run, Options)
    report = cli.add_command(commands, "report", "write report.html of a run again")
    report.add_argument("directory", type=Path, metavar="DIR", help="folder of the run")
    cli.add_options(report, ReaderOptions)
    cli.add_options(report, PageOptions)
    for name, said in OTHERS.items():
        cli.add_command(commands, name, said)
    return parser, run


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
    if argv is None:  # a process of its own
        cli.hold_collection()
    try:
        options = read_command(sys.argv[1:] if argv is None else argv)
    except Exception as error:
        return cli.explain(PROGRAM, error)
    if isinstance(options, int):
        return options
    from hpc_connector.pipeline.program import open_session
    from metabolite_annotation.run import run

    try:
        with open_session(PROGRAM, options, choose_inputs) as (comm, options):
            cli.begin_collection()
            ending = run(comm, options)
            if ending == "done" and comm.rank == 0:
                print_summary(options)
            code = cli.STOPPED if ending == "stopped" else cli.DONE
    except SystemExit as end:
        return int(end.code or 0)
    return code


def read_command(argv: list[str]) -> Options | int:
    """Return the options of a run; do what else is asked for, and return its code."""
    parser, run = make_parser()
    if argv[:1] and argv[0] in OTHERS:
        return run_other(argv[0], join_signed(argv[1:]))
    args = cli.parse(parser, run, join_signed(argv))
    if args.command == "report":
        cli.set_up_log(PROGRAM)
        from hpc_connector.pipeline.readers import begin_command
        from metabolite_annotation.report.page import save_report

        begin_command(cli.take_options(ReaderOptions, args), [args.directory])
        print(save_report(args.directory, cli.take_options(PageOptions, args)))
        return cli.DONE
    options = cli.get_options(Options, args)
    cli.use_one_blas_thread()
    cli.import_numba()
    if options.plan:
        from metabolite_annotation.plan import get_cost

        return cli.print_plan(PROGRAM, lambda: get_cost(choose_inputs(options)))
    return options


def run_other(name: str, argv: list[str]) -> int:
    """Run a command that is no run; return the exit code."""
    parser = cli.make_parser(f"{PROGRAM} {name}", f"{OTHERS[name].capitalize()}.")
    import_module(f"metabolite_annotation.{name}.command").run(parser, argv)
    return cli.DONE


def print_summary(options: Options) -> None:
    """Print the summary of a run, from what it has written."""
    from metabolite_annotation.result import load

    result = replace(load(options.out), directory=options.out)  # said as it was given
    if options.encrypt_to:
        print(result.format_counts(as_json=options.json))
    else:
        print(result.format_summary(as_json=options.json))
