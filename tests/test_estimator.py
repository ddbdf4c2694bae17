"""MDR as scikit-learn has estimators: its checks, and the same models as the search."""

import pickle

import numpy as np
import numpy.testing as npt
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import mdr_epistasis as mdr
from mdr_epistasis.estimator import MDR


@pytest.fixture
def planted(rng):
    """Return levels (samples, columns) and classes, by columns 2 and 5."""
    X = rng.integers(0, 3, (300, 8))
    y = np.where((X[:, 2] > 0) ^ (X[:, 5] > 0), "ill", "healthy")
    is_wrong = rng.random(300) < 0.1
    return X, np.where(is_wrong, rng.permutation(y), y)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@parametrize_with_checks([MDR(), MDR(folds=1, n_models=2, tie="low")])
def test_mdr__is_an_estimator(estimator, check):
    check(estimator)


def test_fit__finds_what_the_search_finds(planted):
    X, y = planted
    fitted = MDR(n_models=4, folds=5, random_state=7).fit(X, y)
    result = mdr.search(X.T, y == "ill", folds=5, permutations=0, seed=7, top=4)
    kept = result.columns["rank"] > 0
    npt.assert_array_equal(fitted.models_, result.columns["variant"][kept])
    scores = result.columns["test_balanced_accuracy"][kept]
    npt.assert_array_equal(fitted.scores_, scores)
    high = result.columns["high_risk"][0][3 * X[:, 2] + X[:, 5]]
    npt.assert_array_equal(fitted.predict(X), np.where(high, "ill", "healthy"))


@pytest.mark.parametrize("tie", ["high", "low"])
@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("order", [2, 3])
def test_fit__the_same_by_either_search(planted, order, folds, tie, monkeypatch):
    X, y = planted
    chosen = {"order": order, "folds": folds, "n_models": 6, "tie": tie}
    fast = MDR(**chosen).fit(X, y)
    monkeypatch.setattr("mdr_epistasis.estimator.FAST_LEVELS", 0)
    plain = MDR(**chosen).fit(X, y)
    npt.assert_allclose(plain.scores_, fast.scores_, rtol=1e-12)
    npt.assert_array_equal(plain.models_, fast.models_)


def test_fit__levels_of_any_number_and_value(rng):
    X = rng.choice([-7.5, 0.0, 1.25, 3.0, 1e9], (400, 6))
    y = (X[:, 1] > 1) ^ (X[:, 4] > 1)
    fitted = MDR(folds=5).fit(X, y)
    assert fitted.models_.tolist() == [[1, 4]]
    assert fitted.score(X, y) == 1


def test_predict__of_an_unseen_combination_the_class_of_most(planted):
    X, y = planted
    y = np.where(np.arange(len(y)) < 40, y, "healthy")
    fitted = MDR(folds=5).fit(X, y)
    odd = np.full((1, X.shape[1]), 17)
    assert fitted.predict(odd).tolist() == ["healthy"]
    npt.assert_allclose(fitted.predict_proba(odd)[0, 1], np.mean(y == "ill"))
    assert fitted.transform(odd).tolist() == [[0.0]]


def test_transform__makes_named_columns_of_risk(planted):
    pandas = pytest.importorskip("pandas")
    X, y = planted
    frame = pandas.DataFrame(X, columns=[f"rs{k}" for k in range(X.shape[1])])
    fitted = MDR(n_models=2).set_output(transform="pandas").fit(frame, y)
    made = fitted.transform(frame)
    assert made.columns[0] == "rs2_rs5"
    assert set(np.unique(made)) == {0.0, 1.0}
    npt.assert_array_equal(made["rs2_rs5"] == 1, fitted.predict(frame) == "ill")
    copied = pickle.loads(pickle.dumps(fitted))
    npt.assert_array_equal(copied.predict(frame), fitted.predict(frame))


def test_transform__feeds_another_estimator(planted):
    from sklearn.tree import DecisionTreeClassifier

    X, y = planted
    both = make_pipeline(MDR(n_models=3), DecisionTreeClassifier(random_state=0))
    assert both.fit(X, y).score(X, y) > 0.85


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": 4}, "order: "), ({"folds": 0}, "folds: 0: "), ({"tie": "no"}, "tie: ")],
)
def test_fit__refuses_options(planted, options, message):
    with pytest.raises(ValueError, match=message):
        MDR(**options).fit(*planted)
