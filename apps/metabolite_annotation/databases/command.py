"""``metabolite-annotation databases list``, ``check`` and ``convert``."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hpc_connector import cli
from metabolite_annotation.databases.options import (
    CheckOptions,
    ConvertOptions,
    ListOptions,
)


class Command(NamedTuple):
    """A command: what does it, what it takes, and what is said of it."""

    do: Callable[[Any], None]
    options: type
    said: str


def run(parser: cli.OneLineParser, argv: list[str]) -> None:
    """Do what a command line asks for.

    Raises
    ------
    BadInput
        A file that cannot be read or written; of ``check``, one with bad rows.
    """
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, one in COMMANDS.items():
        cli.add_options(cli.add_command(commands, name, one.said), one.options)
    given = vars(parser.parse_args(argv))
    chosen = COMMANDS[given.pop("command")]
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    chosen.do(chosen.options(**values))


def list_databases(options: ListOptions) -> None:
    """Print what databases hold."""
    from metabolite_annotation.databases import contents

    found = [contents.read_contents(path) for path in options.files]
    records = [contents.make_record(one) for one in found]
    print(json.dumps(records) if options.json else contents.format_list(found))


def check_database(options: CheckOptions) -> None:
    """Print what is wrong with a database, and raise where anything is."""
    from metabolite_annotation.databases import contents

    found = contents.read_contents(options.file)
    adducts = contents.ADDUCTS if options.adducts is None else options.adducts
    ions = contents.count_ions(found.formulas, adducts)
    record = contents.make_check_record(found, ions)
    print(json.dumps(record) if options.json else contents.format_check(found, ions))
    contents.refuse_faults(found)


def convert_database(options: ConvertOptions) -> None:
    """Write a database, and print what it holds and what was left out."""
    from metabolite_annotation.databases import convert

    found = convert.convert(options)
    record = convert.make_record(found)
    print(json.dumps(record) if options.json else convert.format_converted(found))


COMMANDS = {
    "list": Command(
        list_databases, ListOptions, "count what databases hold, a line each"
    ),
    "check": Command(
        check_database,
        CheckOptions,
        "list the bad rows of a database, and count the formulas of each adduct's ions",
    ),
    "convert": Command(
        convert_database,
        ConvertOptions,
        "make a database of what HMDB, ChEBI or LIPID MAPS ships",
    ),
}
