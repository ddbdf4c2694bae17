"""Models of the next windows behind one interface: arrays in, arrays out.

A fitted model is a few arrays of numbers, so it is saved without pickle and forecasts
without scikit-learn, which only fits it.
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.forecast.features import SHAPE

Fitted = dict[str, np.ndarray]

TREES, RATE = 100, 0.1
HGB_ROWS, SVR_ROWS, MLP_ROWS = 40000, 8000, 30000  # more brings little
MLP_LAYERS = (64, 32)
SEED = 42
NODES = {  # our names of what a tree's nodes hold, and scikit-learn's
    "feature": "feature_idx",
    "threshold": "num_threshold",
    "left": "left",
    "right": "right",
    "value": "value",
}
NODE_TYPES = {"threshold": np.float64, "value": np.float64}
MOST = 50.0  # a difference over its scale; larger ones would rule squared losses


def fit_nothing(
    features: NDArray[np.float64], target: NDArray[np.float64], quantile: float
) -> Fitted:
    """Fit a model that has nothing to learn."""
    return {}


def predict_persistence(
    fitted: Fitted, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return that nothing changes, shape (n,)."""
    return np.zeros(len(features))


def predict_median(
    fitted: Fitted, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the median of the last three windows, shape (n,), which is a feature."""
    own = features[:, : features.shape[1] // 2]
    return own[:, SHAPE.index("median") - len(SHAPE)]


def fit_linear(
    features: NDArray[np.float64], target: NDArray[np.float64], quantile: float
) -> Fitted:
    """Fit a linear regression by least squares."""
    x, kept = _standardise(features)
    terms = np.column_stack([x, np.ones(len(x))])
    found = np.linalg.lstsq(terms, np.clip(target, -MOST, MOST), rcond=None)[0]
    return kept | {"slope": found[:-1], "offset": found[-1:]}


def predict_linear(
    fitted: Fitted, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the forecasts of a linear regression, shape (n,)."""
    found: NDArray[np.float64]
    found = _apply(fitted, features) @ fitted["slope"] + fitted["offset"][0]
    return found


def fit_svr(
    features: NDArray[np.float64], target: NDArray[np.float64], quantile: float
) -> Fitted:
    """Fit a support vector regression with a Gaussian kernel to some of the rows."""
    from sklearn.svm import SVR

    chosen = _choose(len(target), SVR_ROWS)
    x, kept = _standardise(features[chosen])
    gamma = 1.0 / x.shape[1]
    made = SVR(C=1.0, epsilon=0.01, gamma=gamma)
    made.fit(x, np.clip(target[chosen], -MOST, MOST))
    return kept | {
        "vectors": made.support_vectors_,
        "weights": made.dual_coef_[0],
        "offset": made.intercept_,
        "gamma": np.array([gamma]),
    }


def predict_svr(fitted: Fitted, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the forecasts of a support vector regression, shape (n,)."""
    vectors, weights = fitted["vectors"], fitted["weights"]
    parts = []
    for x in np.array_split(_apply(fitted, features), 1 + len(features) // 1000):
        apart = (x**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * x @ vectors.T
        parts.append(np.exp(-fitted["gamma"][0] * np.maximum(apart, 0)) @ weights)
    found: NDArray[np.float64] = np.concatenate(parts) + fitted["offset"][0]
    return found


def fit_mlp(
    features: NDArray[np.float64], target: NDArray[np.float64], quantile: float
) -> Fitted:
    """Fit a small neural network to some of the rows."""
    from sklearn.neural_network import MLPRegressor

    chosen = _choose(len(target), MLP_ROWS)
    x, kept = _standardise(features[chosen])
    made = MLPRegressor(
        hidden_layer_sizes=MLP_LAYERS,
        early_stopping=True,
        max_iter=60,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could go on: the figures tell
        made.fit(x, np.clip(target[chosen], -MOST, MOST))
    layers = zip(made.coefs_, made.intercepts_, strict=True)
    for k, (weights, offset) in enumerate(layers):
        kept |= {f"weights_{k}": weights, f"offset_{k}": offset}
    return kept


def predict_mlp(fitted: Fitted, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the forecasts of a neural network, shape (n,)."""
    x = _apply(fitted, features)
    for k in range(len(MLP_LAYERS) + 1):
        x = x @ fitted[f"weights_{k}"] + fitted[f"offset_{k}"]
        x = np.maximum(x, 0) if k < len(MLP_LAYERS) else x
    return x[:, 0]


def fit_boosting(
    features: NDArray[np.float64], target: NDArray[np.float64], quantile: float
) -> Fitted:
    """Fit gradient boosting of a quantile; 0.5 is the least absolute error."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    chosen = _choose(len(target), HGB_ROWS)
    model = HistGradientBoostingRegressor(
        loss="absolute_error" if quantile == 0.5 else "quantile",
        quantile=None if quantile == 0.5 else quantile,
        max_iter=TREES,
        learning_rate=RATE,
        early_stopping=False,
        random_state=SEED,
    )
    # On a busy machine threads that wait for one another take ten times as long.
    with threadpool_limits(1, "openmp"):
        made = model.fit(features[chosen], target[chosen])
    trees = [stage[0].nodes for stage in made._predictors]
    width = max(map(len, trees))
    fitted = {}
    for ours, theirs in NODES.items():
        table = np.zeros((len(trees), width), NODE_TYPES.get(ours, np.int32))
        for row, nodes in zip(table, trees, strict=True):
            row[: len(nodes)] = nodes[theirs]
        fitted[ours] = table
    return fitted | {"offset": np.ravel(made._baseline_prediction).astype(float)}


def predict_boosting(
    fitted: Fitted, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the forecasts of boosted trees, shape (n,)."""
    from hpc_connector.forecast._tree_kernels import sum_leaves

    nodes = [fitted[name] for name in NODES]
    total = sum_leaves(np.ascontiguousarray(features), *nodes)
    found: NDArray[np.float64] = total + fitted["offset"][0]
    return found


def _standardise(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], Fitted]:
    """Return features of mean 0 and spread 1, and what takes others there."""
    middle, spread = features.mean(axis=0), features.std(axis=0)
    kept = {"middle": middle, "spread": np.where(spread > 1e-9, spread, 1.0)}
    return _apply(kept, features), kept


def _apply(fitted: Fitted, features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((features - fitted["middle"]) / fitted["spread"], -10, 10)


def _choose(n: int, most: int) -> NDArray[np.int64]:
    """Return the rows to fit to: all, or some by chance."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, most, replace=False))


Fit = Callable[[NDArray[np.float64], NDArray[np.float64], float], Fitted]
Predict = Callable[[Fitted, NDArray[np.float64]], NDArray[np.float64]]
KINDS: dict[str, tuple[Fit, Predict]] = {
    "persistence": (fit_nothing, predict_persistence),
    "median": (fit_nothing, predict_median),
    "linear": (fit_linear, predict_linear),
    "svr": (fit_svr, predict_svr),
    "hgb": (fit_boosting, predict_boosting),
    "mlp": (fit_mlp, predict_mlp),
}


LEARN_NOTHING = tuple(kind for kind, (fit, _) in KINDS.items() if fit is fit_nothing)


def fit(
    kind: str,
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    quantile: float = 0.5,
) -> Fitted:
    """Fit a model to rows.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    features, target
        Shape (n, features) and (n,): a difference from the last window over the scale.
    quantile
        That boosting aims at; the others know only the middle.

    Raises
    ------
    BadInput
        scikit-learn is not installed.
    """
    try:
        return KINDS[kind][0](features, target, quantile)
    except ImportError:
        raise BadInput(
            f"training {kind}: expected scikit-learn to be installed: pip install "
            "'hpc_connector[telemetry]'"
        ) from None


def predict(
    kind: str, fitted: Fitted, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return differences from the last window over the scale, shape (n,)."""
    return KINDS[kind][1](fitted, features)
