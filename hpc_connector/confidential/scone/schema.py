"""The JSON Schema of the language, for editors and other checkers."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from hpc_connector.confidential.scone.model import Key, Session, list_keys

OPEN = r".*\$.*"  # a placeholder, or a variable that SCONE's client fills in


def make_schema() -> dict[str, Any]:
    """Return the schema of a policy, JSON Schema 2020-12."""
    parts: dict[str, Any] = {}
    root = describe(Session, Key(), parts)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SCONE policy, 0.3.0 to 0.3.12",
        **root,
        "$defs": dict(sorted(parts.items())),
    }


def describe(kind: Any, known: Key, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; those of dataclasses are put into `parts`."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [describe(k, known, parts) for k in typing.get_args(kind)]}
    if origin is tuple:
        inner = describe(typing.get_args(kind)[0], known, parts)
        return {"type": "array", "items": inner}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": SCALAR}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return refer(kind, parts)
    return describe_value(kind, known)


SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
SCALARS: dict[Any, dict[str, Any]] = {
    Any: {},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": OPEN}]},
    str: {"type": ["string", "number", "boolean"]},
}


def describe_value(kind: Any, known: Key) -> dict[str, Any]:
    """Return the schema of a value that is not made of others."""
    if kind is str and known.digits:
        hexadecimal = f"[0-9A-Fa-f]{{{known.digits}}}"
        return {"type": ["string", "integer"], "pattern": f"^({hexadecimal}|{OPEN})$"}
    if kind is str and known.one_of:
        return {"enum": list(known.one_of)}
    return SCALARS[kind]


def refer(kind: type, parts: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to the schema of a dataclass, which is made once."""
    if kind.__name__ not in parts:
        parts[kind.__name__] = {}
        hints = typing.get_type_hints(kind)
        keys = list_keys(kind).items()
        parts[kind.__name__] |= {
            "description": (kind.__doc__ or "").partition("\n")[0],
            "type": "object",
            "properties": {n: describe(hints[own], k, parts) for n, (own, k) in keys},
            "required": [
                one.name
                for one in dataclasses.fields(kind)
                if one.default is dataclasses.MISSING
            ],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}
