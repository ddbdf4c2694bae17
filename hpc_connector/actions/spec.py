"""``SPEC.toml``: which inputs, and which actions on them."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpc_connector.actions import kept, reduced
from hpc_connector.actions.tables import Table, end_line, make_predicate
from hpc_connector.errors import BadInput
from hpc_connector.options import at_least, fraction, option, read_values
from hpc_connector.text import read_toml

PIECE_BYTES = 1 << 20  # of a record, which ends with a line
KNOWN = {  # what there is to do, and the keys that it needs
    "count-words": ("words, in lower case, and how often each is there", ()),
    "filter": ("rows, or lines, that are as asked", ("where",)),
    "project": ("some columns of all rows", ("columns",)),
    "sample": ("rows, or lines, with a probability", ("p",)),
    "compress": ("all as it is; packed only while it travels", ()),
    "merge": ("all rows in the order of a column", ("by",)),
    "sum": ("the sum of a column, rounded once", ("by",)),
    "min": ("the least value of a column", ("by",)),
    "max": ("the greatest value of a column", ("by",)),
    "top-k": ("the rows of the greatest values of a column, best first", ("by", "k")),
    "histogram": ("how many values of a column lie between edges", ("by", "edges")),
    "contingency": ("how often values of columns come together", ("columns",)),
}
_key = partial(option, group="an action", flag="")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An action of a specification."""

    name: str = _key("", "of its results")
    do: str = _key("", "one of those listed, or MODULE:NAME of a class of yours")
    interleaving: bool = _key(False, "whether writes let one another in")
    where: str = _key("", "COLUMN < VALUE and ...; of lines, text that they contain")
    columns: tuple[str, ...] = _key((), "names of columns", many="words")
    by: str = _key("", "name of a column")
    k: int = _key(0, "number of rows", read=at_least(1))
    least: bool = _key(False, "whether the least are the best")
    edges: tuple[float, ...] = _key((), "in ascending order", read=float, many="words")
    p: float = _key(0.0, "probability, 0..1", read=fraction)
    seed: int = _key(42, "of the sample", read=int)


@dataclass(frozen=True)
class Spec:
    """Inputs, files or objects, whether they are tables with a header, and actions."""

    inputs: tuple[str, ...]
    table: bool
    actions: tuple[Asked, ...]


