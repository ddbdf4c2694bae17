"""Who is a case: phenotype files."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_text

ID_NAMES = ("id", "iid", "id_2", "s", "sample", "sample_id", "individual")
CASE_NAMES = (
    *("case", "iscase", "is_case", "class", "phenotype", "pheno", "pheno1"),
    *("status", "label", "affected", "disease", "bin1"),
)
FAMILY_COLUMNS = ("FID", "IID", "PAT", "MAT", "SEX", "PHENOTYPE")  # of a .fam file
NO_ID = "$"  # BSC's .sample files

MISSING = {"", ".", "na", "n/a", "nan", "-9", "-1", "none", "null"}
CASES = {"case", "cases", "true", "t", "yes", "y", "affected", "tumor", "tumour"}
CONTROLS = {"control", "controls", "ctrl", "false", "f", "no", "n", "unaffected"}
CONTROLS |= {"normal", "healthy"}

SHOWN = 40  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Labels:
    """Labels of individuals: int8, 1 case, 0 control, -1 unlabelled."""

    individuals: tuple[str, ...] | None
    is_case: np.ndarray


def read_labels(
    path: str, *, id_column: str | None = None, case_column: str | None = None
) -> tuple[list[str] | None, list[str]]:
    """Read ids and labels, in the words of the file.

    A .fam file, an Oxford or BSC .sample file, or a table separated by tabs, commas
    or blanks, with or without a header, compressed or not.

    Parameters
    ----------
    id_column, case_column
        Name or number (from 1) of the columns; found by their names if None. A table
        of two columns is id and label, one of a single column has no ids.

    Returns
    -------
    Ids, None where the file has none, and labels.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt, or whose columns are not clear.
    """
    lines = _read_lines(path)
    if not lines:
        raise BadInput(f"{path} is empty: expected a label a line")
    if path.removesuffix(".gz").endswith(".fam"):
        rows = _split(lines, path, len(FAMILY_COLUMNS))
        case = _find_column(case_column or FAMILY_COLUMNS[5], FAMILY_COLUMNS, path)
        ids = get_family_ids(rows)
        if id_column is not None:
            ids = _get_column(rows, _find_column(id_column, FAMILY_COLUMNS, path))
        return ids, _get_column(rows, case)
    if is_sample_header(lines):
        return _read_sample(lines, path, id_column, case_column)
    return _read_table(lines, path, id_column, case_column)


def get_family_ids(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the ids of .fam rows: IID, or FID:IID where IIDs are not unique."""
    individual = _get_column(rows, 1)
    if len(set(individual)) == len(individual):
        return individual
    return [f"{row[0]}:{row[1]}" for row in rows]


def is_sample_header(lines: Sequence[str]) -> bool:
    """Return whether lines begin as an Oxford .sample file."""
    if len(lines) < 2:
        return False
    names, types = lines[0].split(), lines[1].split()
    return names[:2] == ["ID_1", "ID_2"] and types[:2] == ["0", "0"]


def read_oxford_ids(path: str) -> list[str]:
    """Return the ids (ID_2) of an Oxford .sample file."""
    lines = _read_lines(path)
    if not is_sample_header(lines):
        raise BadInput(f"{path}: expected the two header lines of a .sample file")
    return _get_column(_split(lines, path)[2:], 1)


def _read_lines(path: str) -> list[str]:
    """Return the lines of a text that may be compressed, without empty ones."""
    return [line for line in read_text(path).splitlines() if line.strip()]


def _split(
    lines: Sequence[str],
    path: str,
    width: int | None = None,
    delimiter: str | None = None,
) -> list[list[str]]:
    """Return the fields of lines, as many in each.

    Parameters
    ----------
    width
        Number of fields; None for that of the first line.
    delimiter
        None for blanks.
    """
    if delimiter is None:
        rows = [line.split() for line in lines]
    else:
        try:
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            rows = [[value.strip() for value in row] for row in reader]
        except csv.Error as error:
            raise BadInput(f"{path}: {error}, expected a table") from None
    width = width or len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise BadInput(
                f"{path}: row {number} has {len(row)} fields, expected {width}"
            )
    return rows


def _get_column(rows: Sequence[Sequence[str]], column: int) -> list[str]:
    return [row[column] for row in rows]


def _find_column(name: str, header: Sequence[str], path: str) -> int:
    """Return the index of a column by its name or its number from 1."""
    if header.count(name) == 1:
        return header.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(header) and name not in header:
        return int(name) - 1
    n_columns = header.count(name) or "no"
    raise BadInput(
        f"{path} has {n_columns} column {name!r}: expected one of "
        f"{', '.join(header)[:200]}"
    )


