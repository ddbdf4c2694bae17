"""Traits and covariates: columns of tables about individuals, as numbers.

Whoever a table does not have, or has without a value, is missing: NaN, or an empty
text. Where PLINK wrote it its codes hold: -9 is missing, 1 a control and 2 a case.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.id_columns import find_individuals
from hpc_connector.loader.individuals import ASK, has_ids
from hpc_connector.loader.labels import (
    CASE_NAMES,
    CASES,
    CONTROLS,
    ID_NAMES,
    MISSING,
    SHOWN,
    Labels,
    convert_labels,
    get_coding,
    is_case_name,
    note_coding,
    shorten,
)
from hpc_connector.loader.rows import ROLES, Table, list_names, read_table, simplify
from hpc_connector.notes import Assumption

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
UNKNOWN = {"", ".", "na", "n/a", "nan", "none", "null"}  # in any table
PLINK_UNKNOWN = UNKNOWN | {"-9"}


@dataclass(frozen=True)
class People:
    """A table about individuals, and where it has those of a genotype file.

    Parameters
    ----------
    rows
        Row of each individual of the genotype file, int64, -1 where there is none.
    of_ids
        Its columns of ids.
    is_plink
        PLINK's codes hold in it.
    absent
        Rows of whom the genotypes do not have.
    """

    table: Table
    rows: NDArray[np.int64]
    of_ids: frozenset[int]
    is_plink: bool
    absent: tuple[int, ...] = ()
    assumed: tuple[Assumption, ...] = ()

    def get_words(self, column: int) -> list[str]:
        """Return the values of the genotyped individuals, empty without a row."""
        rows = self.table.rows
        return [rows[k][column] if k >= 0 else "" for k in self.rows.tolist()]


@dataclass(frozen=True)
class TraitColumn:
    """A trait of the individuals of a genotype file.

    Parameters
    ----------
    kind
        ``binary``, ``quantitative`` or ``count``.
    values
        float64 (individuals of the file,): 1 for a case and 0 for a control of a binary
        trait; NaN where missing.
    labels
        Who has a trait, or of a binary one who is a case; what was assumed.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    labels: Labels


