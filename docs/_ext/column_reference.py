"""The reference of columns, from the schema of a program.

``.. columns:: PACKAGE`` becomes a table of columns for each table that
``PACKAGE.schema`` has, in its order.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HEAD = ("column", "definition", "unit", "type")


class Columns(SphinxDirective):
    """Tables of what the columns of a program are."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a section for each table."""
        schema = import_module(f"{self.arguments[0]}.schema")
        text = "\n".join(describe_schema(schema))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def list_tables(schema: Any) -> list[Any]:
    """Return what of a module is a table: a place, what a row is, and columns."""
    parts = ("place", "row", "columns")
    return [
        value
        for value in vars(schema).values()
        if not isinstance(value, type) and all(hasattr(value, part) for part in parts)
    ]


def describe_schema(schema: Any) -> Iterator[str]:
    """Yield reStructuredText of all tables of a schema."""
    for table in list_tables(schema):
        yield from (table.place, "-" * len(table.place), "")
        yield from (f"A row is {escape(table.row)}.", "")
        yield from describe_table(table)


def describe_table(table: Any) -> Iterator[str]:
    """Yield a table of the columns of a table."""
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield from make_row(HEAD)
    for column in table.columns:
        shape = f", {escape(column.shape)}" if getattr(column, "shape", "") else ""
        said = escape(column.definition)
        dtype = f"{column.dtype}{shape}"
        yield from make_row((f"``{column.name}``", said, escape(column.unit), dtype))
    yield ""


def make_row(cells: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of one row."""
    for number, cell in enumerate(cells):
        yield f"   {'* -' if number == 0 else '  -'} {cell}"


def escape(text: str) -> str:
    """Return text in which nothing is markup."""
    for special in "\\*`|_":
        text = text.replace(special, f"\\{special}")
    return text


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("columns", Columns)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
