"""Folds of cross-validation: dealt, or as a file has them."""

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.id_columns import find_individuals
from hpc_connector.loader.individuals import Match
from hpc_connector.loader.labels import ID_NAMES, shorten
from hpc_connector.loader.rows import Table, read_table, simplify
from hpc_connector.notes import Assumption

Classes = tuple[tuple[int, str], ...]
CLASSES: Classes = ((1, "cases"), (0, "controls"))
SIDES: Classes = (  # of a quantitative trait or counts
    (1, "individuals above what is expected"),
    (0, "individuals below what is expected"),
)
FOLD_NAMES = ("fold", "folds", "cv_fold", "group", "set")


def deal_folds(
    is_case: np.ndarray, n_folds: int, seed: int, classes: Classes = CLASSES
) -> np.ndarray:
    """Return the fold of each individual; every fold gets cases and controls."""
    for label, name in classes:
        n = int((is_case == label).sum())
        if n < n_folds:
            raise BadInput(
                f"{n} {name} for {n_folds} folds: expected one a fold or more"
            )
    return make_folds(is_case, n_folds, np.random.default_rng(seed))


def read_folds(
    path: str, file: SampleFile, match: Match, classes: Classes = CLASSES
) -> tuple[np.ndarray, tuple[Assumption, ...], int]:
    """Return folds from a table of ids and folds 0, 1, ... without a gap.

    Parameters
    ----------
    file
        The first genotype file, which says who is who.

    Returns
    -------
    Fold of each individual of the cohort, int64; what of the file was assumed; how
    many of its individuals the genotypes do not have.

    Raises
    ------
    BadInput
        An individual without a fold or with two, or a fold of one class.
    """
    table = read_table(path, is_fold, {*ID_NAMES, *FOLD_NAMES})
    column = find_fold(table)
    if file.individuals is None:
        raise BadInput(f"{file.path} names no individuals: --fold-file needs ids")
    found = find_individuals(table, file, case=column)
    fold_of = np.full(file.n_individuals, -1, np.int64)
    texts = table.get_column(column)
    for place, word in zip(found.places.tolist(), texts, strict=True):
        if place < 0:
            continue
        text = shorten(word)
        name = file.individuals[place]
        if not is_fold(text):
            raise BadInput(
                f"{path}: fold of {name} is {text[:40]!r}: expected 0, 1, ..."
            )
        if fold_of[place] not in (-1, int(text)):
            raise BadInput(f"{path}: {name} stands twice, in other folds")
        fold_of[place] = int(text)
    fold = fold_of[match.columns[0]]
    check_folds(path, fold, match, classes)
    n_unknown = int((found.places < 0).sum())
    return fold, (*table.assumed, *found.assumed), n_unknown


def is_fold(text: str) -> bool:
    """Return whether a text is the number of a fold."""
    text = shorten(text)
    return text.isascii() and text.isdecimal() and len(text) < 10


def find_fold(table: Table) -> int:
    """Return the column of the fold: by its name, or the last."""
    names = [simplify(name) for name in table.header]
    found = [k for k, name in enumerate(names) if name in FOLD_NAMES]
    if len(found) > 1 or (not found and len(names) not in (2, 3)):
        raise BadInput(
            f"{table.path}: which column is the fold? expected id and fold of every "
            "individual"
        )
    return found[0] if found else len(names) - 1


def check_folds(
    path: str, fold: np.ndarray, match: Match, classes: Classes = CLASSES
) -> None:
    """Refuse folds with a gap, or that lack an individual, cases or controls."""
    if (fold < 0).any():
        at = int(np.flatnonzero(fold < 0)[0])
        raise BadInput(
            f"{path} has no fold of {match.individuals[at]!r}: expected id and fold of "
            "every individual"
        )
    known = np.unique(fold)
    if known[-1] != len(known) - 1:
        raise BadInput(f"{path}: folds {known.tolist()[:20]}: expected 0, 1, ...")
    for label, name in classes:
        counts = np.bincount(fold[match.is_case == label], minlength=len(known))
        if 0 in counts:
            raise BadInput(
                f"{path}: fold {int(np.argmin(counts))} has no {name}: expected "
                f"{' and '.join(name for _, name in classes)} in every fold"
            )
