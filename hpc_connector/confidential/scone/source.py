"""The YAML of a policy: maps, lists and text, and the line of each.

Nothing of it is made into an object, numbers and dates neither: ``0.3.10`` and hex
digits stay as they are written. What PyYAML would take silently is a fault here: a key
twice, of which it keeps the last; and aliases of aliases, whose size doubles each time.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000  # with those of aliases
MOST_DEPTH = 64
NULL = ("", "~", "null", "Null", "NULL")
LEFT, RIGHT = "\ue000", "\ue001"  # of {{x}}, which YAML takes for a map of a map
MERGE = "<<"

Path = tuple[str | int, ...]


class BadYaml(ValueError):
    """What is no YAML, or none that a policy may have.

    Parameters
    ----------
    line
        Where.
    """

    def __init__(self, line: int, message: str) -> None:
        """Keep the line."""
        super().__init__(message)
        self.line = line


class Node(NamedTuple):
    """A value, and the line where it begins; of a value in a map, that of its key."""

    value: Any
    line: int


class Source(NamedTuple):
    """A policy as it is written.

    Parameters
    ----------
    data
        Maps, lists, text and None.
    lines
        Of each value, by the keys and numbers that lead to it.
    twice
        Keys that a map has twice, and the line of the second.
    """

    data: Any
    lines: dict[Path, int]
    twice: list[tuple[int, str]]

    def find_line(self, path: Path) -> int:
        """Return the line of a value, or of what it should be in."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_source(data: bytes) -> Source:
    """Return a policy as it is written.

    Raises
    ------
    BadYaml
        It is not YAML, has several documents, or is too large.
    BadInput
        PyYAML is missing.
    """
    if len(data) > MOST_BYTES:
        raise BadYaml(1, f"has {len(data):,} bytes: expected {MOST_BYTES:,} at most")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadYaml(line, "is not UTF-8") from None
    twice: list[tuple[int, str]] = []
    root = parse(mark_template(text), twice)
    lines: dict[Path, int] = {}
    return Source(strip(root, (), lines), lines, twice)


def mark_template(text: str) -> str:
    """Return a text in which ``{{x}}`` is a word, whatever stands around it.

    Examples
    --------
    >>> mark_template("name: {{x}}") == f"name: {LEFT}x{RIGHT}"
    True
    """
    pieces = text.split("{{")
    marked = pieces[0]
    for piece in pieces[1:]:
        inner, found, after = piece.partition("}}")
        if found and not set(inner) & set('\n{}"'):
            marked += LEFT + inner.strip() + RIGHT + after
        else:
            marked += "{{" + piece
    return marked


def load_yaml() -> Any:
    """Return PyYAML, which is not there without the extra.

    Raises
    ------
    BadInput
        It is missing.
    """
    try:
        import yaml
    except ImportError:
        raise BadInput(
            "policies need PyYAML: expected pip install 'hpc_connector[confidential]'"
        ) from None
    return yaml


def parse(text: str, twice: list[tuple[int, str]]) -> Node:
    """Return the one document of a text.

    Raises
    ------
    BadYaml
        It is not YAML, or has none, or several.
    """
    yaml = load_yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = iter(yaml.parse(text, Loader=loader))
        next(events)
        if not isinstance(next(events), yaml.DocumentStartEvent):
            raise BadYaml(1, "is empty: expected a map")
        root = _build(next(events), events, {}, twice)
        next(events)
        if isinstance(after := next(events), yaml.DocumentStartEvent):
            raise BadYaml(after.start_mark.line + 1, "begins a second document")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "a character that it cannot have"
        raise BadYaml(mark.line + 1 if mark else 1, f"is no YAML: {problem}") from None
    return root


def _build(
    event: Any,
    events: Iterator[Any],
    anchors: dict[str, Node],
    twice: list[tuple[int, str]],
    depth: int = 0,
) -> Node:
    """Return the value that begins with an event; its events are taken."""
    line = event.start_mark.line + 1
    if depth > MOST_DEPTH:
        raise BadYaml(line, f"is nested over {MOST_DEPTH} deep")
    what = type(event).__name__
    if what == "AliasEvent":
        if event.anchor not in anchors:
            raise BadYaml(line, f"*{event.anchor} stands for nothing, or holds itself")
        return anchors[event.anchor]
    value: Any
    if what == "ScalarEvent":
        is_plain = event.style in (None, "")
        value = None if is_plain and event.value in NULL else event.value
    else:
        items = []
        while not type(inner := next(events)).__name__.endswith("EndEvent"):
            items.append(_build(inner, events, anchors, twice, depth + 1))
        value = items if what == "SequenceStartEvent" else _make_map(items, twice)
    node = Node(value, line)
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _make_map(items: list[Node], twice: list[tuple[int, str]]) -> dict[str, Node]:
    """Return keys and values, which stand in turn, as a map; others go into `twice`."""
    found: dict[str, Node] = {}
    for key, (value, _) in zip(items[::2], items[1::2], strict=True):
        name = "null" if key.value is None else key.value
        if not isinstance(name, str):
            raise BadYaml(key.line, "has a list or a map for a key: expected text")
        if name in found:
            twice.append((key.line, name))
        else:
            found[name] = Node(value, key.line)
    if MERGE in found:
        merged = found.pop(MERGE).value
        for one in merged if isinstance(merged, list) else [Node(merged, 0)]:
            found = (one.value if isinstance(one.value, dict) else {}) | found
    return found


def strip(node: Node, path: Path, lines: dict[Path, int]) -> Any:
    """Return a value without its lines, which are put into `lines`."""
    if len(lines) > MOST_VALUES:
        raise BadYaml(node.line, f"has over {MOST_VALUES:,} values, by its aliases")
    lines[path] = node.line
    if isinstance(node.value, dict):
        return {k: strip(v, (*path, k), lines) for k, v in node.value.items()}
    if isinstance(node.value, list):
        return [strip(v, (*path, k), lines) for k, v in enumerate(node.value)]
    return node.value
