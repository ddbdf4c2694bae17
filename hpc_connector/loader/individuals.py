"""The individuals of a cohort: labels and genotype files matched by id."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.labels import SHOWN, Labels
from hpc_connector.loader.sample_file import SampleFile
from hpc_connector.notes import Assumption


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
    """

    individuals: tuple[str, ...]
    is_case: np.ndarray
    columns: list[np.ndarray]
    notes: list[str]
    assumed: list[Assumption] = field(default_factory=list)


def match_individuals(files: Sequence[SampleFile], labels: Labels, where: str) -> Match:
    """Find every labelled individual in every genotype file.

    The cohort is ordered by id, as text. Where a file has no ids, its individuals are
    those of the other files in their order; where none has, the order stays.

    Parameters
    ----------
    where
        Name of the labels in messages.

    Raises
    ------
    BadInput
        Duplicate ids, ids of one genotype file that another lacks, no id in common,
        cases or controls alone, or, where ids are lacking, numbers of individuals or
        orders of ids that disagree.
    """
    paths = [where, *(file.path for file in files)]
    ids = [labels.individuals, *(file.individuals for file in files)]
    sizes = [len(labels.is_case), *(file.n_individuals for file in files)]
    notes = []
    if None in ids:
        notes.append("ids are lacking: individuals are matched by position")
    of_labels, *of_files = _fill_ids(ids, sizes, paths)
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
    notes += _compare(set(labelled), first)
    is_case = np.array([case_of[name] for name in chosen], np.int8)
    _check_classes(is_case, where)
    columns = [_locate(chosen, known) for known in of_files]
    return Match(tuple(chosen), is_case, columns, notes)


def _fill_ids(
    ids: Sequence[tuple[str, ...] | None], sizes: Sequence[int], paths: Sequence[str]
) -> list[tuple[str, ...]]:
    """Give ids, by position, to the files that have none; numbers if all have none."""
    known = [k for k, names in enumerate(ids) if names is not None]
    if len(known) == len(ids):
        return [names for names in ids if names is not None]
    for size, path in zip(sizes, paths, strict=True):
        if size != sizes[0]:
            raise BadInput(
                f"{path} has {size} individuals and {paths[0]} {sizes[0]}: expected as "
                "many, for ids to match them by are lacking"
            )
    for k in known[1:]:
        if ids[k] != ids[known[0]]:
            raise BadInput(
                f"{paths[k]} and {paths[known[0]]} name other individuals or in "
                "another order: expected the same, for ids are lacking elsewhere"
            )
    names = ids[known[0]] if known else None
    return [names or tuple(str(k + 1) for k in range(sizes[0]))] * len(ids)


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


def _check_classes(is_case: np.ndarray, where: str) -> None:
    """Refuse a cohort without cases or without controls."""
    n_cases = int((is_case == 1).sum())
    if n_cases in (0, len(is_case)):
        raise BadInput(
            f"{where}: {n_cases} cases among {len(is_case)} genotyped individuals; "
            "expected cases and controls"
        )


def _compare(labelled: set[str], genotyped: set[str]) -> list[str]:
    """Return notes of the individuals that lack genotypes, or a label."""
    notes = []
    if missing := sorted(labelled - genotyped):
        notes.append(f"labelled, but without genotypes: {_count(missing)}")
    if extra := sorted(genotyped - labelled):
        notes.append(f"genotyped, but without label: {_count(extra)}")
    return notes


def _count(names: Sequence[str]) -> str:
    """Return a number of individuals with up to three examples."""
    examples = ", ".join(name[:SHOWN] for name in names[:3])
    return f"{len(names)} individuals ({examples}{', ...' * (len(names) > 3)})"


def _locate(chosen: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """Return the position of each chosen id, int64."""
    place = {name: k for k, name in enumerate(ids)}
    return np.array([place[name] for name in chosen], np.int64)
