"""Who is a case: phenotype files, and matching individuals by id."""

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.sample_file import SampleFile

ID_NAMES = ("id", "iid", "id_2", "s", "sample", "sample_id", "individual")
CASE_NAMES = (
    *("case", "iscase", "is_case", "class", "phenotype", "pheno", "status"),
    *("label", "affected", "disease", "bin1"),
)

MISSING = {"", ".", "na", "nan", "-9", "-1", "none", "null"}
CASES = {"case", "cases", "true", "t", "yes", "y", "affected", "tumor", "tumour"}
CONTROLS = {"control", "controls", "ctrl", "false", "f", "no", "n", "unaffected"}
CONTROLS |= {"normal", "healthy"}


@dataclass(frozen=True)
class Labels:
    """Labels of individuals: int8, 1 case, 0 control, -1 unlabelled."""

    individuals: tuple[str, ...] | None
    is_case: np.ndarray


@dataclass(frozen=True)
class Match:
    """The individuals of a cohort, and where each file has them.

    Parameters
    ----------
    individuals
        Ids in order, or numbers where nobody has an id.
    is_case
        int8 (individuals,).
    columns
        Position in each file of every individual, int64 (individuals,).
    notes
        What a user should know of the matching.
    """

    individuals: tuple[str, ...]
    is_case: np.ndarray
    columns: list[np.ndarray]
    notes: list[str]


def read_labels(
    path: str, *, id_column: str | None = None, case_column: str | None = None
) -> tuple[list[str] | None, list[str]]:
    """Read ids and labels, in the words of the file.

    A .fam file, an Oxford or BSC .sample file, or a table separated by tabs, commas
    or blanks, with or without a header.

    Parameters
    ----------
    id_column, case_column
        Name or number (from 1) of the columns; found by their names if None.

    Returns
    -------
    Ids, None where the file has none, and labels.
    """
    lines = _read_lines(path)
    if not lines:
        raise BadInput(f"{path} is empty: expected a label a line")
    if path.removesuffix(".gz").endswith(".fam"):
        rows = _split(lines, path, None)
        _check_width(rows, 6, path)
        return get_family_ids(rows), [row[5] for row in rows]
    if is_sample_header(lines):
        return _read_sample(lines, path, case_column)
    return _read_table(lines, path, id_column, case_column)


def get_family_ids(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the ids of .fam rows: IID, or FID:IID where IIDs are not unique."""
    individual = [row[1] for row in rows]
    if len(set(individual)) == len(individual):
        return individual
    return [f"{row[0]}:{row[1]}" for row in rows]


def is_sample_header(lines: Sequence[str]) -> bool:
    """Return whether lines begin as an Oxford .sample file."""
    if len(lines) < 2:
        return False
    names, types = lines[0].split(), lines[1].split()
    return names[:2] == ["ID_1", "ID_2"] and types[:2] == ["0", "0"]


def _read_lines(path: str) -> list[str]:
    """Return the lines of a text that may be compressed, without empty ones."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        return [line for line in data.decode().splitlines() if line.strip()]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: labels cannot be read: {error}") from None


def _split(lines: Sequence[str], path: str, delimiter: str | None) -> list[list[str]]:
    """Return the fields of lines; delimiter None splits at blanks."""
    if delimiter is None:
        return [line.split() for line in lines]
    return [[v.strip() for v in row] for row in csv.reader(lines, delimiter=delimiter)]


def _check_width(rows: Sequence[Sequence[str]], width: int, path: str) -> None:
    """Refuse a row of another number of fields."""
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise BadInput(
                f"{path}: row {number} has {len(row)} fields, expected {width}"
            )


def _read_sample(
    lines: Sequence[str], path: str, case_column: str | None
) -> tuple[list[str] | None, list[str]]:
    """Read an Oxford .sample file; ids of ``$`` are none (BSC's)."""
    rows = _split(lines, path, None)
    _check_width(rows, len(rows[0]), path)
    names, types, rows = rows[0], rows[1], rows[2:]
    if case_column is None:
        binary = [k for k, kind in enumerate(types) if kind == "B"]
        if len(binary) != 1:
            raise BadInput(
                f"{path} has {len(binary)} columns of type B: expected one, or "
                f"--label-column, one of {', '.join(names[3:])}"
            )
        column = binary[0]
    else:
        column = _find_column(case_column, names, path)
    ids = [row[1] for row in rows]
    return None if set(ids) == {"$"} else ids, [row[column] for row in rows]


def read_oxford_ids(path: str) -> list[str]:
    """Return the ids (ID_2) of an Oxford .sample file."""
    lines = _read_lines(path)
    if not is_sample_header(lines):
        raise BadInput(f"{path}: expected the two header lines of a .sample file")
    rows = _split(lines, path, None)
    _check_width(rows, len(rows[0]), path)
    return [row[1] for row in rows[2:]]


def _find_column(name: str, header: Sequence[str], path: str) -> int:
    """Return the index of a column by its name or its number from 1."""
    if name in header:
        return list(header).index(name)
    if name.isdigit() and 1 <= int(name) <= len(header):
        return int(name) - 1
    raise BadInput(
        f"{path} has no column {name!r}: expected one of {', '.join(header)}"
    )


