"""Folds of cross-validation over sites, and labels that each site shuffles of its own.

Nobody needs the individuals of another site for either.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.mdr.folds import shuffle_labels

MODES = ("dealt", "hash")
CLASSES = (1, 0)  # cases are dealt first


def hash_ids(salt: str, ids: Sequence[str]) -> list[bytes]:
    """Return the SHA-256 of each id after the salt and a zero byte."""
    start = hashlib.sha256(salt.encode() + b"\0")
    found = []
    for name in ids:
        one = start.copy()
        one.update(name.encode())
        found.append(one.digest())
    return found


def hash_folds(salt: str, ids: Sequence[str], n_folds: int) -> NDArray[np.int64]:
    """Return the fold of each individual by the hash of its id, int64 (individuals,).

    It needs nothing from others; how many a fold has is left to chance.
    """
    numbers = [int.from_bytes(one[:8]) % n_folds for one in hash_ids(salt, ids)]
    return np.array(numbers, np.int64)


def deal_folds(
    salt: str,
    ids: Sequence[str],
    is_case: NDArray[np.integer],
    n_folds: int,
    site: str,
    sizes: Mapping[str, tuple[int, int]],
) -> NDArray[np.int64]:
    """Deal the individuals of a site round robin, on from where the one before stopped.

    Of each class, sites come in the order of their names, and individuals in that of
    the hashes of their ids; controls begin where cases stopped, as ``make_folds`` deals
    those of one site. Folds then differ by one individual of a class at most.

    Parameters
    ----------
    is_case
        1 for a case, 0 for a control, shape (individuals,).
    sizes
        Cases and controls of every site, by its name.

    Returns
    -------
    int64 (individuals,).
    """
    names = sorted(sizes, key=str.encode)
    before = names[: names.index(site)]
    n_cases = sum(cases for cases, _ in sizes.values())
    starts = [
        sum(sizes[name][0] for name in before),
        n_cases + sum(sizes[name][1] for name in before),
    ]
    order = np.array(sorted(range(len(ids)), key=hash_ids(salt, ids).__getitem__), int)
    fold = np.empty(len(ids), np.int64)
    for label, start in zip(CLASSES, starts, strict=True):
        members = order[np.asarray(is_case)[order] == label]
        fold[members] = (start + np.arange(len(members))) % n_folds
    return fold


def shuffle_within(
    is_case: NDArray[np.integer],
    group_size: NDArray[np.int64],
    seed: int,
    permutation: int,
    site: int,
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Return the labels and folds of a site in one permutation.

    As those of one cohort are shuffled: labels first, and then folds are dealt anew, of
    as many individuals of each class as before. With sites apart the share of cases of
    each is what it was, so that a difference between sites is no finding.

    Parameters
    ----------
    is_case
        Of each individual in order of ids, (individuals,).
    group_size
        Individuals of each group at the site, int64 (2 * folds,).
    permutation
        From 1 on.
    site
        Place of the site in the study, from 0 on.
    """
    return shuffle_labels(is_case, group_size, [seed, permutation, site])
