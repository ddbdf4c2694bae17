"""``metabolite-annotation export``."""

from hpc_connector import cli
from hpc_connector.manifest import add_outputs
from hpc_connector.publish import name_outputs
from metabolite_annotation.export.formats import (
    check_exports,
    check_folders,
    list_outputs,
)
from metabolite_annotation.export.options import ExportOptions


def run(parser: cli.OneLineParser, argv: list[str]) -> None:
    """Write exports of a finished run, and print where they are.

    Raises
    ------
    BadInput
        A folder without a finished run, or a library that is not there.
    """
    cli.add_options(parser, ExportOptions)
    options = cli.take_options(ExportOptions, parser.parse_args(argv))
    check_exports(options.export)
    from hpc_connector.pipeline.readers import begin_command
    from metabolite_annotation.export.save import save_exports
    from metabolite_annotation.result import load

    begin_command(options, [options.directory])
    check_folders(options.export)
    result = load(options.directory)
    record, norm = result.record, options.normalise
    if norm is None:
        norm = record["parameters"]["normalise"]
    save_exports(options.directory, options.export, norm, record)
    made = name_outputs(list_outputs(options.export))
    add_outputs(options.directory, made)
    for name in made:
        print(options.directory / name)
