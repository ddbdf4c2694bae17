"""Databases of molecules: tab-separated columns id, name and formula."""

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_text

COLUMNS = ("id", "name", "formula")
MOST_SHOWN = 5  # wrong rows in a message


@dataclass(frozen=True)
class Database:
    """Molecules of one database, a row each, in the order of the file.

    ``counted`` is what was left out or changed.
    """

    path: str
    id: tuple[str, ...]
    name: tuple[str, ...]
    formula: tuple[str, ...]
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the name of the file, without its endings."""
        return os.path.basename(self.path).split(".")[0]

    def get_formulas(self) -> list[str]:
        """Return the unique formulas in order of first appearance."""
        return list(dict.fromkeys(self.formula))


def read_database(path: str, check_formula: Callable[[str], object]) -> Database:
    """Read a database; columns other than id, name and formula are left out.

    Parameters
    ----------
    check_formula
        Raises ValueError for a formula that cannot be parsed.

    Raises
    ------
    BadInput
        A file that cannot be read, without these columns or without rows, or rows with
        an empty value or a bad formula: all of them are counted, the first are shown.
    """
    lines = read_text(path).splitlines()
    rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    header = rows[0] if rows else []
    if missing := [name for name in COLUMNS if name not in header]:
        raise BadInput(f"{path} has no column {missing[0]!r}: found {header[:9]}")
    places = [header.index(name) for name in COLUMNS]
    wrong = []
    for number, row in enumerate(rows[1:], start=2):
        if said := _find_fault(row, places, len(header), check_formula):
            wrong.append(f"line {number}: {said}")
    if wrong or len(rows) < 2:
        shown = "; ".join(wrong[:MOST_SHOWN]) or "expected a molecule a line"
        raise BadInput(f"{path} has {len(wrong)} bad rows of {len(rows) - 1}: {shown}")
    ids, names, formulas = (tuple(r[k].strip() for r in rows[1:]) for k in places)
    return Database(path, ids, names, formulas)


def _find_fault(
    row: list[str],
    places: list[int],
    width: int,
    check_formula: Callable[[str], object],
) -> str:
    """Return what is wrong with a row, or nothing."""
    if len(row) != width:
        return f"{len(row)} fields, expected {width}"
    for name, place in zip(COLUMNS, places, strict=True):
        if not row[place].strip():
            return f"{name} is empty"
    formula = row[places[-1]].strip()
    try:
        if "." in formula:
            raise ValueError("'.' is not allowed")
        check_formula(formula)
    except ValueError as error:
        return f"formula {formula[:40]!r}: {error}"
    return ""
