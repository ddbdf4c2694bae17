"""Records of text: the rows of a table, their fields, and what is asked of them."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.actions.kept import split_lines
from hpc_connector.errors import BadInput
from hpc_connector.slices.formats.text import split_row

MISSING = ("", "NA", "nan", "NaN", ".")
OPERATORS: dict[str, Callable[[float | str, float | str], bool]] = {
    "<=": operator.le,  # the longer first
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(rf"\s*(.+?)\s*({'|'.join(OPERATORS)})\s*(.*?)\s*")


@dataclass(frozen=True)
class Table:
    """What the rows of a text have in common.

    Parameters
    ----------
    header
        All before the first row, b"" of text without.
    columns
        Their names; none of text that is no table, whose rows are lines.
    """

    header: bytes = b""
    columns: tuple[str, ...] = ()
    delimiter: str = "\t"

    def find(self, column: str) -> int:
        """Return the place of a column.

        Raises
        ------
        BadInput
            There is none of that name.
        """
        if column not in self.columns:
            known = ", ".join(self.columns) or "none, for table is not true"
            raise BadInput(f"column {column}: expected one of {known}")
        return self.columns.index(column)

    def split(self, line: bytes) -> list[str]:
        """Return the fields of a row.

        Raises
        ------
        BadInput
            They are more or fewer than columns.
        """
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        plain = '"' not in text
        row = text.split(self.delimiter) if plain else split_row(text, self.delimiter)
        if len(row) != len(self.columns):
            raise BadInput(
                f"{text[:60]!r}: {len(row)} fields, expected {len(self.columns)}"
            )
        return row

    def split_rows(self, record: memoryview) -> list[tuple[bytes, list[str]]]:
        """Return the rows of a record that are not blank, each with its fields."""
        lines = (line for line in split_lines(record) if line.strip())
        return [(end_line(line), self.split(line)) for line in lines]

    def read_values(self, record: memoryview, column: str) -> NDArray[np.float64]:
        """Return the values of a column of a record, without those missing."""
        _, values = self.read_rows(record, column)
        return values[~np.isnan(values)]

    def read_rows(
        self, record: memoryview, column: str
    ) -> tuple[list[bytes], NDArray[np.float64]]:
        """Return the rows of a record, and a column of theirs; NaN is missing."""
        place = self.find(column)
        rows = self.split_rows(record)
        numbers = [read_number(row[place], column) for _, row in rows]
        return [line for line, _ in rows], np.array(numbers, np.float64)

    def read_fields(
        self, record: memoryview, columns: Sequence[str]
    ) -> list[tuple[str, ...]]:
        """Return some fields of each row of a record."""
        places = [self.find(column) for column in columns]
        rows = self.split_rows(record)
        return [tuple(row[place] for place in places) for _, row in rows]


def end_line(line: bytes) -> bytes:
    """Return a line with its end, which the last of a file may lack."""
    return line if line.endswith((b"\n", b"\r")) else line + b"\n"


def read_number(field: str, column: str) -> float:
    """Return a field as a number, NaN for one that is missing.

    Raises
    ------
    BadInput
        It is neither.
    """
    if field.strip() in MISSING:
        return math.nan
    try:
        return float(field)
    except ValueError:
        known = ", ".join(filter(None, MISSING))
        raise BadInput(
            f"column {column}: {field[:40]!r}: expected a number, or nothing, {known}"
        ) from None


def make_predicate(table: Table, where: str) -> Callable[[bytes], bool]:
    r"""Return whether a row is as asked: ``p < 5e-8 and chromosome == 6``.

    A condition whose right side is a number compares numbers, and one that is missing
    fulfils none; else it compares text.

    Examples
    --------
    >>> table = Table(columns=("id", "p"))
    >>> is_kept = make_predicate(table, "p < 0.01 and id != rs2")
    >>> [is_kept(row) for row in (b"rs1\t1e-4\n", b"rs2\t1e-4\n", b"rs3\tNA\n")]
    [True, False, False]
    """
    checks = [make_check(table, one) for one in re.split(r"\s+and\s+", where)]

    def is_kept(line: bytes) -> bool:
        if not line.strip():
            return False
        row = table.split(line)
        return all(check(row) for check in checks)

    return is_kept


def make_check(table: Table, condition: str) -> Callable[[list[str]], bool]:
    """Return whether the fields of a row fulfil a condition.

    Raises
    ------
    BadInput
        It is none.
    """
    found = CONDITION.fullmatch(condition)
    if not found:
        raise BadInput(
            f"where: {condition!r}: expected COLUMN, one of {' '.join(OPERATORS)}, and "
            "a value"
        )
    column, sign, wanted = found.groups()
    place, compare = table.find(column), OPERATORS[sign]
    try:
        number = float(wanted)
    except ValueError:
        return lambda row: compare(row[place], wanted)

    def check(row: list[str]) -> bool:
        value = read_number(row[place], column)
        return not math.isnan(value) and compare(value, number)

    return check
