"""The reference of columns, from the schema of a program.

``{columns} PACKAGE.schema:NAME`` becomes a table of these columns: a sequence of
columns, or what has one as ``columns``.
"""

from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HEAD = "| column | definition | unit | type |\n| --- | --- | --- | --- |\n"


class Columns(SphinxDirective):
    """A table of what columns are; of a Markdown page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        module, _, name = self.arguments[0].partition(":")
        table = getattr(import_module(module), name)
        return self.parse_text_to_nodes(describe_table(table))


def describe_table(table: Any) -> str:
    """Return a Markdown table of columns."""
    return HEAD + "".join(map(describe_column, getattr(table, "columns", table)))


def describe_column(column: Any) -> str:
    """Return the row of a column."""
    shape = f" ({column.shape})" if column.shape else ""
    cells = [f"`{column.name}`", escape(column.definition), escape(column.unit)]
    return f"| {' | '.join([*cells, column.dtype + shape])} |\n"


def escape(text: str) -> str:
    """Return text in which nothing is markup."""
    for special in "\\*`|_<[":
        text = text.replace(special, f"\\{special}")
    return text


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("columns", Columns)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
