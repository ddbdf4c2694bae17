"""The individuals of a cohort: labels and genotype files matched by id."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.id_columns import Lookup, drop_families, find_individuals
from hpc_connector.loader.labels import (
    SHOWN,
    Labels,
    choose_case,
    convert_labels,
    find_case,
    get_coding,
    is_id_name,
    name_rows,
    note_coding,
    read_label_table,
)
from hpc_connector.loader.rows import Table
from hpc_connector.notes import Assumption

ASK = (
    "expected --sample-file, a file that names them in order (.sample, .samples, .psam "
    "or .fam)"
)


@dataclass(frozen=True)
class Match:
    """The individuals of a cohort, and where each file has them.

    Parameters
    ----------
    individuals
        Ids in order, or numbers from 1 where nobody has an id.
    is_case
        int8 (individuals,).
    columns
        Position in each file of every individual, int64 (individuals,).
    notes
        What a user should know of the matching.
    assumed
        What the ids do not say.
    counted
        Who was left out.
    """

    individuals: tuple[str, ...]
    is_case: NDArray[np.int8]
    columns: list[NDArray[np.int64]]
    notes: list[str]
    assumed: list[Assumption] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)


def find_labels(
    path: str,
    file: SampleFile,
    *,
    id_column: str | None = None,
    case_column: str | None = None,
    coding: str | None = None,
) -> Labels:
    """Read the labels of the individuals of a genotype file.

    Parameters
    ----------
    id_column, case_column
        Name or number (from 1) of the columns, None to find them: that of the ids by
        its values.
    coding
        Of labels that are numbers, as in :func:`convert_labels`; None to find it.

    Returns
    -------
    Labels under the ids of the genotype file; without ids where neither file has any.

    Raises
    ------
    BadInput
        A file that cannot be read, or columns that are not clear; ids in one of the
        files alone.
    """
    table = read_label_table(path, id_column, case_column)
    case = find_case(table, case_column)
    if file.individuals is None:
        return get_unnamed(table, file, case, id_column, coding)
    if len(table.header) == 1:
        raise BadInput(
            f"{path} names no individuals, but {file.path} does, as "
            f"{file.individuals[0][:SHOWN]!r}: expected a column of ids"
        )
    found = find_individuals(table, file, id_column, case)
    is_plink = not table.has_header and len(table.header) > 2 and 1 in found.columns
    of_ids = {*found.columns, *((0, 1) if is_plink else ())}
    case = choose_case(table, of_ids) if case is None else case
    coding = coding or get_coding(table, case, is_plink=is_plink)
    is_case = convert_labels(table.get_column(case), path, coding)
    is_here = found.places >= 0
    absent = [
        text
        for text, label, here in zip(found.texts, is_case, is_here, strict=True)
        if label >= 0 and not here
    ]
    ids = tuple(file.individuals[k] for k in found.places[is_here].tolist())
    assumed = (
        *table.assumed,
        *found.assumed,
        *note_family(table, file, found.columns),
        *note_coding(table.get_column(case), path, coding),
    )
    return Labels(ids, is_case[is_here], tuple(absent), assumed)


def note_family(
    table: Table, file: SampleFile, columns: tuple[int, ...]
) -> list[Assumption]:
    """Return the assumption where both files name families, and they differ."""
    family = table.find_family()
    is_named = table.has_header and family is not None and file.families is not None
    if not is_named or family is None or columns != family[1:]:
        return []
    because = f"the families of {table.path} are not those of {file.path}"
    name = table.header[family[1]]
    return [Assumption("who is who", f"by {name} alone", because, "--id-column")]


def has_ids(table: Table, id_column: str | None, case: int | None) -> bool:
    """Return whether a table may name individuals: a column of other values each."""
    if id_column is not None:
        return True
    if table.layout != "table":
        return name_rows(table, None, case) is not None
    if len(table.header) == 1:
        return False
    columns = [k for k in range(len(table.header)) if k != case]
    is_named = table.has_header and any(is_id_name(table.header[k]) for k in columns)
    return is_named or any(is_distinct(table.get_column(k)) for k in columns)


def is_distinct(ids: Sequence[str]) -> bool:
    """Return whether texts may be ids: few stand twice, and they are no fractions."""
    are_fractions = all("." in t and t.replace(".", "").isdecimal() for t in ids)
    return 2 * len(set(ids)) > len(ids) and not are_fractions


def get_unnamed(
    table: Table,
    file: SampleFile,
    case: int | None,
    id_column: str | None,
    coding: str | None,
) -> Labels:
    """Return labels in the order of a genotype file, where neither names anybody.

    Parameters
    ----------
    case
        Column of the labels, None to find it.
    id_column
        That the user has named, if any.
    coding
        Of the labels, None to find it.
    """
    if has_ids(table, id_column, case):
        raise BadInput(
            f"{file.path} names no individuals, but {table.path} does: {ASK}"
        )
    case = choose_case(table, set()) if case is None else case
    words = table.get_column(case)
    coding = coding or get_coding(table, case)
    is_case = convert_labels(words, table.path, coding)
    assumed = (*table.assumed, *note_coding(words, table.path, coding))
    return Labels(None, is_case, (), assumed)


def match_individuals(files: Sequence[SampleFile], labels: Labels, where: str) -> Match:
    """Find every labelled individual in every genotype file.

    The cohort is ordered by id, as text. Where no file has ids, the order stays.

    Parameters
    ----------
    where
        Name of the labels in messages.

    Raises
    ------
    BadInput
        Duplicate ids, ids of one file that another lacks, no id in common, cases or
        controls alone, or, where nobody has an id, numbers of individuals that
        disagree.
    """
    paths = [where, *(file.path for file in files)]
    ids = [labels.individuals, *(file.individuals for file in files)]
    assumed = list(labels.assumed)
    if all(names is None for names in ids):
        sizes = [len(labels.is_case), *(file.n_individuals for file in files)]
        names = _number(sizes, paths)
        assumed += _note_position(where, paths)
        of_labels, of_files = names, [names] * len(files)
    else:
        of_labels, *of_files = _align(ids, files, paths)
    _check_same(of_files, paths[1:])
    _check_unique(of_labels, where)

    first = set(of_files[0])
    case_of = dict(zip(of_labels, labels.is_case.tolist(), strict=True))
    labelled = [name for name, label in case_of.items() if label >= 0]
    chosen = [name for name in labelled if name in first]
    if any(known is not None for known in ids):
        chosen.sort()
    if labelled and not chosen:
        raise BadInput(
            f"{where} and {paths[1]} have no individual in common: ids are such as "
            f"{labelled[0][:SHOWN]!r} and {of_files[0][0][:SHOWN]!r}"
        )
    missing = [*labels.absent, *(name for name in labelled if name not in first)]
    extra = first.difference(labelled)
    is_case = np.array([case_of[name] for name in chosen], np.int8)
    if labels.are_classes:
        _check_classes(is_case, where)
    columns = [_locate(chosen, known) for known in of_files]
    words = ("labelled", "label") if labels.are_classes else ("measured", "trait")
    counted = {
        f"{words[0]} individuals have no genotypes": len(missing),
        f"genotyped individuals have no {words[1]}": len(extra),
    }
    notes = _describe(sorted(missing), sorted(extra), words)
    return Match(tuple(chosen), is_case, columns, notes, assumed, counted)


def keep_individuals(match: Match, is_kept: NDArray[np.bool_]) -> Match:
    """Return a match without some of its individuals.

    Parameters
    ----------
    is_kept
        bool (individuals,).
    """
    kept = np.flatnonzero(is_kept)
    names = tuple(match.individuals[k] for k in kept)
    columns = [column[kept] for column in match.columns]
    return replace(
        match, individuals=names, is_case=match.is_case[kept], columns=columns
    )


def _note_position(where: str, paths: Sequence[str]) -> list[Assumption]:
    """Return the assumption where nobody is named, and labels have their own file."""
    other = next((path for path in paths if path != where), None)
    if other is None:
        return []
    because = f"neither {where} nor {other} names individuals"
    return [Assumption("who is who", "by position", because, "--sample-file")]


def _number(sizes: Sequence[int], paths: Sequence[str]) -> tuple[str, ...]:
    """Return numbers from 1 for individuals that nobody names."""
    for size, path in zip(sizes, paths, strict=True):
        if size != sizes[0]:
            raise BadInput(
                f"{path} has {size} individuals and {paths[0]} {sizes[0]}: expected as "
                "many, for ids to match them by are lacking"
            )
    return tuple(str(k + 1) for k in range(sizes[0]))


def _align(
    ids: Sequence[tuple[str, ...] | None],
    files: Sequence[SampleFile],
    paths: Sequence[str],
) -> list[tuple[str, ...]]:
    """Return the ids of labels and files as the first file spells them.

    Raises
    ------
    BadInput
        One of them has none: position would say nothing of who is who.
    """
    for names, path in zip(ids, paths, strict=True):
        if names is None:
            other = next(p for n, p in zip(ids, paths, strict=True) if n is not None)
            raise BadInput(f"{path} names no individuals, but {other} does: {ASK}")
    known = [names for names in ids if names is not None]
    lookup = None
    for k, file in enumerate(files[1:], start=2):
        if known[k] != known[1] and set(known[k]) != set(known[1]):
            lookup = lookup or Lookup(files[0])
            known[k] = _spell(file, files[0], lookup)
    return known


def _spell(file: SampleFile, first: SampleFile, lookup: Lookup) -> tuple[str, ...]:
    """Return the ids of a file as another spells them, where it has them."""
    ids, known = file.individuals or (), first.individuals or ()
    if file.families is not None:
        places = [lookup.find_pair(*pair) for pair in file.families]
    else:
        places = [-1] * len(ids)
    persons = drop_families(ids) or ids
    places = [
        max(lookup.find(name), lookup.find(person)) if place < 0 else place
        for name, person, place in zip(ids, persons, places, strict=True)
    ]
    return tuple(
        name if place < 0 else known[place]
        for name, place in zip(ids, places, strict=True)
    )


def _check_same(ids: Sequence[tuple[str, ...]], paths: Sequence[str]) -> None:
    """Refuse genotype files of different individuals, or that name one twice."""
    _check_unique(ids[0], paths[0])
    for names, path in zip(ids, paths, strict=True):
        if names == ids[0]:
            continue
        _check_unique(names, path)
        if odd := sorted(set(names) ^ set(ids[0])):
            raise BadInput(
                f"{path} and {paths[0]} differ in {_count(odd)}: expected the same "
                "individuals in every genotype file"
            )


def _check_unique(ids: Sequence[str], path: str) -> None:
    """Refuse ids that stand twice."""
    twice = sorted(name for name, n in Counter(ids).items() if n > 1)
    if twice:
        raise BadInput(f"{path}: duplicate ids of {_count(twice)}; expected each once")


def _check_classes(is_case: NDArray[np.int8], where: str) -> None:
    """Refuse a cohort without cases or without controls."""
    n_cases = int((is_case == 1).sum())
    if n_cases in (0, len(is_case)):
        raise BadInput(
            f"{where}: {n_cases} cases among {len(is_case)} genotyped individuals; "
            "expected cases and controls"
        )


def _describe(
    missing: Sequence[str], extra: Sequence[str], words: tuple[str, str]
) -> list[str]:
    """Return notes of the individuals that lack genotypes, or a label."""
    notes = []
    if missing:
        notes.append(f"{words[0]}, but without genotypes: {_count(missing)}")
    if extra:
        notes.append(f"genotyped, but without {words[1]}: {_count(extra)}")
    return notes


def _count(names: Sequence[str]) -> str:
    """Return a number of individuals with up to three examples."""
    examples = ", ".join(name[:SHOWN] for name in names[:3])
    return f"{len(names)} individuals ({examples}{', ...' * (len(names) > 3)})"


def _locate(chosen: Sequence[str], ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each chosen id, int64."""
    place = {name: k for k, name in enumerate(ids)}
    return np.array([place[name] for name in chosen], np.int64)
