"""D2.2's functions against the oracle."""

import numpy as np
import numpy.testing as npt

import naive
from hpc_connector import learner
from hpc_connector.learner.mdr.mdr import get_balanced_error


def test_filter_imputation__is_strict():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.0, 0.0, 0.91], [0.05, 0.95, 0.0]])
    npt.assert_array_equal(learner.filter_imputation(probabilities), [-1, 2, 1])
    npt.assert_array_equal(learner.filter_imputation(probabilities, 0.5), [0, 2, 1])


def test_transform_patients__keeps_who_is_missing_apart():
    block_i = np.array([[0, 1, 2, -1]], np.int8)
    block_j = np.array([[2, 2, -1, 0]], np.int8)
    cell = learner.transform_patients(block_i, block_j)
    npt.assert_array_equal(cell, [[[2, 5, -1, -1]]])


def test_get_risk_array__ties_and_empty_cells():
    cases, controls = np.array([2, 1, 0, 1]), np.array([2, 0, 0, 2])
    npt.assert_array_equal(
        learner.get_risk_array(cases, controls), [True, True, False, False]
    )
    npt.assert_array_equal(
        learner.get_risk_array(cases, controls, tie_low=True),
        [False, True, False, False],
    )


def test_get_error__counts_the_misclassified():
    cases, controls = np.array([[3, 1], [0, 0]]), np.array([[1, 2], [0, 0]])
    high_risk = np.array([[True, False], [True, False]])
    npt.assert_allclose(learner.get_error(cases, controls, high_risk), [2 / 7, np.nan])
    npt.assert_allclose(
        get_balanced_error(cases, controls, high_risk)[0], 1 - (3 / 4 + 2 / 3) / 2
    )


def test_apply_mdr_dict__agrees_with_naive():
    rng = np.random.default_rng(1)
    block_i = rng.integers(-1, 3, (3, 60)).astype(np.int8)
    block_j = rng.integers(-1, 3, (2, 60)).astype(np.int8)
    is_case, fold = rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    errors = learner.applyMdrDict(block_i, block_j, is_case, fold)
    for i in range(3):
        for j in range(2):
            pair = np.stack([block_i[i], block_j[j]])
            test, train, _, _ = naive.mdr(pair, is_case.astype(bool), fold)
            npt.assert_allclose(errors["test_error"][i, j].mean(), 1 - float(test))
            npt.assert_allclose(errors["train_error"][i, j].mean(), 1 - float(train))
