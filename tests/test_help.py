"""Help from which the programs can be used: what, which unit, which default."""

import argparse
import re

import pytest

from hpc_connector import cli
from hpc_connector.commands import doctor
from hpc_connector.commands import main as program
from hpc_connector.commands.catalog import main as catalog
from hpc_connector.commands.streams import main as streams
from hpc_connector.commands.telemetry import main as telemetry
from mdr_epistasis import program as mdr
from metabolite_annotation import program as annotation

FOLDERS = (
    *("actions", "apps", "burst", "slices", "keys", "seal", "keeper", "federate"),
    "scone",
)
FEDERATE = ("invite", "identity", "check", "hub", "log")
COMMANDS = [
    *(f"mdr-epistasis {name}" for name in ("run", "report", "federate", "simulate")),
    *(
        f"metabolite-annotation {n}"
        for n in ("run", "follow", "report", "compare", "simulate")
    ),
    "metabolite-annotation export",
    *(f"metabolite-annotation databases {n}" for n in ("list", "check", "convert")),
    *(f"hpc-connector {n}" for n in program.COMMANDS if n not in FOLDERS),
    *(f"hpc-connector telemetry {name}" for name in telemetry.COMMANDS),
    *(f"hpc-connector streams {name}" for name in streams.COMMANDS),
    *(f"hpc-connector catalog {name}" for name in catalog.COMMANDS),
    *(f"hpc-connector slices {what}" for what in ("index", "list", "get", "verify")),
    *(f"hpc-connector actions {what}" for what in ("run", "list", "report")),
    *(f"hpc-connector apps {what}" for what in ("list", "show", "check")),
    "hpc-connector burst plan",
    *(f"hpc-connector {what}" for what in ("keys new", "keys reencrypt")),
    *(f"hpc-connector {what}" for what in ("seal make", "seal verify")),
    *(f"hpc-connector scone {n}" for n in ("lint", "render", "upload", "show")),
    *(f"hpc-connector keys {what}" for what in ("grant", "log verify")),
    *(f"hpc-connector federate {what}" for what in FEDERATE),
    *(f"hpc-connector keeper {what}" for what in ("run", "add", "list", "revoke")),
]
MAINS = {
    "mdr-epistasis": mdr.main,
    "metabolite-annotation": annotation.main,
    "hpc-connector": program.main,
}
UNITS = {  # what stands for a number, and so for its unit; N counts what the help names
    *("N", "FRACTION", "SECONDS", "TIME", "SIZE", "EUR", "PPM", "DA", "BP", "R@MZ"),
    *("Z", "PID[:RANK],..."),
}
TEXT = (None, str)  # types of options that are no numbers


class Seen(BaseException):
    """Holds the parser of a command at the moment that it would print its help."""

    def __init__(self, parser):
        self.parser = parser


def get_parser(command, monkeypatch):
    """Return the parser that answers to ``command --help``."""

    def show(parser, file=None):
        raise Seen(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "print_help", show)
    name, *words = command.split()
    with pytest.raises(Seen) as seen:
        MAINS[name]([*words, "--help"])
    return seen.value.parser


def get_options(parser):
    """Return what a parser takes, but for what is hidden and --help itself."""
    hidden = (argparse._HelpAction, argparse._SubParsersAction, cli.PrintVersion)
    actions = [a for a in parser._actions if not isinstance(a, hidden)]
    return [action for action in actions if action.help != argparse.SUPPRESS]


def takes_number(action):
    """Return whether a value becomes a number: so says its type, given one."""
    if action.nargs == 0 or action.choices or action.type in TEXT:
        return False
    for text in ("3", "0.5", "2h", "20G"):
        try:
            value = action.type(text)
        except (ValueError, TypeError, argparse.ArgumentTypeError):
            continue
        return isinstance(value, int | float)
    return False


def find_faults(parser, action):
    """Return what the help of an option lacks."""
    said = action.help or ""
    name = "/".join(action.option_strings) or action.dest
    has_default = action.default not in (None, "", (), [], {}, 0, False, 0.0)
    is_optional = action.option_strings and not action.required
    takes_value = action.nargs != 0
    if len(said.split()) < 2:
        yield f"{name}: no help"
    if takes_number(action) and action.metavar not in UNITS:
        yield f"{name}: {action.metavar} names no unit"
    needs = takes_number(action) or has_default or action.choices
    if takes_value and is_optional and needs and "default:" not in said:
        yield f"{name}: no default"
    told = re.search(
        r"default: ([^,;)]+)", parser._get_formatter()._expand_help(action)
    )
    if takes_value and is_optional and has_default and told:
        shown = f"{action.default:g}" if takes_number(action) else str(action.default)
        if told[1].split()[0] != shown:
            yield f"{name}: the default is {shown}, and the help says {told[1]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help__says_what_each_option_is(command, monkeypatch):
    parser = get_parser(command, monkeypatch)
    options = get_options(parser)
    assert options or command.endswith(("telemetry", "streams", "catalog"))
    assert parser.description
    assert [f for action in options for f in find_faults(parser, action)] == []


@pytest.mark.parametrize("command", ["mdr-epistasis run", "metabolite-annotation run"])
def test_help__is_in_groups(command, monkeypatch):
    parser = get_parser(command, monkeypatch)
    groups = [g for g in parser._action_groups if g._group_actions]
    assert len(groups) > 5
    assert [a.option_strings for a in groups[0]._group_actions] == [["-h", "--help"]]
    assert all(len(group._group_actions) <= 11 for group in groups)


def test_help__of_the_doctor_hides_what_ranks_are_told():
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    assert "--rank" not in [
        name for a in get_options(parser) for name in a.option_strings
    ]
