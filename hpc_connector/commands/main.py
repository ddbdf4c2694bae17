"""The command line of ``hpc-connector``: what surrounds the programs."""

import importlib
import io
import os
import sys
from typing import Any

from hpc_connector import cli
from hpc_connector.errors import explain_missing

NAME = "hpc-connector"
CONFIDENTIAL = ("keys", "encrypt", "decrypt", "seal", "keeper", "scone")
COMMANDS = {  # modules beside this one, with add_arguments(parser) and run(args)
    "submit": "run a program as a Slurm job",
    "account": "keep in a manifest what Slurm says of a job",
    "status": "say what runs do now, and when they end",
    "logs": "print what the job of a run has said",
    "cancel": "end the jobs of runs",
    "doctor": "try MPI: two ranks by every launcher",
    "burst": "show what of a run would go to functions of a cloud",
    "telemetry": "watch runs, learn what the next will need",
    "inspect": "show what a run with --telemetry used",
    "streams": "keep records in order: append, read, follow",
    "actions": "reduce text on the nodes that read it, and say what moved",
    "slices": "cut an object near the data, index, list, get",
    "catalog": "which data sets there are, and who may use them",
    "apps": "say what programs take and leave, and try them",
    "keys": "make keys, give encrypted files to other readers",
    "encrypt": "encrypt files for their readers (Crypt4GH)",
    "decrypt": "decrypt a file",
    "seal": "sign what an encrypted file is, and prove it",
    "keeper": "hold headers of encrypted files, release them to jobs",
    "federate": "prepare a search over sites, and prove its logs",
    "scone": "check, write and upload policies of enclaves",
}
PLACES = {name: f"confidential.{name}" for name in CONFIDENTIAL} | {
    "telemetry": "telemetry.main",
    "streams": "streams.main",
    "catalog": "catalog.main",
}  # of modules in folders


def load_command(place: str) -> Any:
    """Return the module of a command.

    Raises
    ------
    BadInput
        It needs the library of an extra that is not there.
    """
    with explain_missing(
        "confidential data need", "confidential", "cryptography", "jwt"
    ):
        command = importlib.import_module(f"{__package__}.{place}")
    return command


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code. Only the command asked for is imported."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser = cli.make_parser(NAME, "What surrounds the programs on a cluster.")
        commands = parser.add_subparsers(
            dest="command", required=True, metavar="COMMAND"
        )
        chosen: Any = None
        for name, said in COMMANDS.items():
            command = cli.add_command(commands, name, said)
            if argv[:1] == [name]:
                place = PLACES.get(name, name)
                chosen = load_command(place)
                chosen.add_arguments(command)
        args = parser.parse_args(cli.join_dashed(argv, getattr(chosen, "DASHED", ())))
        cli.set_up_log(NAME)
        if isinstance(sys.stdout, io.TextIOWrapper):  # of a terminal that has no é
            sys.stdout.reconfigure(errors="replace")
        code: int = chosen.run(args)
        return code
    except BrokenPipeError:  # whoever reads, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return cli.DONE
    except KeyboardInterrupt:
        return 130  # as a shell says of Ctrl-C
    except Exception as error:
        return cli.explain(NAME, error)
