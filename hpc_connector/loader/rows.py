"""Tables about individuals: rows of fields, in the layouts of the field.

A .fam file (a .psam file without a header is one); an Oxford .sample file, with a row
of types after its header; PLINK's tables, of the columns FID and IID; and any table
separated by tabs, commas, semicolons or blanks, with a header or without, as Excel, R
and pandas write them.
"""

import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.notes import Assumption
from hpc_connector.storage.address import get_name
from hpc_connector.text import split_blanks, split_lines

FAMILY_COLUMNS = ("FID", "IID", "PAT", "MAT", "SEX", "PHENOTYPE")  # of a .fam file
FAMILY_ENDINGS = (".fam", ".tfam", ".psam")
SEXES = ("0", "1", "2", "-9", "NA")
FAMILY_NAMES = ("fid", "id_1", "family", "family_id", "famid")
PERSON_NAMES = ("iid", "id_2", "individual_id", "indid")
ROLES = {*FAMILY_NAMES, *PERSON_NAMES, "sid", "pat", "mat", "sex", "missing"}
PLINK_HEADERS = ("#fid", "#iid")
OXFORD_TYPES = set("0DCPB")
UNUSUAL = re.compile(r'[^\t -~]|"')  # that str.split might take for a blank, or a quote
EXCEL = re.compile(r"sep=[,;|\t]\s*", re.I)  # a line that tells it what separates
LONGEST = 200  # characters of the columns that a message lists


@dataclass(frozen=True)
class Table:
    """Rows of a file, and what their columns are called.

    Parameters
    ----------
    layout
        "fam", "oxford", "plink" or "table".
    header
        Names of the columns; numbers from 1 where the file has none.
    types
        Of the columns of an Oxford .sample file.
    """

    path: str
    layout: str
    header: tuple[str, ...]
    rows: list[list[str]]
    has_header: bool = True
    types: tuple[str, ...] = ()
    assumed: tuple[Assumption, ...] = ()

    def get_column(self, column: int) -> list[str]:
        """Return the values of a column."""
        return [row[column] for row in self.rows]

    def find_column(self, name: str) -> int:
        """Return the index of a column by its name or its number from 1."""
        header = self.header
        if header.count(name) == 1:
            return header.index(name)
        if name.isdecimal() and name not in header and 1 <= int(name) <= len(header):
            return int(name) - 1
        n_columns = header.count(name) or "no"
        raise BadInput(
            f"{self.path} has {n_columns} column {name!r}: expected one of "
            f"{list_names(header)}"
        )

    def find_family(self) -> tuple[int, int] | None:
        """Return the columns of FID and IID (ID_1 and ID_2), None if there are none.

        Without a header they come first, in all tables of PLINK.
        """
        if not self.has_header:
            return (0, 1) if len(self.header) > 1 else None
        names = [simplify(name) for name in self.header]
        found = [
            next((names.index(name) for name in known if name in names), None)
            for known in (FAMILY_NAMES, PERSON_NAMES)
        ]
        family, person = found
        return None if family is None or person is None else (family, person)


def list_names(header: Sequence[str]) -> str:
    """Return the names of columns for a message."""
    text = ", ".join(name or "''" for name in header)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def simplify(name: str) -> str:
    """Return the name of a column as it is compared."""
    return name.casefold().removeprefix("#").replace(" ", "_").replace(".", "_")


def read_table(
    path: str,
    is_value: Callable[[str], bool],
    names: Collection[str] = (),
    chosen: Collection[str] = (),
) -> Table:
    """Read a table about individuals.

    Parameters
    ----------
    is_value
        Whether a text is a value of the table rather than a name of its columns.
    names
        Those by which a header is known, simplified.
    chosen
        Columns that the user has named.

    Raises
    ------
    BadInput
        A file that cannot be read, is no text, is empty, or whose rows differ in
        their number of fields.
    """
    text, assumed = read_noted_text(path)
    lines = [line for line in split_lines(text) if line.strip()]
    if lines and EXCEL.fullmatch(lines[0]):
        del lines[0]
    lines = drop_comments(lines)
    if not lines:
        raise BadInput(f"{path} is empty: expected an individual a line")
    first = simplify(split_blanks(lines[0])[0])
    if first not in ("fid", "iid") and is_fam(path, lines):
        n_fields = max(len(FAMILY_COLUMNS), len(split_blanks(lines[0])))
        rows = split_rows(lines, path, n_fields)
        rows = [row[: len(FAMILY_COLUMNS)] for row in rows]  # as PLINK does
        return Table(path, "fam", FAMILY_COLUMNS, rows, assumed=assumed)
    if is_oxford(lines):
        found = split_rows(lines, path, delimiter=find_delimiter(lines[0]))
        names_here, types, *rows = found
        head, kinds = tuple(names_here), tuple(types)
        return Table(path, "oxford", head, rows, types=kinds, assumed=assumed)
    rows = split_rows(lines, path, delimiter=find_delimiter(lines[0]))
    is_named = _is_named(rows, {*names, *ROLES}, chosen)
    has_header = is_named or lines[0].startswith("#") or _differs(rows, is_value)
    # numbers stand for the names that a table lacks
    header = rows[0] if has_header else [str(k + 1) for k in range(len(rows[0]))]
    is_plink = first == "fid" or lines[0].casefold().startswith(PLINK_HEADERS)
    return Table(
        path,
        "plink" if is_plink else "table",
        tuple(header),
        rows[has_header:],
        has_header=has_header,
        assumed=assumed,
    )


