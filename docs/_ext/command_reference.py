"""The reference of commands, from the parsers themselves.

``.. commands:: PROGRAM`` becomes a section for each command that the program has, as
its help lists them: an option is documented by being there.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WIDTH = 80


class Asked(BaseException):
    """Holds the parser of a command at the moment that it would print its help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


class Commands(SphinxDirective):
    """Sections of the commands of a program."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        text = "\n".join(describe_program(self.arguments[0]))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def get_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser that answers to ``command --help``."""
    program, *words = command.split()
    (script,) = entry_points(group="console_scripts", name=program)
    main: Callable[[list[str]], int] = script.load()

    def stop(parser: argparse.ArgumentParser, file: object = None) -> None:
        raise Asked(parser)

    with patch.object(argparse.ArgumentParser, "print_help", stop):
        try:
            main([*words, "--help"])
        except Asked as asked:
            return asked.parser
    raise ValueError(f"{command} --help prints no help")


def list_choices(parser: argparse.ArgumentParser) -> list[str]:
    """Return the commands below a parser; none where it is one itself."""
    for action in parser._actions:
        # sub-parsers, or what stands for them: names, each with what it is
        if isinstance(action.choices, dict) and not action.option_strings:
            return list(action.choices)
    return []


def list_commands(command: str) -> Iterator[str]:
    """Yield the commands of a program that do something, in the order of its help."""
    choices = list_choices(get_parser(command))
    for name in choices:
        yield from list_commands(f"{command} {name}")
    if not choices:
        yield command


def describe_program(program: str) -> Iterator[str]:
    """Yield reStructuredText of the commands of a program."""
    for command in list_commands(program):
        yield from describe_command(command, get_parser(command))


def describe_command(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the section of a command."""
    yield from (command, "-" * len(command), "", parser.description or "", "")
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=WIDTH)
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    yield from (".. code-block:: text", "")
    yield from (f"   {line}" for line in usage.splitlines())
    yield from ("", f".. program:: {command}", "")
    for group in parser._action_groups:
        shown = [a for a in group._group_actions if is_shown(a)]
        if shown:
            title = group.title or ""
            yield f".. rubric:: {title[:1].upper()}{title[1:]}"
            yield from ("   :class: options", "")
        for action in shown:
            yield from describe_option(parser, action)


def is_shown(action: argparse.Action) -> bool:
    """Return whether an option is told to users, and is not of every command."""
    always = action.option_strings[-1:] in (["--help"], ["--version"])
    return action.help != argparse.SUPPRESS and not always


def describe_option(
    parser: argparse.ArgumentParser, action: argparse.Action
) -> Iterator[str]:
    """Yield an option or argument, with the help that ``--help`` prints."""
    formatter = argparse.HelpFormatter(parser.prog)
    written = formatter._format_action_invocation(action)
    said = formatter._expand_help(action) if action.help else ""
    for special in "\\*`|_":
        said = said.replace(special, f"\\{special}")
    if said.partition(" ")[0].isalpha():  # a word, and no name
        said = f"{said[:1].upper()}{said[1:]}"
    yield from (f".. option:: {written}", "", f"   {said}.", "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    print("\n".join(describe_program(sys.argv[1])))
