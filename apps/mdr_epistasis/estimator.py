"""Multifactor dimensionality reduction as an estimator of scikit-learn."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from hpc_connector.learner.mdr.folds import make_folds
from hpc_connector.learner.mdr.mdr import get_risk_array
from hpc_connector.learner.mdr.models import get_balanced_accuracy
from hpc_connector.options import read_values
from mdr_epistasis.api import search
from mdr_epistasis.options import Options

FAST_LEVELS = 3  # of a column, that the kernels of the search count


class Model(NamedTuple):
    """A model, and what it says of each combination of levels.

    Parameters
    ----------
    columns
        Of X, in order.
    levels
        Sorted values of each column.
    risk
        Share of cases in each combination if both classes were as large, float64, last
        column fastest; of a combination that was not seen the share of cases in all.
    """

    columns: tuple[int, ...]
    levels: tuple[np.ndarray, ...]
    risk: np.ndarray


class MDR(TransformerMixin, ClassifierMixin, BaseEstimator):
    """Classify by the combination of levels of a few columns, found by search.

    ``fit`` searches all pairs (or triples) of columns for those whose combinations of
    values tell the classes apart in cross-validation; ``predict`` asks the best model;
    ``transform`` makes a column of each model that was kept, 1 for high risk: features
    for another estimator (Moore et al. 2006, doi:10.1016/j.jtbi.2005.11.036).

    Any value of a column is a level: genotypes 0, 1, 2, categories as numbers. Where no
    column has more than three levels the compiled search of
    :func:`mdr_epistasis.search` is used. A combination that was not seen is of the
    class that most are of.

    Parameters
    ----------
    order
        Columns of a model, 2 or 3.
    folds
        Of the cross-validation; fewer if a class is smaller, 1 for none.
    n_models
        Models to keep.
    tie
        Risk of a combination with as many cases as expected, ``high`` or ``low``.
    random_state
        Of the folds: a number, or as scikit-learn takes it.
    threads
        That search.

    Attributes
    ----------
    classes_
        The two classes; cases are those of the second.
    models_
        Columns of each model, best first, int64 (models, order).
    scores_
        Their balanced accuracy, mean over test folds; on all samples without folds.
    n_features_in_, feature_names_in_
        Of X.

    Examples
    --------
    >>> import numpy as np
    >>> from mdr_epistasis import MDR
    >>> rng = np.random.default_rng(3)
    >>> X = rng.integers(0, 3, (400, 20))
    >>> y = (X[:, 4] > 0) ^ (X[:, 11] > 0)
    >>> mdr = MDR(folds=5).fit(X, y)
    >>> mdr.models_.tolist(), mdr.score(X, y)
    ([[4, 11]], 1.0)
    >>> mdr.get_feature_names_out().tolist(), mdr.transform(X).shape
    (['x4_x11'], (400, 1))
    """

    def __init__(
        self,
        *,
        order: int = 2,
        folds: int = 10,
        n_models: int = 1,
        tie: str = "high",
        random_state: Any = 1,
        threads: int = 1,
    ) -> None:
        self.order = order
        self.folds = folds
        self.n_models = n_models
        self.tie = tie
        self.random_state = random_state
        self.threads = threads

    def __sklearn_tags__(self) -> Any:
        """Return the tags for scikit-learn: there are two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Search for the models that tell two classes apart.

        Parameters
        ----------
        X
            Levels, shape (samples, columns).
        y
            Two classes, shape (samples,).

        Raises
        ------
        ValueError
            More or fewer classes than two, or fewer columns than a model has.
        """
        chosen = {"order": self.order, "folds": self.folds, "top": self.n_models}
        read_values(Options, chosen | {"tie": self.tie, "threads": self.threads})
        X, y = validate_data(self, X, y)
        self.classes_, is_case = _split_classes(y)
        if X.shape[1] < self.order:
            raise ValueError(
                f"n_features = {X.shape[1]}: expected {self.order} or more for a model"
            )
        levels, codes = _encode(X)
        folds = min(self.folds, int(is_case.sum()), int((1 - is_case).sum()))
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        if max(map(len, levels)) <= FAST_LEVELS:
            found = self._search_fast(codes, is_case, folds, int(seed))
        else:
            found = self._search_plainly(codes, is_case, folds, int(seed))
        self.models_, self.scores_ = found
        self._models = [
            _learn(tuple(model), levels, codes, is_case, tie_low=self.tie == "low")
            for model in self.models_.tolist()
        ]
        return self

    def _search_fast(
        self, codes: np.ndarray, is_case: np.ndarray, folds: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return models and scores by the kernels, which count three levels."""
        result = search(
            codes.T,
            is_case,
            folds=folds,
            permutations=0,
            seed=seed,
            order=self.order,
            top=self.n_models,
            tie=self.tie,
            rank_by="test" if folds > 1 else "whole",
            threads=self.threads,
        )
        kept = result.columns["rank"] > 0  # others are of a fold
        name = f"{'test_' * (folds > 1)}balanced_accuracy"
        return result.columns["variant"][kept], result.columns[name][kept]

    def _search_plainly(
        self, codes: np.ndarray, is_case: np.ndarray, folds: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return models and scores of columns of any number of levels."""
        rng = np.random.default_rng(seed)
        fold = make_folds(is_case, folds, rng)
        models = np.array(list(combinations(range(codes.shape[1]), self.order)))
        tie_low = self.tie == "low"
        keys = np.array([
            _score(codes[:, model], is_case, fold, tie_low=tie_low) for model in models
        ])  # fmt: skip
        best = np.lexsort((*models.T[::-1], *-keys.T[::-1]))[: self.n_models]
        return models[best], keys[best, 0]

    def _list_risks(self, X: Any) -> Iterator[np.ndarray]:
        """Yield what each model says of some samples, float64 (samples,)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        yield from (_get_risk(model, X) for model in self._models)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far the share of cases is above a half, by the best model.

        Returns
        -------
        float64 (samples,), above 0 for the second class.
        """
        return next(self._list_risks(X)) - 0.5

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the share of each class in the combination of a sample.

        As if both classes were as large in the samples of ``fit``; of a combination
        that was not seen, the share in all.

        Returns
        -------
        float64 (samples, 2).
        """
        risk = next(self._list_risks(X))
        return np.stack([1 - risk, risk], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each sample by the best model, shape (samples,)."""
        is_high = self.decision_function(X) > 0
        return self.classes_[is_high.astype(int)]

    def transform(self, X: Any) -> np.ndarray:
        """Return whether each model calls a sample high risk.

        Returns
        -------
        1 or 0, float64 (samples, models).
        """
        return np.stack([risk > 0.5 for risk in self._list_risks(X)], axis=1).astype(
            np.float64
        )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of ``transform``: those of X, joined by _."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return np.array(["_".join(names[model]) for model in self.models_], object)


def _split_classes(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the two classes, and 1 for who is of the second, int8 (samples,)."""
    check_classification_targets(y)
    classes, is_case = np.unique(y, return_inverse=True)
    kind = type_of_target(y, input_name="y")
    if kind != "binary":
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{kind}."
        )
    if len(classes) < 2:
        raise ValueError("y has 1 class: expected two")
    return classes, is_case.astype(np.int8)


def _encode(X: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the sorted values of each column, and the place of each value in them."""
    levels, codes = [], np.empty(X.shape, np.int64)
    for column in range(X.shape[1]):
        values, codes[:, column] = np.unique(X[:, column], return_inverse=True)
        levels.append(values)
    return levels, codes


def _count(codes: np.ndarray, is_case: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Count individuals of each class, fold and combination that there is.

    Returns
    -------
    int64 (2, folds, combinations), cases first.
    """
    cell = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
    shape = (2, int(fold.max()) + 1, int(cell.max()) + 1)
    place = np.ravel_multi_index((1 - is_case, fold, cell), shape)
    return np.bincount(place, minlength=np.prod(shape)).reshape(shape)


def _score(
    codes: np.ndarray, is_case: np.ndarray, fold: np.ndarray, *, tie_low: bool
) -> tuple[float, float, float]:
    """Return balanced accuracies of a model by which it is ranked, the first of them.

    Test, training and whole, as the search ranks; whole alone without folds.
    """
    counts = _count(codes, is_case, fold)
    whole = counts.sum(axis=1)
    known = [(whole, whole)]
    if counts.shape[1] > 1:
        tests = np.moveaxis(counts, 1, 0)
        known += [(whole - test, test) for test in tests]
        known += [(whole - test, whole - test) for test in tests]
    trained, tested = (np.array(each) for each in zip(*known, strict=True))
    high = get_risk_array(trained[:, 0], trained[:, 1], tie_low=tie_low)
    accuracy = get_balanced_accuracy(tested[:, 0], tested[:, 1], high)
    if len(accuracy) == 1:
        return (accuracy[0],) * 3
    test, train = accuracy[1:].reshape(2, -1).mean(axis=1)
    return test, train, accuracy[0]


def _learn(
    model: tuple[int, ...],
    levels: list[np.ndarray],
    codes: np.ndarray,
    is_case: np.ndarray,
    *,
    tie_low: bool,
) -> Model:
    """Return the risk of each combination of levels of the columns of a model."""
    chosen = tuple(levels[column] for column in model)
    shape = tuple(map(len, chosen))
    cell = np.ravel_multi_index(tuple(codes[:, list(model)].T), shape)
    cases, controls = (
        np.bincount(cell[is_case == label], minlength=np.prod(shape))
        for label in (1, 0)
    )
    share = cases / cases.sum()
    other = controls / controls.sum()
    prior = float(is_case.mean())
    seen = share + other
    risk = np.divide(share, seen, out=np.full(len(seen), prior), where=seen > 0)
    high = get_risk_array(cases[None], controls[None], tie_low=tie_low)[0]
    risk = np.where((seen > 0) & high, np.maximum(risk, np.nextafter(0.5, 1)), risk)
    risk = np.where((seen > 0) & ~high, np.minimum(risk, 0.5), risk)
    return Model(model, chosen, np.append(risk, prior))


def _get_risk(model: Model, X: np.ndarray) -> np.ndarray:
    """Return the risk of each sample, float64 (samples,)."""
    cell, is_seen = np.zeros(len(X), np.int64), np.ones(len(X), bool)
    for column, values in zip(model.columns, model.levels, strict=True):
        place = np.minimum(np.searchsorted(values, X[:, column]), len(values) - 1)
        is_seen &= values[place] == X[:, column]
        cell = cell * len(values) + place
    return model.risk[np.where(is_seen, cell, -1)]