def drop_comments(lines: Sequence[str]) -> list[str]:
    """Return lines without the comments before them.

    Of the lines at the top that begin with # the last may be a header, as in PLINK 2's
    tables: it is where it has as many fields as the line after it.
    """
    n = next((k for k, line in enumerate(lines) if line[0] != "#"), len(lines))
    if n == 0 or n == len(lines):
        return list(lines[n:])
    header, after = lines[n - 1], lines[n]
    delimiter = find_delimiter(header)
    n_fields = [
        len(line.split(delimiter) if delimiter else split_blanks(line))
        for line in (header, after)
    ]
    is_plink = header.casefold().startswith(PLINK_HEADERS)
    is_header = not header.startswith("##") and n_fields[0] == n_fields[1]
    return list(lines[n - (is_header or is_plink) :])


def is_fam(path: str, lines: Sequence[str]) -> bool:
    """Return whether lines are of a .fam file: by its name, or as it looks.

    Under another name all lines have six fields: two are parents, and one is a sex.
    """
    stem = get_name(path).lower().removesuffix(".gz").removesuffix(".bgz")
    if stem.endswith(FAMILY_ENDINGS):
        return True
    rows = [split_blanks(line) for line in lines]
    if any(len(row) != len(FAMILY_COLUMNS) or row[4] not in SEXES for row in rows):
        return False
    parents = {parent for row in rows for parent in row[2:4]}
    return parents <= {"0", *(row[1] for row in rows)}


def is_oxford(lines: Sequence[str]) -> bool:
    """Return whether lines begin as an Oxford .sample file: names, then types."""
    if len(lines) < 2:
        return False
    delimiter = find_delimiter(lines[0])
    names, types = (
        [word.strip(' \t"') for word in line.split(delimiter)] for line in lines[:2]
    )
    is_named = names[0].casefold() in ("id_1", "id_2", "id")
    return is_named and types[0] == "0" and set(types) <= OXFORD_TYPES


def find_delimiter(line: str) -> str | None:
    """Return the separator of fields, None for blanks."""
    return next((d for d in "\t,;" if d in line), None)


def split_rows(
    lines: Sequence[str],
    path: str,
    width: int | None = None,
    delimiter: str | None = None,
) -> list[list[str]]:
    """Return the fields of lines, as many in each.

    R's tables name one column less than they have: the first holds names of rows.

    Parameters
    ----------
    width
        Number of fields; None for that of the first line.
    delimiter
        None for blanks.
    """
    try:
        rows = _split_all(lines, delimiter)
    except csv.Error as error:
        raise BadInput(f"{path}: {error}, expected a table") from None
    rows = _drop_empty_end([row for row in rows if any(row)])
    if not rows:
        raise BadInput(f"{path} is empty: expected an individual a line")
    if width is None and len(rows) > 1 and len(rows[1]) == len(rows[0]) + 1:
        rows[0].insert(0, "")
    width = width or len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise BadInput(
                f"{path}: row {number} has {len(row)} fields, expected {width}"
            )
    return rows


def _drop_empty_end(rows: list[list[str]]) -> list[list[str]]:
    """Return rows without a last column that is empty, as a comma at the end leaves."""
    width = max(map(len, rows), default=0)
    if width > 1 and not any(row[-1] for row in rows if len(row) == width):
        return [row[: width - 1] for row in rows]
    return rows


def _split_all(lines: Sequence[str], delimiter: str | None) -> list[list[str]]:
    if delimiter is None and not any(map(UNUSUAL.search, lines)):
        return [line.split() for line in lines]
    return [_split(line, delimiter) for line in lines]


def _split(line: str, delimiter: str | None) -> list[str]:
    """Return the fields of a line, without quotes and blanks around them."""
    text = line if delimiter else " ".join(split_blanks(line))
    if '"' not in text:
        return [field.strip() for field in text.split(delimiter or " ")]
    (row,) = csv.reader([text], delimiter=delimiter or " ", skipinitialspace=True)
    return [field.strip() for field in row]


def _is_named(
    rows: Sequence[Sequence[str]], known: Collection[str], chosen: Collection[str]
) -> bool:
    """Return whether the first row has a name of a column, known or chosen."""
    return any(
        (simplify(name) in known or (name in chosen and not name.isdecimal()))
        and all(row[k] != name for row in rows[1:])  # "case" may be a label, too
        for k, name in enumerate(rows[0])
    )


def _differs(rows: Sequence[Sequence[str]], is_value: Callable[[str], bool]) -> bool:
    """Return whether the first row is no value in a column where all others are."""
    return len(rows) > 2 and any(
        not is_value(rows[0][column]) and all(is_value(row[column]) for row in rows[1:])
        for column in range(len(rows[0]))
    )