def read_spec(path: Path) -> Spec:
    """Return what a file asks for.

    Raises
    ------
    BadInput
        It cannot be read, or asks for what there is not.
    """
    given = read_toml(path)
    keys = ("inputs", "table", "action")
    for key in given:
        if key not in keys:
            raise BadInput(f"{path}: unknown key {key!r}; expected {', '.join(keys)}")
    inputs, actions = given.get("inputs", []), given.get("action", [])
    is_right = isinstance(inputs, list) and all(isinstance(one, str) for one in inputs)
    if not is_right or not inputs:
        raise BadInput(f"{path}: inputs: expected a list of files or objects")
    if not isinstance(given.get("table", False), bool):
        raise BadInput(f"{path}: table: expected true or false")
    if not isinstance(actions, list) or not actions:
        raise BadInput(f"{path}: expected one [[action]] or more")
    found = tuple(read_asked(path, n, one) for n, one in enumerate(actions, 1))
    names = [one.name for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInput(f"{path}: two actions of the name {min(twice)}")
    paths = tuple(p for one in inputs for p in find_files(path.parent, one))
    return Spec(paths, given.get("table", False), found)


def read_asked(path: Path, number: int, given: Any) -> Asked:
    """Return what one [[action]] asks for."""
    where = f"{path}: action {number}"
    if not isinstance(given, dict):
        raise BadInput(f"{where}: expected a table")
    values = read_values(Asked, given, where)
    lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
    asked = Asked(**values | lists)
    if not asked.name or Path(asked.name).name != asked.name:
        raise BadInput(f"{where}: name: expected one that files can have")
    if asked.do not in KNOWN and ":" not in asked.do:
        raise BadInput(
            f"{where}: do: {asked.do!r}: expected MODULE:NAME, or one of "
            f"{', '.join(KNOWN)}"
        )
    _, needed = KNOWN.get(asked.do, ("", ()))
    for key in needed:
        if key not in given:
            raise BadInput(f"{where}: {asked.do} needs {key}")
    if list(asked.edges) != sorted(set(asked.edges)):
        raise BadInput(f"{where}: edges: expected numbers in ascending order")
    return asked


def find_files(folder: Path, name: str) -> Sequence[str]:
    """Return the files of a pattern, relative to a folder; of an object its name.

    Raises
    ------
    BadInput
        There is none.
    """
    if "://" in name:
        return [name]
    found = sorted(folder.glob(name)) if not Path(name).is_absolute() else [Path(name)]
    files = [str(path) for path in found if path.is_file()]
    if not files:
        raise BadInput(f"inputs: {folder / name}: expected a file")
    return files


def make_action(asked: Asked, table: Table) -> Callable[[], Any]:
    """Return what makes an action.

    Raises
    ------
    BadInput
        It asks for a column that there is not, or a module cannot be loaded.
    """
    if ":" in asked.do:
        return load_class(asked.do)
    for column in (*asked.columns, *filter(None, [asked.by])):
        table.find(column)

    def values(record: memoryview) -> Any:
        return table.read_values(record, asked.by)

    def rows(record: memoryview) -> Any:
        return table.read_rows(record, asked.by)[::-1]

    def sortable(record: memoryview) -> Any:
        numbers, lines = rows(record)
        is_missing = numbers != numbers
        numbers[is_missing] = 0.0
        return list(zip(is_missing.tolist(), numbers.tolist(), strict=True)), lines

    by_name: dict[str, Callable[[], Callable[[], Any]]] = {
        "count-words": lambda: reduced.count_words,
        "filter": lambda: kept.filter_lines(make_filter(asked, table)),
        "project": lambda: project(asked, table),
        "sample": lambda: kept.sample_lines(asked.p, asked.seed),
        "compress": kept.compress,
        "merge": lambda: reduced.sort_rows(sortable),
        "sum": lambda: reduced.sum_column(values),
        "min": lambda: reduced.find_least(values),
        "max": lambda: reduced.find_greatest(values),
        "top-k": lambda: reduced.keep_best(rows, asked.k, least=asked.least),
        "histogram": lambda: reduced.count_bins(values, asked.edges),
        "contingency": lambda: reduced.count_pairs(
            lambda record: table.read_fields(record, asked.columns)
        ),
    }
    return by_name[asked.do]()


def make_filter(asked: Asked, table: Table) -> Callable[[bytes], bool]:
    """Return whether a row, or a line, is as asked."""
    if table.columns:
        return make_predicate(table, asked.where)
    wanted = asked.where.encode()
    return lambda line: wanted in line


def project(asked: Asked, table: Table) -> Callable[[], Any]:
    """Return an action that keeps columns of rows."""

    def take(record: memoryview) -> bytes:
        rows = table.read_fields(record, asked.columns)
        return b"".join(join_fields(row, table.delimiter) for row in rows)

    return partial(kept.Keep, take)


def load_class(name: str) -> Callable[[], Any]:
    """Return a class of the caller's.

    Raises
    ------
    BadInput
        There is none.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"do: {name}: {error}") from None
    if not hasattr(found, "merge"):
        raise BadInput(f"do: {name}: expected a class with merge(results)")
    return found


def format_result(asked: Asked, table: Table, found: Any) -> bytes:
    """Return what a file says of the result of an action."""
    if asked.do == "project":
        return join_fields(asked.columns, table.delimiter) + (found or b"")
    if asked.do in ("filter", "sample", "compress"):
        return table.header + (found or b"")
    if asked.do in ("merge", "top-k"):
        return table.header + b"".join(map(end_line, found or ()))
    if asked.do == "histogram":
        sides = ["-inf", *map(repr, asked.edges), "inf"]
        counts = [0] * (len(sides) - 1) if found is None else found.tolist()
        pairs = zip(sides[:-1], sides[1:], map(str, counts), strict=True)
        return format_table(("from", "to", "count"), pairs)
    if asked.do in ("count-words", "contingency"):
        return format_counts(asked, found or {})
    if asked.do in ("sum", "min", "max"):
        value = "" if found is None else repr(found)
        return format_table((asked.do, "column"), [(value, asked.by)])
    return found if isinstance(found, bytes) else f"{found}\n".encode()


def format_counts(asked: Asked, counts: Any) -> bytes:
    """Return a table of counts, the greatest first, then by what is counted."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if asked.do == "count-words":
        lines = (b"%b\t%d\n" % pair for pair in ordered)
        return b"word\tcount\n" + b"".join(lines)
    rows = ((*values, str(n)) for values, n in ordered)
    return format_table((*asked.columns, "count"), rows)


def format_table(heads: Sequence[str], rows: Any) -> bytes:
    """Return a table of text."""
    return b"".join(join_fields(row, "\t") for row in (heads, *rows))


def join_fields(row: Sequence[str], delimiter: str) -> bytes:
    """Return fields as a line; those that the delimiter is in are quoted."""
    quoted = (
        '"{}"'.format(field.replace('"', '""'))
        if delimiter in field or '"' in field
        else field
        for field in row
    )
    return f"{delimiter.join(quoted)}\n".encode("utf-8", "surrogateescape")
