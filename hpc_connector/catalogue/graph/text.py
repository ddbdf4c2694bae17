"""Graphs as text, Turtle and JSON-LD: the same each time, bounded when it is read."""

import json
import warnings
from pathlib import Path
from typing import Any

from rdflib import Graph

from hpc_connector.catalogue.graph import terms
from hpc_connector.errors import BadInput

MOST_BYTES = 64 << 20
MOST_DEPTH = 64  # of JSON
FORMATS = {".ttl": "turtle", ".jsonld": "json-ld"}
CONTEXT = {prefix: str(space) for prefix, space in terms.PREFIXES.items()}


def get_format(path: Path) -> str:
    """Return the format of a file by its ending, as rdflib names it.

    Raises
    ------
    BadInput
        It is another.
    """
    if path.suffix not in FORMATS:
        raise BadInput(f"{path}: expected a name that ends with .ttl or .jsonld")
    return FORMATS[path.suffix]


def format_graph(graph: Graph, kind: str) -> str:
    """Return the text of a graph; JSON-LD has our own context, and nodes in order.

    rdflib writes it expanded, or with a context of all prefixes that it knows.
    """
    if kind == "turtle":
        return graph.serialize(format="turtle")
    told = json.loads(graph.serialize(format="json-ld", context=CONTEXT))
    nodes = told.get("@graph", [])
    nodes.sort(key=lambda node: str(node.get("@id", "")))
    for node in nodes:
        for value in node.values():
            if isinstance(value, list):
                value.sort(key=lambda one: json.dumps(one, sort_keys=True))
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_graph(path: Path) -> Graph:
    """Return the graph of a file; nothing that it names is fetched.

    Raises
    ------
    BadInput
        It cannot be read, is too large or nested, or names a context elsewhere.
    """
    kind = get_format(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: expected a file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: expected UTF-8 text") from None
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path}: expected {MOST_BYTES >> 20} MiB at most")
    if kind == "json-ld":
        _check_json(path, text)
    graph = terms.new_graph()
    try:
        with warnings.catch_warnings():  # of rdflib, about itself
            warnings.simplefilter("ignore", DeprecationWarning)
            return graph.parse(data=text, format=kind)
    except RecursionError:
        raise BadInput(f"{path}: it is nested too deeply") from None
    except Exception as error:  # each parser has kinds of its own
        said = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: it is no {kind}: {said}") from None


def _check_json(path: Path, text: str) -> None:
    try:
        told = json.loads(text)
        _check_value(path, told, 0)
    except RecursionError:
        raise BadInput(f"{path}: it is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: it is no JSON: {error}") from None


def _check_value(path: Path, value: Any, depth: int) -> None:
    """Refuse what is nested too deeply, and contexts that would be fetched."""
    if depth > MOST_DEPTH:
        raise BadInput(f"{path}: it is nested too deeply")
    if isinstance(value, list):
        for one in value:
            _check_value(path, one, depth + 1)
    if not isinstance(value, dict):
        return
    for name, one in value.items():
        _check_value(path, one, depth + 1)
        if name == "@context":
            _check_context(path, one)
        if name == "@import":
            raise BadInput(f"{path}: @import: expected a context in the file itself")


def _check_context(path: Path, context: Any) -> None:
    """Refuse a context elsewhere, also in a list within a list: rdflib fetches that."""
    if isinstance(context, list):
        for one in context:
            _check_context(path, one)
    elif isinstance(context, str):
        raise BadInput(
            f"{path}: @context {context[:80]}: expected a context in the file itself: "
            "none is fetched"
        )
