"""An app as a CommandLineTool of CWL 1.2, the Common Workflow Language, as text."""

import json
from collections.abc import Iterator
from typing import Any

from hpc_connector.apps.app import App, AppOption, Input, Output

VERSION = "v1.2"
RESULTS = "results"  # the folder of a run, in that of the tool
TYPES = {  # of CWL, whose int has 32 bits
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "string": "string",
    "file": "File",
    "folder": "Directory",
}


def make_tool(app: App) -> dict[str, Any]:
    """Return an app as a CommandLineTool.

    It has the options that say what comes out, and the number of threads; where and how
    a run is done is up to who runs the tool.
    """
    names = [
        n for n, o in app.options.items() if not o.site or n == app.resources.threads
    ]
    out = app.options[app.out]
    tool: dict[str, Any] = {
        "cwlVersion": VERSION,
        "class": "CommandLineTool",
        "label": f"{app.name} {app.version}",
        "doc": app.summary,
        "baseCommand": list(app.command),
        "arguments": [{"position": 3, **_bind(out), "valueFrom": RESULTS}],
        "inputs": dict(make_input(app, name) for name in names if name != app.out),
        "outputs": {name: make_output(one) for name, one in app.outputs.items()},
        "requirements": {"ResourceRequirement": make_resources(app)},
    }
    if app.image:
        tool["requirements"]["DockerRequirement"] = {"dockerPull": app.image}
    return tool


def make_resources(app: App) -> dict[str, Any]:
    """Return what a run needs at least: cores by its threads, MiB of memory."""
    threads = app.resources.threads
    cores: Any = f"$(inputs.{threads})" if threads else 1
    return {"coresMin": cores, "ramMin": app.resources.mem_mib}


# Inputs


def make_input(app: App, name: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameter of an option.

    A switch that takes something away, whose default is true, has the name of its flag.
    """
    told = app.options[name]
    default: Any = told.default
    if told.type == "boolean" and default:
        name, default = told.flag.lstrip("-").replace("-", "_"), False
    found: dict[str, Any] = {"type": make_type(told, app.inputs.get(name))}
    if not told.required:
        found["type"] = ["null", found["type"]]
    if default is not None and default != []:
        found["default"] = default
    if name in app.inputs and (beside := list_beside(app.inputs[name])):
        found["secondaryFiles"] = beside
    found["inputBinding"] = {"position": 2 if told.flag else 1} | _bind_many(told)
    said = told.help
    if told.choices and told.type == "integer":  # an enum has texts only
        said += f"; one of {', '.join(map(str, told.choices))}"
    return name, found | {"doc": said}


def make_type(told: AppOption, data: Input | None) -> Any:
    """Return the type of a parameter."""
    kind: Any = TYPES[told.type]
    if data and any(one.folder for one in data.formats):
        kind = ["File", "Directory"]
    if told.choices and told.type == "string":
        kind = {"type": "enum", "symbols": list(told.choices)}
    if not told.many:
        return kind
    found = {"type": "array", "items": kind}
    if told.many == "repeat":
        found["inputBinding"] = _bind(told)
    return found


def _bind(told: AppOption) -> dict[str, Any]:
    return {"prefix": told.flag} if told.flag else {}


def _bind_many(told: AppOption) -> dict[str, Any]:
    """Return how the values of an option are written."""
    if told.many == "repeat":
        return {}
    return _bind(told) | ({"itemSeparator": ","} if told.many == "commas" else {})


def list_beside(data: Input) -> list[dict[str, Any]]:
    """Return what may stand beside a file, and what must, of whatever format."""
    needed = set.intersection(*(set(one.companions) for one in data.formats))
    companions = dict.fromkeys(end for one in data.formats for end in one.companions)
    indexes = dict.fromkeys(end for one in data.formats for end in one.indexes)
    found = [{"pattern": f"^{end}", "required": end in needed} for end in companions]
    return found + [{"pattern": end, "required": False} for end in indexes]


# Outputs


def make_output(one: Output) -> dict[str, Any]:
    """Return the parameter of an output."""
    kind: Any = "Directory" if one.folder else "File"
    if "*" in one.path:
        kind = {"type": "array", "items": kind}
    return {
        "type": ["null", kind] if one.when else kind,
        "doc": f"{one.help} ({one.when})" if one.when else one.help,
        "outputBinding": {"glob": f"{RESULTS}/{one.path}"},
    }


# YAML, whose texts and numbers are those of JSON


def render(tool: dict[str, Any]) -> str:
    """Return a tool as YAML."""
    return "\n".join(["#!/usr/bin/env cwl-runner", *_list_lines(tool, "")]) + "\n"


def _list_lines(value: dict[str, Any], indent: str) -> Iterator[str]:
    """Yield the lines of a table; lists are in one line each."""
    for key, one in value.items():
        if isinstance(one, dict) and one:
            yield f"{indent}{key}:"
            yield from _list_lines(one, f"{indent}  ")
        else:
            yield f"{indent}{key}: {json.dumps(one, ensure_ascii=False)}"