def _read_sample(
    lines: Sequence[str], path: str, id_column: str | None, case_column: str | None
) -> tuple[list[str] | None, list[str]]:
    """Read an Oxford .sample file: ID_2, and the one column of type B."""
    names, types, *rows = _split(lines, path)
    ids = _get_column(rows, _find_column(id_column or "ID_2", names, path))
    if case_column is None:
        binary = [k for k, kind in enumerate(types) if kind == "B"]
        if len(binary) != 1:
            raise BadInput(
                f"{path} has {len(binary)} columns of type B: expected one, or "
                f"--label-column, one of {', '.join(names[3:])}"
            )
        case = binary[0]
    else:
        case = _find_column(case_column, names, path)
    return None if set(ids) == {NO_ID} else ids, _get_column(rows, case)


def _read_table(
    lines: Sequence[str], path: str, id_column: str | None, case_column: str | None
) -> tuple[list[str] | None, list[str]]:
    """Read labels of a table with or without a header."""
    delimiter = next((d for d in "\t,;" if d in lines[0]), None)
    rows = _split(lines, path, delimiter=delimiter)
    chosen = {name for name in (id_column, case_column) if name is not None}
    known = {*ID_NAMES, *CASE_NAMES}
    has_header = any(
        _simplify(name) in known or (name in chosen and not name.isdecimal())
        for name in rows[0]
    )
    # numbers stand for the names that a table lacks
    header = rows[0] if has_header else [str(k + 1) for k in range(len(rows[0]))]
    ids, case = _choose_columns(header, path, id_column, case_column)
    body = rows[has_header:]
    return None if ids is None else _get_column(body, ids), _get_column(body, case)


def _simplify(name: str) -> str:
    """Return a name of a column as it is compared."""
    return name.lower().removeprefix("#")


def _choose_columns(
    header: Sequence[str], path: str, id_column: str | None, case_column: str | None
) -> tuple[int | None, int]:
    """Return the columns of ids and of labels: those asked for, by name, by place."""
    ids, case = (
        _find_known(header, names, path, option)
        if column is None
        else _find_column(column, header, path)
        for column, names, option in (
            (id_column, ID_NAMES, "--id-column"),
            (case_column, CASE_NAMES, "--label-column"),
        )
    )
    if len(header) == 1 and case is None:
        return None, 0
    if len(header) == 2:
        if case is None:
            case = 1 if ids is None else 1 - ids
        ids = 1 - case if ids is None else ids
    if case is None or case == ids:
        raise BadInput(
            f"{path}: which column is the label? expected --label-column, one of "
            f"{', '.join(header)[:200]}"
        )
    return ids, case


def _find_known(
    header: Sequence[str], names: Sequence[str], path: str, option: str
) -> int | None:
    """Return the one column that has a known name, None if there is none."""
    found = [k for k, name in enumerate(header) if _simplify(name) in names]
    if len(found) > 1:
        raise BadInput(
            f"{path} has columns {' and '.join(header[k] for k in found)}: expected "
            f"{option} to name one"
        )
    return found[0] if found else None


def convert_labels(words: Sequence[str], where: str) -> np.ndarray:
    """Convert labels to numbers.

    0/1, or PLINK's 1/2 where 0 is missing, or words such as case and control.

    Returns
    -------
    int8 (individuals,): 1 case, 0 control, -1 unlabelled.

    Raises
    ------
    BadInput
        The labels are not of two classes.

    Examples
    --------
    >>> convert_labels(["2", "1", "-9"], "cohort.fam").tolist()
    [1, 0, -1]
    """
    lower = [word.strip().lower() for word in words]
    found = set(lower) - MISSING
    if found <= CASES | CONTROLS:
        code = dict.fromkeys(CASES, 1) | dict.fromkeys(CONTROLS, 0)
    else:
        is_plink = bool(found & {"2", "2.0"})
        code = {"0": -1, "1": 0, "2": 1} if is_plink else {"0": 0, "1": 1}
        code |= {f"{number}.0": value for number, value in code.items()}
    is_case = np.array([code.get(word, -1) for word in lower], np.int8)
    if found <= code.keys() and {0, 1} <= set(is_case.tolist()):
        return is_case
    counts = Counter(words).most_common(5)
    seen = ", ".join(f"{word[:SHOWN]!r} {n} times" for word, n in counts)
    raise BadInput(
        f"{where}: labels are {seen or 'none'}; expected two classes, such as 0 and 1, "
        "1 and 2, or case and control"
    )
