"""The options of an ``app.toml``, from the dataclass that a program has them in."""

import json
from collections.abc import Mapping
from dataclasses import MISSING
from importlib import import_module
from pathlib import Path
from typing import Any

from hpc_connector.apps.app import FILE
from hpc_connector.errors import BadInput
from hpc_connector.options import TAKES, Option, RunOptions, list_options
from hpc_connector.publish import publish
from hpc_connector.text import read_toml

HEAD = "[options]"
# What a run of every program has: where and how it is done; but for the seed
SITE = {*list_options(RunOptions)} - {"seed"}
NO_OPTION = "config"  # but a file of them
BOUNDS = ("least", "most", "above", "pattern")

Row = dict[str, Any]


def load_rows(code: str, where: str) -> dict[str, Row]:
    """Return the options of ``MODULE:CLASS``, which is imported.

    Raises
    ------
    BadInput
        There is none.
    """
    module, _, name = code.partition(":")
    try:
        kind = getattr(import_module(module), name)
        return make_rows(kind)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{where}: code = {code!r}: expected MODULE:CLASS, of options: {error}"
        ) from None


def make_rows(kind: type) -> dict[str, Row]:
    """Return the options of a dataclass as ``app.toml`` has them, by their names."""
    told = list_options(kind)
    return {n: make_row(n, one) for n, one in told.items() if n != NO_OPTION}


def make_row(name: str, told: Option) -> Row:
    """Return an option; what it has not, or as is usual, is left out."""
    taken = TAKES.get(told.read, TAKES[str])
    row: Row = {"type": find_type(told, taken["type"])}
    row |= {key: taken[key] for key in BOUNDS if key in taken}
    more = {
        "choices": list(told.choices or taken.get("choices", ())),
        "many": told.many or taken.get("many", ""),
        "count": len(told.metavar) if isinstance(told.metavar, tuple) else 0,
        "required": told.default is MISSING,
        "flag": told.flag,
        "group": told.group,
        "site": name in SITE or row["type"] == "folder",  # where it works
    }
    row |= {key: value for key, value in more.items() if value}
    default = told.default
    if default is not MISSING and default is not None:
        row["default"] = list(default) if isinstance(default, tuple) else default
    return row | {"help": told.help % {"default": default}}


def find_type(told: Option, taken: str) -> str:
    """Return the type of an option: that of its reader, or what its values name."""
    if told.is_switch:
        return "boolean"
    if told.metavar == "DIR":
        return "folder"
    return "file" if str(told.metavar).startswith("FILE") else taken


def render(rows: Mapping[str, Row]) -> str:
    """Return options as TOML, a line each."""
    lines = [HEAD]
    for name, row in rows.items():
        said = ", ".join(
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in row.items()
        )
        lines.append(f"{name} = {{ {said} }}")
    return "\n".join(lines) + "\n"


def list_differences(folder: Path) -> list[str]:
    """Return a line for each option that an app tells otherwise than its program.

    None where it names no code of a program.
    """
    path = folder / FILE
    given = read_toml(path)
    if not (code := given.get("code")):
        return []
    told, rows = given.get("options", {}), load_rows(code, f"{path}")
    return [
        f"{path}: [options.{name}]: expected it as {code} has it; apps check --write "
        "writes it"
        for name in {**rows, **told}
        if told.get(name) != rows.get(name)
    ]


def write_options(folder: Path) -> int:
    """Write the options of a program into its ``app.toml``, last; return how many.

    Raises
    ------
    BadInput
        It names no code of a program.
    """
    path = folder / FILE
    code = read_toml(path).get("code")
    if not isinstance(code, str):
        raise BadInput(f"{path}: expected code = 'MODULE:CLASS', of options")
    rows = load_rows(code, f"{path}")
    before = path.read_text().partition(f"\n{HEAD}\n")[0].rstrip("\n")
    with publish(path) as stream:
        stream.write(f"{before}\n\n{render(rows)}".encode())
    return len(rows)
