"""``metabolite-annotation compare``."""

import json

from hpc_connector import cli
from hpc_connector.errors import BadInput
from metabolite_annotation.compare.options import CompareOptions


def run(parser: cli.OneLineParser, argv: list[str]) -> None:
    """Do what a command line asks for, and print counts.

    Raises
    ------
    BadInput
        A folder without a finished run, or a place that cannot be written.
    """
    cli.add_options(parser, CompareOptions)
    options = cli.take_options(CompareOptions, parser.parse_args(argv))
    from hpc_connector.pipeline.readers import begin_command
    from metabolite_annotation.compare import counts, files
    from metabolite_annotation.compare.runs import read_runs
    from metabolite_annotation.compare.table import compare

    begin_command(options, list(options.runs), writes=options.out is not None)
    runs = read_runs(options.runs, any_database=options.any_database)
    table = compare(runs, options.fdr)
    if options.out:
        if options.out.resolve().parent in [run.resolve() for run in options.runs]:
            raise BadInput(f"--out {options.out} is in a run: expected another folder")
        files.save(options.out, runs, table, options.fdr)
    found = counts.count_changes(runs, table)
    record = counts.make_record(found, options.out)
    print(json.dumps(record) if options.json else counts.format_counts(found, options))
