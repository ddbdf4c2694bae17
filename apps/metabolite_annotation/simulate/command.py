"""``metabolite-annotation simulate``."""

from hpc_connector import cli
from metabolite_annotation.simulate.options import SimulateOptions


def run(parser: cli.OneLineParser, argv: list[str]) -> None:
    """Do what a command line asks for, and print how to annotate the dataset.

    Raises
    ------
    BadInput
        What cannot be simulated, read or written.
    """
    cli.add_options(parser, SimulateOptions)
    options = SimulateOptions(**vars(parser.parse_args(argv)))
    cli.import_numba()
    from metabolite_annotation.simulate.files import get_truth_path, simulate

    command = simulate(options)
    print(
        f"{options.out}: written; which ions are where: {get_truth_path(options.out)}"
    )
    print(f"annotate it: {command}")
