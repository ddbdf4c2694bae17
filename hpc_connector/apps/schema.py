"""The options of an app as JSON Schema, as a form needs it."""

from typing import Any

from hpc_connector.apps.app import App, AppOption

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = {"file": "string", "folder": "string"}  # of JSON, where it is another
BOUNDS = {"least": "minimum", "most": "maximum", "above": "exclusiveMinimum"}


def make_schema(app: App) -> dict[str, Any]:
    """Return the schema of an object with the options of a run, by their names.

    What it accepts the program accepts; that takes some in other forms too, such as
    numbers as text. ``x-kind`` is the type ``file`` or ``folder``, ``x-group`` the
    group, and ``x-site`` says where and how a run is done, not what comes out.
    """
    return {
        "$schema": DIALECT,
        "title": f"{app.name} {app.version}",
        "description": app.summary,
        "type": "object",
        "properties": {name: make_property(o) for name, o in app.options.items()},
        "required": [name for name, o in app.options.items() if o.required],
        "additionalProperties": False,
    }


def make_property(told: AppOption) -> dict[str, Any]:
    """Return the schema of the value of an option."""
    found = make_value(told)
    if told.many:
        found = {"type": "array", "items": found}
        if told.many != "commas":
            found["minItems"] = told.count or 1
        if told.count:
            found["maxItems"] = told.count
    if told.default is not None:
        found["default"] = told.default
    found["description"] = told.help
    if told.type in TYPES:
        found["x-kind"] = told.type
    if told.group:
        found["x-group"] = told.group
    return found | ({"x-site": True} if told.site else {})


def make_value(told: AppOption) -> dict[str, Any]:
    """Return the schema of one of the values of an option."""
    found: dict[str, Any] = {"type": TYPES.get(told.type, told.type)}
    for key, word in BOUNDS.items():
        if getattr(told, key) is not None:
            found[word] = getattr(told, key)
    if told.pattern:
        found["pattern"] = told.pattern
    if told.choices:
        found["enum"] = list(told.choices)
    return found