def _read_table(
    lines: Sequence[str], path: str, id_column: str | None, case_column: str | None
) -> tuple[list[str] | None, list[str]]:
    """Read labels of a table with or without a header."""
    delimiter = next((d for d in "\t," if d in lines[0]), None)
    rows = _split(lines, path, delimiter)
    header = rows[0]
    lower = [name.lower() for name in header]
    has_header = any(name in (*ID_NAMES, *CASE_NAMES) for name in lower) or any(
        name in header for name in (id_column, case_column)
    )
    _check_width(rows, len(header), path)
    body = rows[1:] if has_header else rows
    ids, case = _choose_columns(lower if has_header else [""] * len(lower))
    if id_column is not None:
        ids = _find_column(id_column, header, path)
    if case_column is not None:
        case = _find_column(case_column, header, path)
        if ids == case:
            ids = None
    if case is None:
        raise BadInput(
            f"{path}: which column is the label? expected --label-column, one of "
            f"{', '.join(header)}"
        )
    labels = [row[case] for row in body]
    return None if ids is None else [row[ids] for row in body], labels


def _choose_columns(names: Sequence[str]) -> tuple[int | None, int | None]:
    """Return the columns of ids and of labels by name, or by place of one or two."""
    ids = next((k for k, name in enumerate(names) if name in ID_NAMES), None)
    case = next((k for k, name in enumerate(names) if name in CASE_NAMES), None)
    if case is None and len(names) == 2:
        ids = 0 if ids is None else ids
        case = 1 - ids
    elif case is None and len(names) == 1:
        case = 0
    elif ids is None and case is not None and len(names) == 2:
        ids = 1 - case
    return ids, case


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
    """
    lower = [word.strip().lower() for word in words]
    found = {word for word in lower if word not in MISSING}
    if found <= CASES | CONTROLS:
        code = dict.fromkeys(CASES, 1) | dict.fromkeys(CONTROLS, 0)
    elif found <= {"0", "1", "2", "0.0", "1.0", "2.0"}:
        is_plink = bool(found & {"2", "2.0"})
        code = {"0": -1, "1": 0, "2": 1} if is_plink else {"0": 0, "1": 1}
        code |= {f"{number}.0": value for number, value in code.items()}
    else:
        code = {}
    is_case = np.array([code.get(word, -1) for word in lower], np.int8)
    if code.keys() >= found and {0, 1} <= set(is_case.tolist()):
        return is_case
    counts = Counter(words).most_common(5)
    seen = ", ".join(f"{word!r} {n} times" for word, n in counts)
    raise BadInput(
        f"{where}: labels are {seen or 'none'}; expected two classes, such as 0 and 1, "
        "1 and 2, or case and control"
    )


def match_individuals(files: Sequence[SampleFile], labels: Labels, where: str) -> Match:
    """Find every labelled individual in every genotype file.

    By id, and the cohort is ordered by id; by position only where ids are lacking.

    Raises
    ------
    BadInput
        Duplicate ids, ids of one genotype file that another lacks, no id in common,
        or numbers of individuals that disagree where there are no ids.
    """
    named = [file.individuals for file in files]
    if labels.individuals is None or any(ids is None for ids in named):
        return _match_by_position(files, labels, where)
    for ids, path in [(labels.individuals, where)] + [
        (file.individuals or (), file.path) for file in files
    ]:
        _check_unique(ids, path)
    first = set(files[0].individuals or ())
    for file in files[1:]:
        odd = sorted(first ^ set(file.individuals or ()))
        if odd:
            raise BadInput(
                f"{file.path} and {files[0].path} differ in {_count(odd)}: expected "
                "the same individuals in every genotype file"
            )
    case_of = dict(zip(labels.individuals, labels.is_case.tolist(), strict=True))
    labelled = {name for name, label in case_of.items() if label >= 0}
    chosen = sorted(first & labelled)
    if not chosen:
        raise BadInput(
            f"{where} and {files[0].path} have no individual in common: "
            f"{sorted(labelled)[:1]} against {sorted(first)[:1]}"
        )
    notes = []
    if missing := sorted(labelled - first):
        notes.append(f"labelled, but without genotypes: {_count(missing)}")
    if extra := sorted(first - labelled):
        notes.append(f"genotyped, but without label: {_count(extra)}")
    columns = [_locate(chosen, file.individuals or ()) for file in files]
    is_case = np.array([case_of[name] for name in chosen], np.int8)
    return _checked(Match(tuple(chosen), is_case, columns, notes), where)


def _match_by_position(
    files: Sequence[SampleFile], labels: Labels, where: str
) -> Match:
    """Match individuals by their place, where ids are lacking."""
    n = len(labels.is_case)
    for file in files:
        if file.n_individuals != n:
            raise BadInput(
                f"{file.path} has {file.n_individuals} individuals and {where} {n}: "
                "expected as many, for there are no ids to match them by"
            )
    place = np.flatnonzero(labels.is_case >= 0)
    ids = labels.individuals or next(
        (f.individuals for f in files if f.individuals), None
    )
    names = tuple(ids[p] for p in place) if ids else tuple(str(p + 1) for p in place)
    notes = ["no ids on both sides: individuals are matched by position"]
    is_case = labels.is_case[place].astype(np.int8)
    return _checked(Match(names, is_case, [place for _ in files], notes), where)


def _checked(match: Match, where: str) -> Match:
    """Refuse a cohort without cases or without controls."""
    n_cases = int((match.is_case == 1).sum())
    if n_cases in (0, len(match.is_case)):
        raise BadInput(
            f"{where}: {n_cases} cases among {len(match.is_case)} genotyped "
            "individuals; expected cases and controls"
        )
    return match


def _check_unique(ids: Sequence[str], path: str) -> None:
    """Refuse ids that stand twice."""
    twice = sorted(name for name, n in Counter(ids).items() if n > 1)
    if twice:
        raise BadInput(f"{path}: duplicate ids of {_count(twice)}; expected each once")


def _count(names: Sequence[str]) -> str:
    """Return a number of individuals with up to three examples."""
    examples = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} individuals ({examples})"


def _locate(chosen: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """Return the position of each chosen id, int64."""
    place = {name: k for k, name in enumerate(ids)}
    return np.array([place[name] for name in chosen], np.int64)
