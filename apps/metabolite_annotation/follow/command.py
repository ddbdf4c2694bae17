"""``metabolite-annotation follow``."""

from dataclasses import replace

from hpc_connector import cli
from metabolite_annotation.follow.options import FollowOptions
from metabolite_annotation.options import PROGRAM


def run(parser: cli.OneLineParser, argv: list[str]) -> None:
    """Follow an acquisition to its end, on all ranks, and print the summary.

    Raises
    ------
    SystemExit
        It was stopped, or has failed.
    """
    parser.usage = "%(prog)s URL --database FILE... --out DIR [OPTION...]"
    cli.add_run_options(parser, FollowOptions)
    args = cli.parse(parser, parser, argv)
    given = cli.get_options(FollowOptions, args)
    options = replace(given, resume=True, command="follow")
    cli.use_one_blas_thread()
    cli.import_numba()
    from hpc_connector.pipeline.program import open_session
    from metabolite_annotation.follow.run import follow
    from metabolite_annotation.result import load

    with open_session(PROGRAM, options) as (comm, options):
        cli.begin_collection()
        ending = follow(comm, options)
        if ending == "done" and comm.rank == 0:
            result = replace(load(options.out), directory=options.out)
            print(result.format_summary(as_json=options.json))
    if ending == "stopped":
        raise SystemExit(cli.STOPPED)
