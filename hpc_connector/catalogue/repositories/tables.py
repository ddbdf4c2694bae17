"""Tables of text between tabs, quoted where needed, as ISA-Tab has them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.text import decode_text, split_lines

MOST_BYTES = 1 << 28


class Row(NamedTuple):
    """A row of a table, and the place of its last line for messages."""

    cells: list[str]
    where: str


def read_text(path: Path) -> str:
    r"""Return the text of a file, whose lines end at \n.

    Raises
    ------
    BadInput
        It cannot be read, is no text, or is too large.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: expected {MOST_BYTES >> 20} MiB at most")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    return "\n".join(split_lines(decode_text(data, str(path))[0]))


def load_json(text: str, where: str) -> Any:
    """Return the value of a text of JSON.

    Raises
    ------
    BadInput
        It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if hasattr(error, "lineno") else ""
        raise BadInput(f"{where}{line}: it is no JSON: {error}") from None


def read_rows(path: Path, delimiter: str = "\t") -> Iterator[Row]:
    """Yield the rows of a table; cells may have newlines and tabs between quotes.

    Rows of no text, and comments, which begin with ``#``, are left out.

    Raises
    ------
    BadInput
        A quote that does not end, or that something follows; a field too long.
    """
    text = io.StringIO(read_text(path), newline="\n")
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for cells in rows:
            cells = [cell.strip() for cell in cells]
            if any(cells) and not cells[0].startswith("#"):
                yield Row(cells, f"{path}, line {rows.line_num}")
    except csv.Error as error:
        raise BadInput(
            f"{path}, line {rows.line_num}: {error}: expected quotes around a whole "
            "field, and those in it twice"
        ) from None


class Table(NamedTuple):
    """A table with a header; rows are as long as it."""

    path: Path
    header: list[str]
    rows: list[Row]

    def get(self, *names: str) -> list[str]:
        """Return the values of the columns of some names, whatever their case."""
        wanted = {name.lower() for name in names}
        columns = [k for k, name in enumerate(self.header) if name.lower() in wanted]
        return [row.cells[k] for row in self.rows for k in columns]


def read_table(path: Path, delimiter: str = "\t") -> Table:
    """Return a table.

    Raises
    ------
    BadInput
        It has no header, or a row is longer than it.
    """
    rows = list(read_rows(path, delimiter))
    if not rows:
        raise BadInput(f"{path} is empty: expected a header")
    header = rows[0].cells
    found = []
    for cells, where in rows[1:]:
        if any(cells[len(header) :]):
            raise BadInput(
                f"{where}: {len(cells)} fields: expected {len(header)}, as the header"
            )
        found.append(Row([*cells, *[""] * len(header)][: len(header)], where))
    return Table(path, header, found)
