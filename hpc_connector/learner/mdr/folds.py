"""Folds of cross-validation, and shuffled labels for permutation tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def make_folds(
    is_case: NDArray[np.integer[Any]], n_folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal individuals to stratified folds.

    Each class is shuffled and dealt round robin, the controls starting where the
    cases stopped.

    Parameters
    ----------
    is_case
        1 for a case, 0 for a control, shape (individuals,).

    Returns
    -------
    Fold of each individual, int64 (individuals,).
    """
    fold = np.empty(len(is_case), np.int64)
    start = 0
    for label in (1, 0):
        members = rng.permutation(np.flatnonzero(np.asarray(is_case) == label))
        fold[members] = (start + np.arange(len(members))) % n_folds
        start += len(members)
    return fold


def deal_again(
    is_case: NDArray[np.integer[Any]],
    group_size: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Deal individuals to folds of known sizes, each class by turns until one is full.

    Where ``make_folds`` makes folds of these sizes it is as it deals.

    Parameters
    ----------
    is_case
        1 for a case, 0 for a control, shape (individuals,).
    group_size
        Individuals of each group, int64 (2 * folds,): those of the cases first.

    Returns
    -------
    Fold of each individual, int64 (individuals,).
    """
    fold = np.empty(len(is_case), np.int64)
    start = 0
    for label, sizes in zip((1, 0), group_size.reshape(2, -1), strict=True):
        members = rng.permutation(np.flatnonzero(np.asarray(is_case) == label))
        fold[members] = _make_turns(sizes, start)
        start += len(members)
    return fold


def _make_turns(sizes: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """Return the folds by turns from `start` on, each as often as its size says."""
    fold = np.repeat(np.arange(len(sizes)), sizes)
    turn = np.arange(len(fold)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return fold[np.lexsort(((fold - start) % len(sizes), turn))]


def shuffle_labels(
    is_case: NDArray[np.integer[Any]],
    group_size: NDArray[np.int64],
    seed: Sequence[int],
) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
    """Return the labels and folds of one permutation, a function of its seed.

    Classes and folds keep their sizes, by which planes are laid out: `group_size` is
    that of ``deal_again``.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(is_case)
    return shuffled, deal_again(shuffled, group_size, rng)
