"""``app.toml`` as it is read: an app, or a line for each fault."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from hpc_connector.apps.app import (
    FILE,
    KINDS,
    MANY,
    App,
    AppOption,
    Example,
    Format,
    Input,
    Output,
    Resources,
)
from hpc_connector.errors import BadInput
from hpc_connector.fields import Reader, read_fields
from hpc_connector.text import read_toml

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
TABLES = {"inputs": Input, "options": AppOption, "outputs": Output}  # each has some
SECTIONS = {"resources": Resources, "example": Example}

Kind = TypeVar("Kind")


def read_app(folder: Path) -> App:
    """Return the app of a folder.

    Raises
    ------
    BadInput
        Its ``app.toml`` is not there, or wrong; the message has the first fault.
    """
    app, faults = look_at(folder)
    if app is None or faults:
        raise BadInput(faults[0])
    return app


def look_at(folder: Path) -> tuple[App | None, list[str]]:
    """Return the app of a folder, and a line for each fault of its ``app.toml``.

    None where there is not enough of it.
    """
    path, faults = folder / FILE, list[str]()
    try:
        given = read_toml(path)
    except BadInput as error:
        return None, [str(error)]
    parts: dict[str, Any] = {}
    for name, kind in TABLES.items():
        tables = _get_table(given, name, f"{path}", faults)
        made = {
            key: _make(kind, value, f"{path}: [{name}.{key}]", faults)
            for key, value in tables.items()
        }
        parts[name] = {key: one for key, one in made.items() if one is not None}
    for name, section in SECTIONS.items():
        if name in given:
            where = f"{path}: [{name}]"
            parts[name] = _make(section, given[name], where, faults)
    flat = {k: v for k, v in given.items() if k not in (*TABLES, *SECTIONS)}
    app = _make(App, flat, f"{path}", faults, **parts)
    if app is not None and not faults:
        faults += [f"{path}: {said}" for said in list_conflicts(app)]
    return app, faults


def _get_table(
    given: Mapping[str, Any], name: str, where: str, faults: list[str]
) -> Mapping[str, Any]:
    """Return the tables of a section."""
    found = given.get(name, {})
    if isinstance(found, dict):
        return found
    faults.append(f"{where}: {name} = {found!r}: expected tables [{name}.NAME]")
    return {}


def _make(
    kind: type[Kind], given: Any, where: str, faults: list[str], **more: Any
) -> Kind | None:
    """Return a dataclass of a table, or None; what is wrong is added to the faults."""
    if not isinstance(given, dict):
        faults.append(f"{where}: {given!r}: expected a table")
        return None
    found: dict[str, Any] = {}
    for key, value in given.items():
        if (kind, key) == (Input, "formats") and isinstance(value, list) and value:
            made = [_make(Format, v, f"{where}: {key}", faults) for v in value]
            found[key] = tuple(one for one in made if one is not None)
            continue
        try:
            found |= read_fields(kind, {key: value}, where, READERS | OWN.get(kind, {}))
        except BadInput as error:
            faults.append(str(error))
    needed = [
        each.name
        for each in fields(kind)  # type: ignore[arg-type]
        if each.default is MISSING and each.default_factory is MISSING
    ]
    faults += [f"{where}: expected {name}" for name in needed if name not in given]
    return kind(**found, **more) if found.keys() >= set(needed) else None


# What does not go together


def list_conflicts(app: App) -> Iterator[str]:
    """Yield what in an app names something that there is not, or of another type."""
    if faults := [*_check_option(app, "out", app.out, "folder")]:
        yield from faults
        return
    of_files = app.list_inputs()
    for name in app.inputs.keys() - set(of_files):
        yield f"[inputs.{name}]: expected the name of an option whose type is file"
    for name in set(of_files) - app.inputs.keys():
        yield f"expected [inputs.{name}], for the option names a file"
    yield from _check_option(app, "[resources] plan", app.resources.plan, "boolean")
    yield from _check_option(
        app, "[resources] threads", app.resources.threads, "integer"
    )
    for name, told in app.options.items():
        if told.default is not None and (wanted := explain_misfit(told, told.default)):
            yield f"[options.{name}]: default = {told.default!r}: expected {wanted}"
    for name, one in app.outputs.items():
        if name in app.options:  # both are names of parameters, to CWL
            yield f"[outputs.{name}]: expected another name than that of an option"
        path = PurePosixPath(one.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            yield f"[outputs.{name}]: path = {one.path!r}: expected one in the results"
    if app.example is not None:
        yield from _check_example(app, app.example)


def _check_option(app: App, key: str, name: str, kind: str) -> Iterator[str]:
    """Yield that a key names no option of a type."""
    if name and (name not in app.options or app.options[name].type != kind):
        yield f"{key} = {name!r}: expected the name of an option whose type is {kind}"


def _check_example(app: App, example: Example) -> Iterator[str]:
    """Yield what is wrong in an example."""
    for name, value in example.options.items():
        if name not in app.options or name == app.out:
            yield f"[example] options: {name}: expected the name of an option of a run"
        elif wanted := explain_misfit(app.options[name], value):
            yield f"[example] options: {name} = {value!r}: expected {wanted}"
    for name in app.list_needed():
        if name not in example.options:
            yield f"[example] options: expected {name}"
    for name in example.outputs:
        if name not in app.outputs:
            known = ", ".join(app.outputs)
            yield f"[example] outputs: {name}: expected some of {known}"


def explain_misfit(told: AppOption, value: Any) -> str:
    """Return what was expected of the value of an option; nothing if it is right."""
    if told.many:
        if not isinstance(value, list | tuple):
            return f"a list of {told.type}s"
        return next(filter(None, (_explain(told, each) for each in value)), "")
    return _explain(told, value)


def _explain(told: AppOption, value: Any) -> str:
    is_switch = isinstance(value, bool)
    if not isinstance(value, KINDS[told.type]) or is_switch != (told.type == "boolean"):
        return told.type
    if told.choices and value not in told.choices:
        return f"one of {', '.join(map(str, told.choices))}"
    return ""


# Values of keys


def text(value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def switch(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def whole(value: Any) -> int:
    """Return a whole number of 0 or more."""
    if type(value) is not int or value < 0:
        raise ValueError("a whole number of 0 or more")
    return value


def bound(value: Any) -> float:
    """Return a number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("a number")
    found: float = value
    return found


