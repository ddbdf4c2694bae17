"""The ids of a table: the column whose values are the individuals of the genotypes.

Names of columns are as many as sites, so the values decide. An individual may be
spelled FID_IID or FID:IID where a file knows both ids, as PLINK and its exports do.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.companions import JOINTS
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.labels import SHOWN, find_ids, is_id_name
from hpc_connector.loader.rows import Table, list_names, simplify
from hpc_connector.notes import Assumption

JOINT = re.compile(f"[{JOINTS}]")
NUMBER = re.compile(r"\d+(\.0*)?|\d(\.\d+)?[eE]\+?\d+")
MOST_NUMBER = 10**11  # from here on Excel writes ids short, as 1.23457E+11
MOST_COLUMNS = 6  # in a message


class Lookup:
    """Finds individuals of a genotype file by any spelling of their ids."""

    def __init__(self, file: SampleFile) -> None:
        ids = file.individuals or ()
        self.size = len(ids)
        self.names = {name.strip(): k for k, name in enumerate(ids)}
        if len(self.names) < len(ids):
            self.names = {name: k for k, name in enumerate(ids)}
        self.pairs = {pair: k for k, pair in enumerate(file.families or ())}
        self.persons = {name: k for k, name in enumerate(drop_families(ids) or ())}
        by_person = {person: k for (_, person), k in self.pairs.items()}
        if len(by_person) == len(ids):
            self.names = by_person | self.names
        self.names = self.persons | self.names

    def find(self, text: str) -> int:
        """Return the number of an individual, -1 where there is none or several."""
        place = self.names.get(text, -1)
        if place >= 0 or not self.pairs:
            return place
        halves = [(text[: m.start()], text[m.end() :]) for m in JOINT.finditer(text)]
        found = {self.pairs[pair] for pair in halves if pair in self.pairs}
        return found.pop() if len(found) == 1 else -1

    def find_pair(self, family: str, person: str) -> int:
        """Return the number of the individual of a FID and an IID, -1 where none is."""
        if (place := self.pairs.get((family, person), -1)) >= 0:
            return place
        joined = [f"{family}{joint}{person}" for joint in JOINTS]
        found = {self.names[name] for name in joined if name in self.names}
        return found.pop() if len(found) == 1 else -1

    def find_all(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each individual, int64."""
        places = np.array([self.names.get(text, -1) for text in texts], np.int64)
        if self.pairs:
            for k in np.flatnonzero(places < 0).tolist():
                if JOINT.search(texts[k]):
                    places[k] = self.find(texts[k])
        return places


