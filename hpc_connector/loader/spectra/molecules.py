"""Databases of molecules: tables with the columns id, name and formula."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.notes import Assumption

COLUMNS = ("id", "name", "formula")
DELIMITERS = "\t,;| "  # R's write.table parts by spaces
MOST_SHOWN = 5  # wrong rows in a message
MOST_LINES = 50  # of one row, in which a field has ends of lines
ASIDE = re.compile(r"#|sep=.$", re.IGNORECASE)  # what may stand above a table


class Row(NamedTuple):
    """The fields of a row, and the line of the file at which it begins, from 1."""

    line: int
    fields: list[str]


class Fault(NamedTuple):
    """What is wrong with a row, and the line of the file at which it begins, from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        """Return both, such as "line 7: name is empty"."""
        return f"line {self.line}: {self.reason}"


class Checked(NamedTuple):
    """The rows of a file: molecules (id, name, formula), and those that are none."""

    molecules: list[tuple[str, str, str]]
    faults: list[Fault]
    assumed: tuple[Assumption, ...]


@dataclass(frozen=True)
class Database:
    """Molecules of one database, a row each, in the order of the file.

    ``assumed`` is what the file does not say, ``counted`` what was left out or changed.
    """

    path: str
    id: tuple[str, ...]
    name: tuple[str, ...]
    formula: tuple[str, ...]
    counted: Mapping[str, int] = field(default_factory=dict)
    assumed: tuple[Assumption, ...] = ()

    @property
    def title(self) -> str:
        """Return the name of the file, without its endings."""
        return os.path.basename(self.path).split(".")[0]

    def get_formulas(self) -> list[str]:
        """Return the unique formulas in order of first appearance."""
        return list(dict.fromkeys(self.formula))


def read_database(
    path: str, read_formula: Callable[[str], str], *, skip_bad_rows: bool = False
) -> Database:
    """Read a database; columns other than id, name and formula are left out.

    Parameters
    ----------
    read_formula
        Returns the formula to keep; raises ValueError for one that is wrong.
    skip_bad_rows
        Leave them out and count them.

    Raises
    ------
    BadInput
        A file that cannot be read, without these columns or without rows, or rows with
        an empty value or a bad formula: all of them are counted, the first are shown.
    """
    molecules, wrong, assumed = check_rows(path, read_formula)
    if not molecules or (wrong and not skip_bad_rows):
        shown = "; ".join(map(str, wrong[:MOST_SHOWN])) or "expected a molecule a line"
        n = len(wrong) + len(molecules)
        advice = " (--skip-bad-rows leaves them out)" if molecules else ""
        raise BadInput(f"{path} has {len(wrong)} bad rows of {n}: {shown}{advice}")
    name = f"bad rows of {os.path.basename(path)} were left out (the first: "
    counted = {f"{name}{wrong[0]})": len(wrong)} if wrong else {}
    unique = list(dict.fromkeys(molecules))
    if n_repeated := len(molecules) - len(unique):
        title = os.path.basename(path)
        counted[f"rows of {title} given twice were taken once"] = n_repeated
    ids, names, formulas = zip(*unique, strict=True)
    return Database(path, ids, names, formulas, counted, assumed)


def check_rows(path: str, read_formula: Callable[[str], str]) -> Checked:
    """Return all rows of a database, the good and the bad ones; see `read_database`.

    Raises
    ------
    BadInput
        A file that cannot be read, or without the columns of a database.
    """
    text, assumed = read_noted_text(path)
    header, rows = read_table(path, text)
    places = [header.index(name) for name in COLUMNS]
    molecules: list[tuple[str, str, str]] = []
    faults: list[Fault] = []
    for line, fields in rows:
        try:
            molecules.append(_read_molecule(fields, places, len(header), read_formula))
        except ValueError as error:
            faults.append(Fault(line, str(error)))
    return Checked(molecules, faults, assumed)


def _read_molecule(
    fields: list[str], places: list[int], width: int, read_formula: Callable[[str], str]
) -> tuple[str, str, str]:
    """Return id, name and formula of a row; raise ValueError for a wrong one."""
    if not max(places) < len(fields) <= width:
        raise ValueError(f"{len(fields)} fields, expected {width}")
    number, name, formula = (fields[place].strip() for place in places)
    for title, value in zip(COLUMNS, (number, name, formula), strict=True):
        if not value:
            raise ValueError(f"{title} is empty")
    try:
        return number, name, read_formula(formula)
    except ValueError as error:
        raise ValueError(f"formula {formula[:40]!r}: {error}") from None


