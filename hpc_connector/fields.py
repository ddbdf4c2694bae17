"""A section of a file as a dataclass: its keys are the fields, and each has a reader.

The options of a run, which a command line has too, are those of `options`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from hpc_connector.errors import BadInput

# Returns the value of what a file says; ValueError names what was expected
Reader = Callable[[Any], Any]

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Wording:
    """How a message writes a key and its value, which is as the file does."""

    unknown: str
    wrong: str


YAML = Wording(
    "unknown key {key!r}: expected one of {known}",
    "{key}: {value!r}: expected {expected}",
)
TOML = Wording(
    "unknown key {key}; expected one of {known}",
    "{key} = {value!r}: expected {expected}",
)
SHELL = Wording("{key}: expected one of {known}", "{key}={value}: expected {expected}")


def number(value: Any) -> float:
    """Return a number of 0 or more."""
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError("a number")
    return float(value)


def whole(value: Any) -> int:
    """Return a whole number of 0 or more."""
    if number(value) % 1:
        raise ValueError("a whole number")
    return int(value)


def fill(
    kind: type[Kind],
    given: Mapping[str, Any],
    where: str,
    readers: Mapping[Any, Reader],
    wording: Wording = TOML,
) -> Kind:
    """Return a dataclass of what a mapping gives; see :func:`read_fields`."""
    return kind(**read_fields(kind, given, where, readers, wording))


def read_fields(
    kind: Any,
    given: Mapping[str, Any],
    where: str,
    readers: Mapping[Any, Reader],
    wording: Wording = TOML,
    above: str = "",
) -> dict[str, Any]:
    """Return the values of the fields that a mapping gives.

    Parameters
    ----------
    kind
        A dataclass.
    where
        The name of the file, and of the section in it.
    readers
        By the name of a field, else by its type. One that has none is no key of the
        file, and a name that is no field is one more.
    above
        Of a section: stands before its keys in messages, as in ``"growth."``.

    Raises
    ------
    BadInput
        A key that there is not, or a value that cannot be.
    """
    types = {field.name: readers.get(field.type) for field in fields(kind)}
    own = {name: read for name, read in readers.items() if isinstance(name, str)}
    known = {name: read for name, read in (types | own).items() if read}
    for key in given:
        if key not in known:
            names = ", ".join(known)
            said = wording.unknown.format(key=f"{above}{key}", known=names)
            raise BadInput(f"{where}: {said}")
    return {
        key: _read(known[key], value, where, f"{above}{key}", wording)
        for key, value in given.items()
    }


def _read(read: Reader, value: Any, where: str, key: str, wording: Wording) -> Any:
    """Return the value of a field."""
    try:
        return read(value)
    except BadInput:
        raise
    except ValueError as error:
        said = wording.wrong.format(key=key, value=value, expected=error)
        raise BadInput(f"{where}: {said}") from None