@dataclass(frozen=True)
class Covariate:
    """A covariate of the individuals of a genotype file: numbers, or texts.

    Parameters
    ----------
    numbers
        float64, NaN where missing; empty for texts.
    texts
        Empty where missing.
    """

    name: str
    numbers: NDArray[np.float64]
    texts: tuple[str, ...] = ()

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Who has no value, bool (individuals,)."""
        if self.texts:
            return np.array([not text for text in self.texts])
        return np.isnan(self.numbers)


def read_people(
    path: str,
    file: SampleFile,
    *,
    id_column: str | None = None,
    chosen: Sequence[str] = (),
) -> People:
    """Read a table about the individuals of a genotype file.

    Parameters
    ----------
    id_column
        Name or number (from 1) of the column of ids, None to find it by its values.
    chosen
        Columns that the user has named.

    Raises
    ------
    BadInput
        A file that cannot be read, ids of which none is genotyped, or one that stands
        twice.
    """
    known = {*ID_NAMES, *CASE_NAMES}
    table = read_table(path, is_value, known, {*chosen, id_column or ""})
    is_plink = table.layout in ("fam", "plink")
    if file.individuals is None:
        rows = _number_rows(table, file, id_column)
        return People(table, rows, frozenset(), is_plink, (), table.assumed)
    found = find_individuals(table, file, id_column)
    places = found.places
    inside = np.flatnonzero(places >= 0)
    _check_once(path, file, places[inside])
    rows = np.full(file.n_individuals, -1, np.int64)
    rows[places[inside]] = inside
    is_bare = not table.has_header and len(table.header) > 2 and 1 in found.columns
    family = table.find_family() if is_plink or is_bare else None
    of_ids = frozenset({*found.columns, *(family or ())})
    absent = tuple(np.flatnonzero(places < 0).tolist())
    assumed = (*table.assumed, *found.assumed)
    return People(table, rows, of_ids, is_plink or is_bare, absent, assumed)


def _number_rows(
    table: Table, file: SampleFile, id_column: str | None
) -> NDArray[np.int64]:
    """Return the rows of individuals whom neither file names, in their order."""
    if has_ids(table, id_column, None):
        raise BadInput(
            f"{file.path} names no individuals, but {table.path} does: {ASK}"
        )
    if len(table.rows) != file.n_individuals:
        raise BadInput(
            f"{table.path} has {len(table.rows)} individuals and {file.path} "
            f"{file.n_individuals}: expected as many, for ids to match them by are "
            "lacking"
        )
    return np.arange(file.n_individuals)


def _check_once(path: str, file: SampleFile, places: NDArray[np.int64]) -> None:
    """Refuse a table in which an individual stands twice."""
    twice = np.flatnonzero(np.bincount(places, minlength=1) > 1)
    if len(twice):
        name = (file.individuals or ())[twice[0]]
        raise BadInput(
            f"{path}: {len(twice)} individuals such as {name[:SHOWN]!r} stand twice; "
            "expected each once"
        )


def is_value(word: str) -> bool:
    """Return whether a word may be a trait: a number, a label, or missing."""
    short = shorten(word)
    return bool(NUMBER.fullmatch(word)) or short in MISSING | CASES | CONTROLS


def find_named(table: Table, name: str) -> int:
    """Return the index of a column by its name or its number from 1.

    Raises
    ------
    BadInput
        There is none; the nearest name is told.
    """
    by_name = {known.casefold(): known for known in table.header}
    near = get_close_matches(name.casefold(), by_name, n=1)
    is_unknown = name not in table.header and not name.isdecimal()
    if is_unknown and near:
        raise BadInput(
            f"{table.path} has no column {name[:SHOWN]!r}: is {by_name[near[0]]!r} "
            f"meant? It has {list_names(table.header)}"
        )
    return table.find_column(name)


def find_range(table: Table, words: Sequence[str]) -> list[int]:
    """Return the columns of names and ranges, such as age, sex and PC1-PC10.

    A range has all columns from one to another, as in PLINK; several may stand in a
    word, with commas between. Each column is returned once.

    Raises
    ------
    BadInput
        A name that no column has, or a range that runs backwards.
    """
    found: dict[int, None] = {}
    for name in (part.strip() for word in words for part in word.split(",")):
        found |= dict.fromkeys(_find_one_or_range(table, name))
    return list(found)


def _find_one_or_range(table: Table, name: str) -> Sequence[int]:
    header = table.header
    if name not in header:
        for at in (k for k, letter in enumerate(name) if letter == "-"):
            first, last = name[:at], name[at + 1 :]
            if header.count(first) == header.count(last) == 1:
                ends = header.index(first), header.index(last)
                if ends[0] > ends[1]:
                    raise BadInput(
                        f"{table.path}: column {last!r} stands before {first!r}; "
                        f"expected {last}-{first}"
                    )
                return range(ends[0], ends[1] + 1)
    return [find_named(table, name)]


def read_trait(
    people: People,
    file: SampleFile,
    *,
    name: str | None = None,
    kind: str = "auto",
    coding: str | None = None,
) -> TraitColumn:
    """Read the trait of the individuals of a genotype file.

    Parameters
    ----------
    name
        Of its column, or its number from 1; None where that is clear.
    kind
        ``auto``: binary where the values are those of labels (0 and 1, 1 and 2, words
        for case and control), else quantitative.
    coding
        Of labels that are numbers, as in ``convert_labels``; None to find it.

    Raises
    ------
    BadInput
        A column that is not clear, or values that are not of this kind.
    """
    table = people.table
    column = find_trait(people) if name is None else find_named(table, name)
    coding = coding or get_coding(table, column, is_plink=people.is_plink)
    words = people.get_words(column)
    where = f"{table.path}, {table.header[column]}"
    found = convert_trait(words, where, kind, coding)
    kind, values, assumed = found
    rest = [table.rows[row] for row in people.absent]
    has_trait = _find_known([row[column] for row in rest], is_plink=people.is_plink)
    ids = sorted(people.of_ids)
    absent = [
        ":".join(row[k] for k in ids)
        for row, known in zip(rest, has_trait, strict=True)
        if known
    ]
    labels = make_labels(values, kind, file, (*people.assumed, *assumed), absent)
    return TraitColumn(table.header[column], kind, values, labels)


def read_own_trait(file: SampleFile, kind: str) -> TraitColumn:
    """Return the trait that a genotype file carries itself, as column 6 of a .fam."""
    if file.phenotypes is None:
        raise BadInput(f"{file.path} carries no trait: expected --phenotype FILE")
    found = convert_trait(file.phenotypes, file.path, kind, file.coding)
    labels = make_labels(found[1], kind, file, found[2])
    return TraitColumn("phenotype", kind, found[1], labels)


def find_trait(people: People) -> int:
    """Return the column of the trait where there is no other, or by its name."""
    header, of_ids = people.table.header, people.of_ids
    if people.table.layout == "fam":
        return len(header) - 1
    left = [k for k in range(len(header)) if k not in of_ids]
    left = [k for k in left if simplify(header[k]) not in ROLES]
    named = [k for k in left if is_case_name(header[k])]
    if len(named) == 1 or len(left) == 1:
        return (named if len(named) == 1 else left)[0]
    raise BadInput(
        f"{people.table.path}: which column is the trait? expected --trait, one of "
        f"{list_names([header[k] for k in left])}"
    )


def make_labels(
    values: NDArray[np.float64],
    kind: str,
    file: SampleFile,
    assumed: Sequence[Assumption] = (),
    absent: Sequence[str] = (),
) -> Labels:
    """Return who has a trait: 1 case, 0 control or any other value, -1 missing."""
    known = ~np.isnan(values)
    is_case = np.where(known, 0, -1).astype(np.int8)
    if kind == "binary":
        is_case[known] = values[known]
    return Labels(
        file.individuals,
        is_case,
        tuple(absent),
        tuple(assumed),
        are_classes=kind == "binary",
    )


def convert_trait(
    words: Sequence[str], where: str, kind: str = "auto", coding: str = "any"
) -> tuple[str, NDArray[np.float64], list[Assumption]]:
    """Return the kind of a trait, its values, and what was assumed.

    Parameters
    ----------
    coding
        As in ``convert_labels``; with "plink" -9 is missing.

    Raises
    ------
    BadInput
        Values that are not of this kind.

    Examples
    --------
    >>> kind, values, _ = convert_trait(["21.5", "NA", "30"], "cohort.tsv")
    >>> kind, values.tolist()
    ('quantitative', [21.5, nan, 30.0])
    """
    if kind == "auto":
        kind = "binary" if are_labels(words) else "quantitative"
    if kind == "binary":
        is_case = convert_labels(words, where, coding, "--trait")
        values = np.where(is_case < 0, np.nan, is_case)
        return kind, values, note_coding(words, where, coding, "--trait-kind")
    values, wrong = convert_numbers(words, is_plink=coding == "plink")
    if wrong is not None:
        raise BadInput(
            f"{where}: {wrong[:SHOWN]!r} is no number: expected a {kind} trait"
        )
    is_odd = (values < 0) | (values != np.round(values))
    if kind == "count" and (is_odd & ~np.isnan(values)).any():
        odd = values[is_odd & ~np.isnan(values)][0]
        raise BadInput(f"{where}: {odd:g} is no count: expected 0, 1, 2, ...")
    return kind, values, note_nines(words, where, is_plink=coding == "plink")


def are_labels(words: Sequence[str]) -> bool:
    """Return whether all words that are not missing are labels of cases, controls."""
    found = {shorten(word) for word in words} - MISSING
    return found <= {"0", "1", "2"} or found <= CASES | CONTROLS


def convert_numbers(
    words: Sequence[str], *, is_plink: bool
) -> tuple[NDArray[np.float64], str | None]:
    """Return words as numbers, NaN where missing, and the first that is none."""
    known = _find_known(words, is_plink=is_plink)
    values = np.full(len(words), np.nan)
    for k in np.flatnonzero(known).tolist():
        if not NUMBER.fullmatch(words[k]) or not np.isfinite(float(words[k])):
            return values, words[k]
        values[k] = float(words[k])
    return values, None


def _find_known(words: Sequence[str], *, is_plink: bool) -> NDArray[np.bool_]:
    """Return which words are a value."""
    unknown = PLINK_UNKNOWN if is_plink else UNKNOWN
    return np.array([shorten(word) not in unknown for word in words], bool)


def note_nines(words: Sequence[str], where: str, *, is_plink: bool) -> list[Assumption]:
    """Return the assumption that -9 is a number, outside of PLINK's tables."""
    if is_plink or all(shorten(word) != "-9" for word in words):
        return []
    because = "the table is none of PLINK's, by its header"
    return [Assumption(f"-9 in {where}", "as a number", because)]


