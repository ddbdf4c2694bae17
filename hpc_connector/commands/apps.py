"""``hpc-connector apps``: the programs as apps, and whether they work."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from hpc_connector import cli
from hpc_connector.apps.app import App, AppOption, Input
from hpc_connector.apps.installed import find_folder, find_installed
from hpc_connector.apps.read import look_at, read_app
from hpc_connector.errors import BadInput

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1  # of the JSON of apps show
APP = "an app that is installed, or a folder with an app.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    command = cli.add_command(commands, "list", "list the apps that are installed")
    command.add_argument("--json", action="store_true", help="print one JSON array")
    command = cli.add_command(commands, "show", "say what an app takes and leaves")
    command.add_argument("app", metavar="NAME", help=APP)
    form = command.add_mutually_exclusive_group()
    forms = {
        "--json": "print all of it as one JSON object",
        "--cwl": "print it as a CommandLineTool of CWL 1.2",
        "--schema": "print its options as JSON Schema",
    }
    for flag, said in forms.items():
        form.add_argument(flag, action="store_true", help=said)
    said = "check an app.toml, and run the app on its example"
    command = cli.add_command(commands, "check", said)
    command.add_argument("app", metavar="DIR", help=APP)
    said = "write the options that the program has into its app.toml, and run nothing"
    command.add_argument("--write", action="store_true", help=said)
    said = (
        "most that a command of the example may take: 90s, 10m (default: %(default)g)"
    )
    command.add_argument(
        "--patience", type=cli.seconds, default=600.0, metavar="TIME", help=said
    )


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    act = {"list": list_apps, "show": show, "check": check}[args.what]
    return act(args)


def list_apps(args: argparse.Namespace) -> int:
    """Print a line an app; of one that cannot be read, say why."""
    found = []
    for name, folder in find_installed().items():
        try:
            app = read_app(folder)
            if app.name != name:
                raise BadInput(f"{folder}: name = {app.name!r}: expected {name!r}")
            found.append(app)
        except BadInput as error:
            logger.warning("%s is left out: %s", name, error)
    if args.json:
        names = ("name", "version", "summary")
        print(json.dumps([{n: getattr(app, n) for n in names} for app in found]))
        return cli.DONE
    width = max((len(app.name) for app in found), default=0)
    for app in found:
        print(f"{app.name:<{width}}  {app.version}  {app.summary}")
    return cli.DONE


def show(args: argparse.Namespace) -> int:
    """Print an app."""
    app = read_app(find_folder(args.app))
    if args.json:
        print(json.dumps(to_json(app), ensure_ascii=False, indent=1))
    elif args.cwl:
        from hpc_connector.apps.cwl import make_tool, render

        print(render(make_tool(app)), end="")
    elif args.schema:
        from hpc_connector.apps.schema import make_schema

        print(json.dumps(make_schema(app), ensure_ascii=False, indent=1))
    else:
        print("\n".join(describe(app)))
    return cli.DONE


def to_json(app: App) -> dict[str, Any]:
    """Return all of an app; tables with names are lists, in the order of its file."""
    told = asdict(app)
    for key in ("inputs", "options", "outputs"):
        told[key] = [{"name": name, **one} for name, one in told[key].items()]
    for one in told["inputs"]:
        option = app.options[one["name"]]
        one |= {"required": option.required, "many": bool(option.many)}
    del told["code"]
    return {"format_version": FORMAT_VERSION, **told}


def describe(app: App) -> Iterator[str]:
    """Yield the lines of an app."""
    yield f"{app.name} {app.version}  {app.licence}"
    yield app.summary
    yield f"run: {' '.join(app.command)}"
    yield f"image: {app.image or 'none'}"
    yield "inputs:"
    for name, one in app.inputs.items():
        yield f"  {describe_input(name, one, app.options[name])}"
    yield "outputs:"
    for output in app.outputs.values():
        when = f" ({output.when})" if output.when else ""
        yield f"  {output.path}  {output.help}{when}"
    yield f"options ({len(app.options)}), those in brackets of where and how it is run:"
    groups = dict.fromkeys(told.group for told in app.options.values())
    for group in groups:
        of_group = [
            (f"[{told.flag}]" if told.site else told.flag) or name
            for name, told in app.options.items()
            if told.group == group
        ]
        yield f"  {group or 'others'}: {' '.join(of_group)}"


def describe_input(name: str, one: Input, told: AppOption) -> str:
    """Return the line of an input."""
    formats = ", ".join(
        f"{each.name} ({' '.join(each.ends)})" if each.ends else each.name
        for each in one.formats
    )
    more = ", required" * told.required + ", several" * bool(told.many)
    return f"{told.flag or name}{more}: {formats}"


def check(args: argparse.Namespace) -> int:
    """Check an app; print what is right, and a line for each fault."""
    from hpc_connector.apps.example import try_example
    from hpc_connector.apps.generate import list_differences, write_options

    folder = find_folder(args.app)
    if args.write:
        print(f"{write_options(folder)} options written to {folder}")
    app, faults = look_at(folder)
    faults = faults or list_differences(folder)
    for fault in faults:
        print(f"hpc-connector: {' '.join(fault.split())}", file=sys.stderr)
    if faults or app is None:
        return cli.BAD_INPUT
    print(
        f"{app.name} {app.version}: app.toml with {len(app.inputs)} inputs, "
        f"{len(app.options)} options, {len(app.outputs)} outputs"
    )
    if not args.write:
        for line in try_example(app, folder, args.patience):
            print(line, flush=True)
    return cli.DONE
