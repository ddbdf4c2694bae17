"""The pair test of BSC's published Spark program, so that old results can be checked.

It is not the default MDR of this package: the individuals of a fold are neighbours in
the file, the risk of a cell is compared with cases / controls of the whole data set,
a cell without controls is low risk, a genotype missing at the second variant counts
as 0 copies, and the score is the accuracy of each test fold. What the program does
by mistake is left out: with more cases than controls it calls everybody a control,
and it drops a high-risk cell where a training part has more cases than controls.

Source: github.com/neardata-eu/spark-mdr.
"""

from itertools import pairwise

import numpy as np

FOLDS = 5
LEVELS = 3


def get_fold_accuracy(
    block_i: np.ndarray, block_j: np.ndarray, is_case: np.ndarray
) -> np.ndarray:
    """Return the accuracy of every pair of two blocks in each test fold.

    Parameters
    ----------
    block_i, block_j
        Genotypes, int8 (variants, individuals), -1 missing, individuals in the order
        of the file.
    is_case
        Boolean (individuals,).

    Returns
    -------
    float64 (variants of i, variants of j, folds).
    """
    edges = np.arange(FOLDS + 1) * len(is_case) // FOLDS
    folds = [slice(*ends) for ends in pairwise(edges.tolist())]
    of_class = np.stack([is_case, ~is_case])
    counts = [
        count_cells(block_i[:, fold], block_j[:, fold], of_class[:, fold])
        for fold in folds
    ]
    total = np.sum(counts, axis=0)
    ratio = is_case.sum() / (~is_case).sum()
    accuracy = []
    for fold, of_fold in zip(folds, counts, strict=True):
        trained, (cases, controls) = total - of_fold, of_fold
        high = get_risk(trained[0], trained[1], ratio)
        gained = np.where(high, cases - controls, 0).sum(axis=(1, 3))
        right = gained + (~is_case[fold]).sum()
        accuracy.append(right / (fold.stop - fold.start))
    return np.stack(accuracy, axis=-1)


def count_cells(
    block_i: np.ndarray, block_j: np.ndarray, of_class: np.ndarray
) -> np.ndarray:
    """Count the individuals of each class in each cell of every pair.

    By a product of indicator matrices, exact in single precision.

    Returns
    -------
    float32 (2, variants of i, 3, variants of j, 3).
    """
    first, second = mark_levels(block_i), mark_levels(np.maximum(block_j, 0))
    counts = np.stack([(first * chosen) @ second.T for chosen in of_class])
    return counts.reshape(2, len(block_i), LEVELS, len(block_j), LEVELS)


def mark_levels(block: np.ndarray) -> np.ndarray:
    """Return who carries each genotype, float32 (variants * 3, individuals)."""
    marks = block[:, None, :] == np.arange(LEVELS)[:, None]
    return marks.reshape(-1, block.shape[1]).astype(np.float32)


def get_risk(cases: np.ndarray, controls: np.ndarray, ratio: float) -> np.ndarray:
    """Return which cells are high risk: cases / controls >= ratio; none, 0 controls."""
    of_cell = np.divide(
        cases, controls, out=np.zeros(cases.shape), where=controls > 0, dtype=np.float64
    )
    return of_cell >= ratio