def read_covariates(
    people: People, names: Sequence[str], without: Sequence[int] = ()
) -> tuple[list[Covariate], list[Assumption]]:
    """Read covariates of the individuals of a genotype file; return what was assumed.

    Parameters
    ----------
    names
        Of the columns, and ranges of them; all but ids and parents if there are none.
    without
        Columns that are none of all.

    Raises
    ------
    BadInput
        A name that no column has, no column at all, or a number without an end.
    """
    table = people.table
    columns: Sequence[int] = find_range(table, names)
    if not names:
        none = {*people.of_ids, *without}
        if table.layout == "fam":
            none.add(len(table.header) - 1)
        roles = ROLES - {"sex"} if people.is_plink else {"missing"}
        columns = [
            k
            for k, name in enumerate(table.header)
            if k not in none and simplify(name) not in roles
        ]
    if not columns:
        raise BadInput(
            f"{table.path} has no covariate: expected columns beside "
            f"{list_names(table.header)}"
        )
    assumed: list[Assumption] = []
    found = [_read_covariate(people, k) for k in columns]
    for k, covariate in zip(columns, found, strict=True):
        words, where = people.get_words(k), f"{table.path}, {table.header[k]}"
        assumed += note_nines(words, where, is_plink=people.is_plink)
        assumed += note_mixture(covariate, where)
    return found, assumed


