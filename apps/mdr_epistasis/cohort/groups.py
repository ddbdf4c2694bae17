"""Folds that keep families, sites or batches together."""

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.id_columns import find_individuals
from hpc_connector.loader.individuals import Match
from hpc_connector.loader.labels import ID_NAMES
from hpc_connector.loader.rows import FAMILY_NAMES, Table, read_table, simplify
from hpc_connector.notes import Assumption
from mdr_epistasis.cohort.folds import CLASSES, Classes

GROUP_NAMES = ("group", "cluster", "clst", "site", "center", "centre", "batch")


def deal_groups(
    is_case: np.ndarray,
    group: np.ndarray,
    n_folds: int,
    seed: int,
    classes: Classes = CLASSES,
) -> np.ndarray:
    """Return the fold of each individual, the same in a group.

    Groups are shuffled, then dealt from the largest on, each to the fold that has the
    fewest of its classes: which adds least to the sum of squares of the shares of cases
    and of controls.

    Parameters
    ----------
    is_case, group
        1 for a case, 0 for a control; a number from 0; shape (individuals,).

    Returns
    -------
    int64 (individuals,).

    Raises
    ------
    BadInput
        A fold would lack cases or controls.
    """
    n_groups = int(group.max()) + 1
    sizes = np.stack(
        [
            np.bincount(group[is_case == label], minlength=n_groups)
            for label, _ in classes
        ]
    )
    for (_, name), of_class in zip(classes, sizes, strict=True):
        if (n := int((of_class > 0).sum())) < n_folds:
            raise BadInput(
                f"--groups: {n} groups have {name}, for {n_folds} folds: expected one "
                "a fold or more (--folds)"
            )
    other = sizes.sum(axis=1)[::-1]
    shuffled = np.random.default_rng(seed).permutation(n_groups)
    weight = other @ sizes[:, shuffled]
    load = np.zeros((n_folds, 2), object)  # whole numbers of any size
    fold = np.empty(n_groups, np.int64)
    for each in shuffled[np.argsort(-weight, kind="stable")].tolist():
        share = other * sizes[:, each]  # of its class, times both classes
        fold[each] = np.argmin(load @ share.astype(object))
        load[fold[each]] += share
    for (_, name), of_class in zip(classes, load.T, strict=True):
        if not of_class.all():
            raise BadInput(
                f"--groups cannot be dealt to {n_folds} folds: one would have no "
                f"{name}; expected fewer --folds, or a --fold-file"
            )
    return fold[group]


def read_groups(
    path: str, file: SampleFile, match: Match
) -> tuple[np.ndarray, tuple[Assumption, ...], int]:
    """Return the groups of a table of ids and groups; of a .fam file, the families.

    Parameters
    ----------
    file
        The first genotype file, which says who is who.

    Returns
    -------
    Number from 0 of the group of each individual of the cohort, int64; what of the file
    was assumed; how many of its individuals the genotypes do not have.

    Raises
    ------
    BadInput
        An individual without a group, or with two.
    """
    if file.individuals is None:
        raise BadInput(f"{file.path} names no individuals: --groups needs ids")
    table = read_table(path, lambda text: True, {*ID_NAMES, *GROUP_NAMES})
    column = find_group(table)
    is_family = simplify(table.header[column]) in FAMILY_NAMES
    found = find_individuals(table, file, case=None if is_family else column)
    group_of: dict[int, str] = {}
    rows = zip(found.places.tolist(), table.get_column(column), strict=True)
    for place, group in rows:
        if place >= 0 and group_of.setdefault(place, group) != group:
            name = file.individuals[place]
            raise BadInput(f"{path}: {name} stands twice, in other groups")
    places = match.columns[0].tolist()
    lost = next((k for k, place in enumerate(places) if not group_of.get(place)), None)
    if lost is not None:
        raise BadInput(
            f"{path} has no group of {match.individuals[lost]!r}: expected id and "
            "group of every individual"
        )
    names = [group_of[place] for place in places]
    number = {name: k for k, name in enumerate(sorted(set(names)))}
    groups = np.array([number[name] for name in names], np.int64)
    n_unknown = int((found.places < 0).sum())
    return groups, (*table.assumed, *found.assumed), n_unknown


def find_group(table: Table) -> int:
    """Return the column of the group: by its name, FID of FID and IID, or the last."""
    names = [simplify(name) for name in table.header]
    found = [k for k, name in enumerate(names) if name in GROUP_NAMES]
    family = table.find_family() if table.has_header else None
    if not found and family and (table.layout == "fam" or len(names) == 2):
        return family[0]
    if len(found) > 1 or (not found and len(names) not in (2, 3)):
        raise BadInput(
            f"{table.path}: which column is the group? expected id and group of every "
            "individual"
        )
    return found[0] if found else len(names) - 1
