"""What the kernels of a search share: genotypes, rules, and the best models."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # single or double precision, the same in a search


class Genotypes(NamedTuple):
    """Genotypes and how they are grouped.

    Parameters
    ----------
    planes
        int32 (blocks, words, planes, 16), see ``bitplanes``.
    group_start
        First word of each group, int64 (groups + 1,).
    size
        Individuals of each group, and then their sums over folds, int32.
    float_size
        The same in the floating type that cells are scored in.
    weight, inverse
        Of the views of ``_contrast_kernels``, floating (views, 2) and float64 (views,).
    number
        By which the variant of each place is known, int64 (variants,): ties go to lower
        numbers, and what is found is told by them.
    is_complete
        Whether nobody lacks a genotype of a variant of a block, bool (blocks,).
    """

    planes: NDArray[np.int32]
    n_variants: int
    group_start: NDArray[np.int64]
    folds: int
    size: NDArray[np.int32]
    float_size: Floats
    weight: Floats
    inverse: NDArray[np.float64]
    number: NDArray[np.int64]
    is_complete: NDArray[np.bool_]


class Rules(NamedTuple):
    """What makes a model.

    Parameters
    ----------
    level, tie_low
        Missing is a fourth genotype; a tie is low risk.
    statistic
        Order of test, training and whole balanced accuracy in ranking, int64 (3,).
    min_distance
        Least distance of two variants on one chromosome, base pairs.
    chromosome, position
        Code int32 and base pairs int64 (variants,), by the variants' numbers.
    role
        1 in the first list, 2 in the second, 3 in both, int8 (variants,); empty where
        there are no two lists. By the variants' numbers.
    home
        The one set that a variant is of, -1 if of several, int32 (variants,): two of
        one set are no model; empty where there are no sets.
    """

    level: bool
    tie_low: bool
    statistic: NDArray[np.int64]
    min_distance: int
    chromosome: NDArray[np.int32]
    position: NDArray[np.int64]
    role: NDArray[np.int8]
    home: NDArray[np.int32]


class Best(NamedTuple):
    """The best models.

    Parameters
    ----------
    key, model, size
        See ``offer_model``.
    fold_score, fold_model
        Best training score (2 BA - 1) of each fold and its model, float64 (folds,) and
        int64 (folds, order).
    """

    key: NDArray[np.float64]
    model: NDArray[np.int64]
    size: NDArray[np.int64]
    fold_score: NDArray[np.float64]
    fold_model: NDArray[np.int64]