def read_categories(people: People, name: str) -> Covariate:
    """Read a column as texts, whatever they are.

    Raises
    ------
    BadInput
        No column has this name.
    """
    words = people.get_words(find_named(people.table, name))
    return Covariate(name, np.zeros(0), _mark_missing(words, people))


def _mark_missing(words: Sequence[str], people: People) -> tuple[str, ...]:
    """Return words, empty where they stand for what is missing."""
    known = _find_known(words, is_plink=people.is_plink)
    return tuple(
        w if is_known else "" for w, is_known in zip(words, known, strict=True)
    )


def _read_covariate(people: People, column: int) -> Covariate:
    """Return a column as numbers where all of its values are, else as texts.

    A column of type D of an Oxford .sample file is of categories, whatever they are.
    """
    table, words = people.table, people.get_words(column)
    name = table.header[column]
    if people.is_plink and simplify(name) == "sex":
        words = ["" if word == "0" else word for word in words]
    is_discrete = bool(table.types) and table.types[column] == "D"
    numbers, wrong = convert_numbers(words, is_plink=people.is_plink)
    if wrong is None and not is_discrete:
        return Covariate(name, numbers)
    refuse_infinite(name, words)
    return Covariate(name, np.zeros(0), _mark_missing(words, people))


def refuse_infinite(name: str, words: Sequence[str]) -> None:
    """Refuse to take numbers for texts because one of them has no end."""
    try:
        odd = [word for word in words if word and np.isinf(float(word))]
    except ValueError:  # texts
        return
    if odd:
        raise BadInput(f"covariate {name} is {odd[0]!r}: expected a finite number")


def note_mixture(covariate: Covariate, where: str) -> list[Assumption]:
    """Return the assumption that numbers are texts, for others beside them are."""
    texts = sorted({text for text in covariate.texts if text})
    is_number = [bool(NUMBER.fullmatch(text)) for text in texts]
    if all(is_number) or not any(is_number):
        return []
    because = f"{texts[is_number.index(False)][:SHOWN]!r} is no number"
    return [Assumption(f"covariate {where}", f"as {len(texts)} texts", because)]


def make_columns(
    covariates: Sequence[Covariate], chosen: NDArray[np.int64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the columns of a model, and their names, for some individuals.

    Numbers are as they are. A text becomes a column a level, 0 or 1, but for the first
    in sorted order, which is the base.

    Parameters
    ----------
    chosen
        Individuals, none of whom is missing.

    Returns
    -------
    Names, and float64 (individuals, columns).

    Raises
    ------
    BadInput
        A text of one level, or of about as many as there are individuals.
    """
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for one in covariates:
        if not one.texts:
            names.append(one.name)
            columns.append(one.numbers[chosen])
            continue
        texts = np.array(one.texts)[chosen]
        levels = np.unique(texts)
        if len(levels) == 1:
            raise BadInput(
                f"covariate {one.name} is {str(levels[0])[:SHOWN]!r} in all of "
                f"{len(chosen)} individuals; expected two values at least"
            )
        if 2 * len(levels) > len(chosen):
            raise BadInput(
                f"covariate {one.name} is text, such as {str(levels[-1])[:SHOWN]!r}, "
                f"of {len(levels)} levels among {len(chosen)} individuals: expected "
                "numbers, or few levels"
            )
        names += [f"{one.name}={level}" for level in levels[1:]]
        columns += [(texts == level).astype(np.float64) for level in levels[1:]]
    empty = np.zeros((len(chosen), 0))
    return names, np.column_stack([empty, *columns])
