"""D2.2's functions of MDR, on whole blocks of variants.

They are the definition in plain array code; the search itself runs in the kernels
beside this file and agrees with them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

N_LEVELS = 3
N_CELLS = N_LEVELS**2


def filter_imputation(
    probabilities: NDArray[np.floating[Any]], threshold: float = 0.9
) -> NDArray[np.int8]:
    """Call genotypes from imputation probabilities.

    Parameters
    ----------
    probabilities
        Of 0, 1 and 2 copies of the counted allele, shape (..., 3).

    Returns
    -------
    The genotype whose probability is strictly greater than the threshold, int8
    (...); -1 where there is none.
    """
    is_called = np.asarray(probabilities) > threshold
    genotype = is_called.argmax(axis=-1)
    return np.where(is_called.any(axis=-1), genotype, -1).astype(np.int8)


def transform_patients(
    block_i: NDArray[np.int8], block_j: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Return the cell of every individual in every pair of two blocks.

    Parameters
    ----------
    block_i, block_j
        Genotypes, int8 (variants, individuals), -1 missing.

    Returns
    -------
    3 g_i + g_j, int8 (variants of i, variants of j, individuals); -1 where either
    genotype is missing.
    """
    first, second = block_i[:, None, :], block_j[None, :, :]
    cell = N_LEVELS * first + second
    return np.where((first < 0) | (second < 0), -1, cell).astype(np.int8)


def count_cells(cell: NDArray[np.int8], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the chosen individuals of each cell.

    Parameters
    ----------
    cell
        From :func:`transform_patients`, (..., individuals).
    chosen
        Boolean (individuals,).

    Returns
    -------
    int64 (..., 9).
    """
    of_chosen = cell[..., chosen]
    return np.stack([(of_chosen == c).sum(axis=-1) for c in range(N_CELLS)], axis=-1)


def get_risk_array(
    cases: NDArray[np.integer[Any]],
    controls: NDArray[np.integer[Any]],
    *,
    tie_low: bool = False,
) -> NDArray[np.bool_]:
    """Label cells: high risk where cases are over-represented.

    Compared in integers: a N0 >= u N1, with N1 and N0 the individuals counted. A cell
    without cases is low risk.

    Parameters
    ----------
    cases, controls
        Training counts, integers (..., cells).
    tie_low
        Label a tie low risk instead of high.

    Returns
    -------
    Boolean (..., cells).
    """
    left: NDArray[np.int64] = cases * controls.sum(axis=-1, keepdims=True)
    right: NDArray[np.int64] = controls * cases.sum(axis=-1, keepdims=True)
    return (left > right) if tie_low else (left >= right) & (cases > 0)


def get_error(
    cases: NDArray[np.integer[Any]],
    controls: NDArray[np.integer[Any]],
    high_risk: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the fraction of individuals that the risk table misclassifies.

    Parameters
    ----------
    cases, controls
        Test counts, shape (..., cells).
    high_risk
        From :func:`get_risk_array`, same shape.

    Returns
    -------
    Error rate, float64 (...); NaN where no individual is counted.
    """
    wrong = np.where(high_risk, controls, cases).sum(axis=-1)
    called = (cases + controls).sum(axis=-1)
    error: NDArray[np.float64] = np.divide(
        wrong, called, out=np.full(wrong.shape, np.nan), where=called > 0
    )
    return error


def get_balanced_error(
    cases: NDArray[np.integer[Any]],
    controls: NDArray[np.integer[Any]],
    high_risk: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return 1 - (sensitivity + specificity) / 2; arguments of :func:`get_error`."""
    n1, n0 = cases.sum(axis=-1), controls.sum(axis=-1)
    hits = np.where(high_risk, cases, 0).sum(axis=-1)
    alarms = np.where(high_risk, controls, 0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error: NDArray[np.float64] = 1 - (hits / n1 + 1 - alarms / n0) / 2
        return error


def apply_mdr_dict(
    block_i: NDArray[np.int8],
    block_j: NDArray[np.int8],
    is_case: NDArray[np.integer[Any]],
    fold: NDArray[np.integer[Any]],
) -> dict[str, NDArray[np.float64]]:
    """Cross-validate every pair of two blocks.

    Parameters
    ----------
    block_i, block_j
        Genotypes, int8 (variants, individuals), -1 missing.
    is_case, fold
        Label and fold of each individual, (individuals,).

    Returns
    -------
    ``train_error`` and ``test_error``: balanced error of every fold, float64
    (variants of i, variants of j, folds).
    """
    cell = transform_patients(block_i, block_j)
    is_case = np.asarray(is_case, bool)
    train, test = [], []
    for f in range(int(fold.max()) + 1):
        inside = fold == f
        cases = count_cells(cell, is_case & ~inside)
        controls = count_cells(cell, ~is_case & ~inside)
        high_risk = get_risk_array(cases, controls)
        train.append(get_balanced_error(cases, controls, high_risk))
        cases = count_cells(cell, is_case & inside)
        controls = count_cells(cell, ~is_case & inside)
        test.append(get_balanced_error(cases, controls, high_risk))
    return {"train_error": np.stack(train, -1), "test_error": np.stack(test, -1)}


applyMdrDict = apply_mdr_dict