def read_table(path: str, text: str) -> tuple[list[str], list[Row]]:
    """Return the names of the columns, and the rows of a table; `path` names it.

    Fields are parted by tabs, commas, semicolons, bars or single spaces, whichever give
    the columns of a database, and may stand in quotes. Rows without a value, and lines
    that begin with ``#`` above the header or without another field, are no rows.

    Raises
    ------
    BadInput
        A file without these columns, or with one of them twice.
    """
    lines = [line.rstrip("\r\n") for line in io.StringIO(text, newline="")]
    above = 0
    header: list[str] = []
    for above, line in enumerate(lines):
        for delimiter in DELIMITERS:
            header = _name_columns(_split(line, delimiter) or [])
            if set(COLUMNS) <= set(header):
                return _read_rows(path, lines, above, header, delimiter)
        if line.strip() and not ASIDE.match(line.strip()):
            break
    found = _guess_columns(lines[above]) if lines else []
    missing = next(name for name in COLUMNS if name not in found)
    raise BadInput(
        f"{path} has no column {missing!r}: expected id, name and formula in a header, "
        f"found {found[:9]}"
    )


def _guess_columns(line: str) -> list[str]:
    """Return the titles in a line that lacks some, by what parts it into most."""
    guesses = [_name_columns(_split(line, one) or []) for one in DELIMITERS[:-1]]
    return max(guesses, key=len)


def _name_columns(fields: Sequence[str]) -> list[str]:
    """Return the titles of columns, without what is no part of a name."""
    return [name.strip().lstrip("#\ufeff").strip().lower() for name in fields]


def _read_rows(
    path: str, lines: list[str], above: int, header: list[str], delimiter: str
) -> tuple[list[str], list[Row]]:
    """Return the molecules of :func:`read_table`, of a table whose header is known."""
    if twice := [name for name in COLUMNS if header.count(name) > 1]:
        raise BadInput(f"{path} has two columns {twice[0]!r}: expected one")
    rows = list(_list_rows(lines, above + 1, len(header), delimiter))
    if _has_row_names(rows, len(header), delimiter):
        header = ["", *header]
    width = len(header)
    cut = [Row(row.line, _cut_empty(row.fields, width)) for row in rows]
    return header, cut


def _has_row_names(rows: list[Row], width: int, delimiter: str) -> bool:
    """Return whether a column without title stands first, as R writes row names.

    Where commas part fields they are numbers: a name may have a comma too.
    """
    if not rows or any(len(row.fields) != width + 1 for row in rows):
        return False
    if not any(row.fields[-1].strip() for row in rows):
        return False
    return delimiter == "\t" or all(row.fields[0].strip().isdecimal() for row in rows)


def _cut_empty(fields: list[str], width: int) -> list[str]:
    """Return the fields of a row without empty ones after the last column."""
    if len(fields) <= width:
        return fields
    return fields if any(map(str.strip, fields[width:])) else fields[:width]


def _list_rows(lines: list[str], at: int, width: int, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a table that have a value, from line number `at` on, from 0."""
    while at < len(lines):
        fields, n_lines = _take_row(lines, at, width, delimiter)
        is_comment = lines[at].startswith("#") and len(fields) == 1 < width
        if not is_comment and any(map(str.strip, fields)):
            yield Row(at + 1, fields)
        at += n_lines


def _take_row(
    lines: list[str], at: int, width: int, delimiter: str
) -> tuple[list[str], int]:
    """Return the fields of the row at a line, and the lines it takes.

    Quotes belong to a field where they enclose all of it, line ends included; where
    they do not, they are part of the text, as in ``"new" acid``.
    """
    plain = lines[at].split(delimiter)
    if '"' not in lines[at]:
        return plain, 1
    if (fields := _split(lines[at], delimiter)) is not None:
        return fields, 1
    for end in range(at + 2, min(at + MOST_LINES, len(lines)) + 1):
        if delimiter == "\t" and lines[end - 1].count("\t") + 1 == width:
            break  # which is a row of its own
        fields = _split("\n".join(lines[at:end]), delimiter)
        if fields is not None and len(fields) == width:
            return fields, end - at
    return plain, 1


def _split(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of one row, None where its quotes do not enclose fields."""
    if '"' not in text:
        return text.split(delimiter)
    lines = io.StringIO(text, newline="")
    try:
        rows = list(
            csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        )
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
