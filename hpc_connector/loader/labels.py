"""Who is a case: phenotype files."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.rows import (
    FAMILY_COLUMNS,
    FAMILY_NAMES,
    ROLES,
    Table,
    list_names,
    read_table,
    simplify,
)
from hpc_connector.notes import Assumption

ID_NAMES = ("id", "iid", "id_2", "s", "sample", "sample_id", "individual")
# of a label that is 0 or 1 wherever it stands, and of one that PLINK names
PLAIN_NAMES = (
    *("case", "iscase", "is_case", "class", "status", "label", "affected"),
    *("disease", "case_status", "case_control", "bin1"),
)
PLINK_NAMES = ("phenotype", "pheno", "pheno1")
CASE_NAMES = (*PLAIN_NAMES, *PLINK_NAMES)
NO_ID = "$"  # BSC's .sample files

MISSING = {"", ".", "na", "n/a", "nan", "-9", "-1", "none", "null"}
CASES = {"case", "cases", "true", "t", "yes", "y", "affected", "tumor", "tumour"}
CONTROLS = {"control", "controls", "ctrl", "false", "f", "no", "n", "unaffected"}
CONTROLS |= {"normal", "healthy"}
WORDS = MISSING | CASES | CONTROLS | {"0", "1", "2"}
CODES = {  # of labels that are numbers
    "plain": {"0": 0, "1": 1},
    "plink": {"0": -1, "1": 0, "2": 1},
}
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d{1,2})?")

SHOWN = 40  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Labels:
    """Labels of individuals: int8, 1 case, 0 control, -1 unlabelled.

    Parameters
    ----------
    absent
        Ids of the labelled whom the genotypes do not have, if they are left out here.
    assumed
        What the file of the labels does not say.
    are_classes
        They tell cases from controls; else 0 says that there is a trait, of any value.
    """

    individuals: tuple[str, ...] | None
    is_case: NDArray[np.int8]
    absent: tuple[str, ...] = ()
    assumed: tuple[Assumption, ...] = ()
    are_classes: bool = True


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
    table = read_label_table(path, id_column, case_column)
    case = find_case(table, case_column)
    ids = name_rows(table, id_column, case)
    if case is None:
        case = choose_case(table, {find_ids(table, id_column, case)})
    return ids, table.get_column(case)


def read_label_table(
    path: str, id_column: str | None = None, case_column: str | None = None
) -> Table:
    """Read the table of a phenotype file."""
    chosen = {name for name in (id_column, case_column) if name is not None}
    names = {*ID_NAMES, *CASE_NAMES, *CASES, *CONTROLS}  # y and tumor may be columns
    return read_table(path, is_label, names, chosen)


def is_label(word: str) -> bool:
    """Return whether a word may be a label."""
    return shorten(word) in WORDS


def shorten(word: str) -> str:
    """Return a label as it is compared: small letters, and whole numbers as such.

    Examples
    --------
    >>> [shorten(word) for word in ("Case", "2.0", "1.000000e+00", "-9.", "1.5")]
    ['case', '2', '1', '-9', '1.5']
    """
    word = word.strip().casefold()
    if word.isdecimal() or not NUMBER.fullmatch(word):
        return word
    number = float(word)
    return str(int(number)) if number.is_integer() else word


def find_case(table: Table, name: str | None = None) -> int | None:
    """Return the column of the label by its name or layout, None if that is not clear.

    Raises
    ------
    BadInput
        Several columns have such a name, or there is no column of the name asked for.
    """
    if name is not None:
        return table.find_column(name)
    if table.layout == "fam":
        return FAMILY_COLUMNS.index("PHENOTYPE")
    if table.layout == "oxford":
        return find_binary(table)
    return find_known(table, is_case_name, "--label-column")


def find_binary(table: Table) -> int:
    """Return the one column of type B of an Oxford .sample file."""
    binary = [k for k, kind in enumerate(table.types) if kind == "B"]
    if len(binary) != 1:
        raise BadInput(
            f"{table.path} has {len(binary)} columns of type B: expected one, or "
            f"--label-column, one of {list_names(table.header[3:])}"
        )
    return binary[0]


def is_id_name(name: str) -> bool:
    """Return whether a column has the name of ids."""
    return simplify(name) in ID_NAMES


def is_case_name(name: str) -> bool:
    """Return whether a column has the name of a label; PLINK 2 numbers them."""
    name = simplify(name)
    return name in CASE_NAMES or (name[:5] == "pheno" and name[5:].isdecimal())


def find_known(
    table: Table, is_known: Callable[[str], bool], option: str
) -> int | None:
    """Return the one column that has a known name, None if there is none."""
    if not table.has_header:
        return None
    found = [k for k, name in enumerate(table.header) if is_known(name)]
    if len(found) > 1:
        raise BadInput(
            f"{table.path} has columns {' and '.join(table.header[k] for k in found)}: "
            f"expected {option} to name one"
        )
    return found[0] if found else None


def choose_case(table: Table, of_ids: Collection[int | None]) -> int:
    """Return the column of the label of a table that does not name it: the one left.

    Raises
    ------
    BadInput
        Several are left, or none.
    """
    left = [
        k
        for k, name in enumerate(table.header)
        if k not in of_ids
        and simplify(name) not in FAMILY_NAMES
        and not (table.layout == "plink" and simplify(name) in ROLES)
    ]
    if len(left) == 1:
        return left[0]
    raise BadInput(
        f"{table.path}: which column is the label? expected --label-column, one of "
        f"{list_names(table.header)}"
    )


def find_ids(table: Table, name: str | None, case: int | None) -> int | None:
    """Return the column of ids by its name or place, None where that is not clear."""
    if name is not None:
        return table.find_column(name)
    if table.layout == "fam":
        return FAMILY_COLUMNS.index("IID")
    if len(table.header) == 1:
        return None
    if table.layout in ("oxford", "plink") and (found := table.find_family()):
        return found[1]
    ids = find_known(table, is_id_name, "--id-column")
    if ids is None and len(table.header) == 2:
        return 0 if case is None else 1 - case
    return ids


def name_rows(table: Table, name: str | None, case: int | None) -> list[str] | None:
    """Return the ids of the rows by names of columns alone, None if there are none."""
    column = find_ids(table, name, case)
    if column is None or column == case:
        return None
    ids = table.get_column(column)
    if set(ids) == {NO_ID}:
        return None
    if name is None and table.layout == "fam":
        return get_family_ids(table.rows)
    return ids


def get_family_ids(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the ids of rows of FID and IID: IID, or FID:IID where it is not unique."""
    individual = [row[1] for row in rows]
    if len(set(individual)) == len(individual):
        return individual
    return [f"{row[0]}:{row[1]}" for row in rows]


