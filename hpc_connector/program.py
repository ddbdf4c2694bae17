"""The command line of ``hpc-connector``: what surrounds the programs."""

import importlib

from hpc_connector import cli

NAME = "hpc-connector"
COMMANDS = {  # modules with add_arguments(parser) and run(args)
    "submit": "run a program as a Slurm job",
    "account": "keep what Slurm says of a job in the manifest of its run",
    "doctor": "try MPI: two ranks by every launcher",
}


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    try:
        parser = cli.make_parser(NAME, "What surrounds the programs on a cluster.")
        commands = parser.add_subparsers(
            dest="command", required=True, metavar="COMMAND"
        )
        for name, said in COMMANDS.items():
            module = importlib.import_module(f"hpc_connector.{name}")
            module.add_arguments(commands.add_parser(name, help=said))
        args = parser.parse_args(argv)
        cli.set_up_log(NAME)
        return importlib.import_module(f"hpc_connector.{args.command}").run(args)
    except Exception as error:
        return cli.explain(NAME, error)