def listed(value: Any) -> tuple[Any, ...]:
    """Return a list that is not empty."""
    if not isinstance(value, list) or not value:
        raise ValueError("a list")
    return tuple(value)


def texts(value: Any) -> tuple[str, ...]:
    """Return texts."""
    if not all(isinstance(each, str) for each in listed(value)):
        raise ValueError("a list of texts")
    return tuple(value)


def commands(value: Any) -> tuple[tuple[str, ...], ...]:
    """Return commands, each as words."""
    return tuple(map(texts, listed(value)))


def formats(value: Any) -> tuple[Format, ...]:
    """Refuse what is no list of tables; these are read one by one."""
    raise ValueError("a list of tables, of which each has a name")


def table(value: Any) -> Mapping[str, Any]:
    """Return a table."""
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def pattern(value: Any) -> str:
    """Return a regular expression."""
    try:
        re.compile(text(value))
    except re.error:
        raise ValueError("a regular expression") from None
    return text(value)


def name(value: Any) -> str:
    """Return the name of an app."""
    if not NAME.fullmatch(text(value)):
        raise ValueError("letters a-z, digits and -, at most 64")
    return text(value)


def as_it_is(value: Any) -> Any:
    """Return a value of any type."""
    return value


def one_of(*names: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text(value)

    return read


READERS: dict[Any, Reader] = {  # by the type of a field
    str: text,
    bool: switch,
    int: whole,
    float | None: bound,
    tuple[str, ...]: texts,
    tuple[Any, ...]: listed,
    tuple[tuple[str, ...], ...]: commands,
    tuple[Format, ...]: formats,
    Mapping[str, Any]: table,
    Any: as_it_is,
}
OWN: dict[type, dict[Any, Reader]] = {  # and of some by their name
    App: {"name": name, **dict.fromkeys((*TABLES, *SECTIONS), table)},
    AppOption: {"type": one_of(*KINDS), "many": one_of(*MANY), "pattern": pattern},
}
