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


def shuffle_labels(
    is_case: NDArray[np.integer[Any]], n_folds: int, seed: Sequence[int]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
    """Return the labels and folds of one permutation, a function of its seed."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(is_case)
    return shuffled, make_folds(shuffled, n_folds, rng)