def get_coding(table: Table, case: int, *, is_plink: bool = False) -> str:
    """Return how the labels of a table are coded: "plink", "plain" or "any".

    Parameters
    ----------
    is_plink
        A table without a header that begins with FID and IID.
    """
    if table.layout == "fam" or is_plink:
        return "plink"
    if table.layout == "oxford":  # of SHAPEIT, what came from PLINK
        return "plink" if table.header[case] == "plink_pheno" else "any"
    name, first = simplify(table.header[case]), simplify(table.header[0])
    if table.layout == "plink":
        return "any" if name in PLAIN_NAMES else "plink"
    return "plink" if first == "iid" and name in PLINK_NAMES else "any"


def convert_labels(
    words: Sequence[str],
    where: str,
    coding: str = "any",
    option: str = "--label-column",
) -> NDArray[np.int8]:
    """Convert labels to numbers.

    Parameters
    ----------
    coding
        Of numbers. "plain": 0 is a control and 1 a case. "plink": 1 is a control, 2 a
        case, 0 missing. "any": the second where a 2 is found, else the first.
    option
        That names another column.

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
    short = [shorten(word) for word in words]
    found = set(short) - MISSING
    if coding == "any":
        coding = "plink" if "2" in found else "plain"
    code = CODES[coding]
    if found and found <= CASES | CONTROLS:
        code = dict.fromkeys(CASES, 1) | dict.fromkeys(CONTROLS, 0)
    is_case = np.array([code.get(word, -1) for word in short], np.int8)
    if found <= code.keys() and {0, 1} <= set(is_case.tolist()):
        return is_case
    raise BadInput(f"{where}: {explain_labels(words, found, coding, option)}")


def note_coding(
    words: Sequence[str], where: str, coding: str, option: str = "--label-column"
) -> list[Assumption]:
    """Return the assumption about labels 0, 1 and 2, where no coding was named."""
    found = {shorten(word) for word in words} - MISSING
    if coding != "any" or found != {"0", "1", "2"}:
        return []
    taken = "as PLINK codes them (1 control, 2 case, 0 missing)"
    because = f"{where} has 0, 1 and 2"
    return [Assumption("the meaning of labels", taken, because, option)]


def explain_labels(
    words: Sequence[str], found: set[str], coding: str, option: str = "--label-column"
) -> str:
    """Return why labels are not of two classes."""
    counts = Counter(words).most_common(5)
    seen = ", ".join(f"{word[:SHOWN]!r} {n} times" for word, n in counts) or "none"
    if coding == "plink" and found == {"0", "1"}:
        return (
            f"labels are {seen}, of which 1 is a control and 0 missing as PLINK codes "
            "them: no case; expected 1 and 2, or --1 where 0 is a control and 1 a case"
        )
    if any(is_fraction(word) for word in found):
        return (
            f"labels are {seen}: a quantitative trait; expected two classes, such as "
            f"1 and 2 ({option} names another column)"
        )
    return (
        f"labels are {seen}; expected two classes, such as 0 and 1, 1 and 2, or case "
        "and control"
    )


def is_fraction(word: str) -> bool:
    """Return whether a word is a number that no label is."""
    try:
        return word not in CODES["plink"] and np.isfinite(float(word))
    except ValueError:
        return False