@dataclass(frozen=True)
class IdCandidate:
    """A column, or two, that may be the ids of a table.

    Parameters
    ----------
    name
        As a message calls it.
    columns
        Their indices.
    texts
        The ids.
    places
        Number of the individual of each row, -1 where there is none.
    is_sure
        The layout of the file says that these are ids.
    is_known
        The name does, or the user.
    """

    name: str
    columns: tuple[int, ...]
    texts: list[str]
    places: NDArray[np.int64]
    size: int
    is_sure: bool = False
    is_known: bool = False
    assumed: tuple[Assumption, ...] = ()

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row of each individual that is named once, else -1."""
        chosen = np.flatnonzero(self.places >= 0)
        n_rows = np.bincount(self.places[chosen], minlength=self.size)
        rows = np.full(self.size, -1, np.int64)
        rows[self.places[chosen]] = chosen
        return np.where(n_rows == 1, rows, -1)

    @cached_property
    def n_once(self) -> int:
        """Individuals that are named once."""
        return int((self.rows >= 0).sum())

    @property
    def n_named(self) -> int:
        """Individuals that are named."""
        return len(np.unique(self.places[self.places >= 0]))

    def contradicts(self, other: "IdCandidate") -> bool:
        """Return whether another column says that a row is someone else."""
        both = (self.rows >= 0) & (other.rows >= 0)
        return bool((self.rows != other.rows)[both].any())


def find_individuals(
    table: Table, file: SampleFile, name: str | None = None, case: int | None = None
) -> IdCandidate:
    """Find the individuals of a genotype file in a table.

    Parameters
    ----------
    name
        Of the column of ids, or of two with a comma; None to find it.
    case
        A column that is none of ids.

    Raises
    ------
    BadInput
        No column holds ids of the genotypes, or several do that contradict.
    """
    lookup = Lookup(file)
    if name is not None:
        found = [_make_chosen(table, lookup, name)]
    else:
        found = list(_list_candidates(table, lookup, case))
    best = _choose(found)
    least = min(len(table.rows), lookup.size) / 2
    is_fit = best is not None and (best.is_known or best.n_named >= least)
    if best is None or not is_fit:
        raise BadInput(
            f"{table.path} and {file.path} have no individual in common: ids are such "
            f"as {(file.individuals or ('',))[0][:SHOWN]!r}; expected them in one of "
            f"the columns {_show(table, case)} (--id-column, with a comma for FID and "
            "IID in two)"
        )
    head = table.header[best.columns[-1]]
    if table.has_header and lookup.find(head) >= 0:
        raise BadInput(
            f"{table.path}: its first line, {list_names(table.header)}, is of an "
            "individual and has no value: expected one, as in the lines below"
        )
    if any(text in lookup.persons for text in best.texts):
        best = replace(best, assumed=(*best.assumed, note_joined(lookup, file)))
    rivals = [one for one in found if _is_rival(one, best)]
    if rivals:
        names = " and ".join(one.name or "''" for one in (best, *rivals))
        raise BadInput(
            f"{table.path}: {names} all hold ids of {file.path}, for other rows: "
            "expected --id-column to name one"
        )
    return best


def note_joined(lookup: Lookup, file: SampleFile) -> Assumption:
    """Return that the ids of a genotype file are taken for FID and IID together."""
    person, k = next(iter(lookup.persons.items()))
    name = (file.individuals or ())[k]
    because = "PLINK so joins FID and IID"
    return Assumption(f"the id {name} in {file.path}", f"as {person}", because)


def _choose(found: Sequence[IdCandidate]) -> IdCandidate | None:
    """Return the candidate that names the most individuals; FID and IID before IID.

    PLINK matches by both. Where most FIDs are others, as where one file has none, they
    are no part of the id.
    """
    best = max(found, key=lambda one: (one.n_once, one.n_named), default=None)
    if best is None or best.n_named == 0:
        return None
    if pair := next((one for one in found if len(one.columns) == 2), None):
        is_part = best.columns[0] in pair.columns
        if is_part and pair.n_once and 2 * pair.n_once >= best.n_once:
            return pair
    return best


def _is_rival(one: IdCandidate, best: IdCandidate) -> bool:
    """Return whether a column might be the ids as well as the best, and contradicts."""
    is_less = 2 * one.n_once < best.n_once
    is_beaten = best.is_sure and not one.is_sure and one.n_once <= best.n_once
    return not (is_less or is_beaten) and one.contradicts(best)


def _make_chosen(table: Table, lookup: Lookup, name: str) -> IdCandidate:
    """Return the column that the user names, or the two."""
    if "," in name and name not in table.header:
        family, person = (
            table.find_column(part.strip()) for part in name.split(",", 1)
        )
        return _make_pair(table, lookup, (family, person))
    column = table.find_column(name)
    found = list(_make_single(table, lookup, column, is_known=True))
    return max(found, key=lambda one: one.n_once)


def _list_candidates(
    table: Table, lookup: Lookup, case: int | None
) -> Iterator[IdCandidate]:
    """Yield what may be the ids: both ids together, then columns, likely ones first."""
    family = table.find_family()
    if family is not None and case not in family:
        yield _make_pair(table, lookup, family)
    elif lookup.pairs and len(table.header) > 2 and case not in (0, 1):
        yield replace(_make_pair(table, lookup, (0, 1)), is_sure=False, is_known=False)
    known = find_ids(table, None, case) if _is_clear(table) else None
    person = known if family is None else family[1]
    columns = [k for k in range(len(table.header)) if k != case]
    for column in sorted(columns, key=lambda k: (k != person, k != known)):
        is_sure = table.has_header and table.layout != "table" and column == person
        is_sure |= table.has_header and simplify(table.header[column]) == "iid"
        is_known = is_sure or len(columns) == 1 or _is_id_name(table, column)
        made = _make_single(table, lookup, column, is_sure=is_sure, is_known=is_known)
        for one in made:
            yield one
            if is_sure and one.n_once == min(len(table.rows), lookup.size):
                return


def _is_clear(table: Table) -> bool:
    """Return whether at most one column has the name of an id."""
    return sum(_is_id_name(table, k) for k in range(len(table.header))) < 2


def _is_id_name(table: Table, column: int) -> bool:
    return table.has_header and is_id_name(table.header[column])


def _make_pair(table: Table, lookup: Lookup, columns: tuple[int, int]) -> IdCandidate:
    """Return FID and IID together as an id."""
    families, persons = (table.get_column(k) for k in columns)
    pairs = list(zip(families, persons, strict=True))
    places = np.array([lookup.find_pair(*pair) for pair in pairs], np.int64)
    name = " and ".join(table.header[k] for k in columns)
    texts = [":".join(pair) for pair in pairs]
    return IdCandidate(name, columns, texts, places, lookup.size, True, True)


def _make_single(
    table: Table,
    lookup: Lookup,
    column: int,
    *,
    is_sure: bool = False,
    is_known: bool = False,
) -> Iterator[IdCandidate]:
    """Yield a column as an id, and as whole numbers if that is another text."""
    texts = table.get_column(column)
    name, size = table.header[column], lookup.size
    places = lookup.find_all(texts)
    plain = IdCandidate(name, (column,), texts, places, size, is_sure, is_known)
    yield plain
    if persons := drop_families(texts):
        taken, because = f"as {persons[0]}", "PLINK so joins FID and IID"
        note = Assumption(f"the id {texts[0]} in {table.path}", taken, because)
        yield replace(plain, places=lookup.find_all(persons), assumed=(note,))
    if numbers := convert_numbers(texts):
        k = next(k for k, text in enumerate(texts) if text != numbers[k])
        taken, because = f"as {numbers[k]}", "it is written as a number"
        note = Assumption(f"the id {texts[k]} in {table.path}", taken, because)
        yield replace(plain, places=lookup.find_all(numbers), assumed=(note,))


def drop_families(ids: Sequence[str]) -> list[str] | None:
    """Return IIDs of ids that PLINK joined of FID and IID, which say nothing more.

    All are an IID twice, or have the FID 0; None for others.

    Examples
    --------
    >>> drop_families(["NA1_NA1", "NA2_NA2"]), drop_families(["0:7", "0:8"])
    (['NA1', 'NA2'], ['7', '8'])
    """
    halves = [text[len(text) // 2 + 1 :] for text in ids]
    tails = [text[2:] for text in ids]
    for joint in JOINTS if ids else "":
        if joint not in ids[0]:
            continue
        for persons, families in ((halves, halves), (tails, ["0"] * len(ids))):
            joined = map(joint.join, zip(families, persons, strict=True))
            if all(map(str.__eq__, ids, joined)) and len(set(persons)) == len(ids):
                return persons
    return None


def convert_numbers(texts: Sequence[str]) -> list[str] | None:
    """Return ids that pandas, R or a spreadsheet wrote as numbers; None for others.

    Examples
    --------
    >>> convert_numbers(["7.0", "1e+05"])
    ['7', '100000']
    """
    if not all(NUMBER.fullmatch(text) for text in texts):
        return None
    numbers = []
    for text in texts:
        if text.isdecimal():
            numbers.append(text)
            continue
        number = float(text)
        if number >= MOST_NUMBER or not number.is_integer():
            return None
        numbers.append(str(int(number)))
    return None if numbers == list(texts) else numbers


def _show(table: Table, case: int | None) -> str:
    """Return columns of a table, each with a value."""
    columns = [k for k in range(len(table.header)) if k != case]
    row = table.rows[0] if table.rows else [""] * len(table.header)
    shown = [f"{table.header[k]} ({row[k][:SHOWN]!r})" for k in columns[:MOST_COLUMNS]]
    return ", ".join(shown) + ", ..." * (len(columns) > MOST_COLUMNS)
