"""A trained predictor of the next windows: the models of both targets together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpc_connector.forecast.features import HORIZONS, Examples, get_features
from hpc_connector.forecast.models import Fitted, fit, predict
from hpc_connector.forecast.windows import TARGETS

P90 = 0.9
RESIDUALS = 5000
Forecast = tuple[np.ndarray, np.ndarray]  # P50 and P90, each (n, horizons)


@dataclass(frozen=True)
class Predictor:
    """Models of each target and horizon.

    Parameters
    ----------
    kind
        One of ``models.KINDS``.
    lags
        Windows that it looks back.
    width_s
        Of a window.
    recursive
        Whether the model of the next window forecasts the later ones as well.
    fitted
        By target and horizon: what a model learned of the middle; for hgb, of P90 too.
    offsets
        By target, 90 % quantile of the residuals over the scale, shape (horizons,):
        P90 of the kinds that know only the middle.
    """

    kind: str
    lags: int
    width_s: float
    recursive: bool
    fitted: dict[str, Fitted]
    offsets: dict[str, NDArray[np.float64]]


def train_predictor(
    rows: Mapping[str, Examples],
    train: NDArray[np.bool_],
    *,
    kind: str,
    width_s: float,
    recursive: bool = False,
) -> Predictor:
    """Train on some of the rows.

    Parameters
    ----------
    rows
        By target, of the same windows.
    train
        Mask of the rows, shape (n,).

    Raises
    ------
    BadInput
        scikit-learn is not installed.
    """
    fitted: dict[str, Fitted] = {}
    for target, made in rows.items():
        for horizon in range(1 if recursive else HORIZONS):
            change = (made.future[:, horizon] - made.lags[:, -1]) / made.scale
            kept = train & ~np.isnan(change)
            x, y = made.features[kept], change[kept]
            fitted[f"{target} {horizon + 1}"] = fit(kind, x, y)
            if has_quantiles(kind, recursive):
                name = f"{target} {horizon + 1} p90"
                fitted[name] = fit(kind, x, y, quantile=P90)
    lags = next(iter(rows.values())).lags.shape[1]
    predictor = Predictor(kind, lags, width_s, recursive, fitted, {})
    some = {t: made.take(_choose(train)) for t, made in rows.items()}
    return replace(predictor, offsets=_get_offsets(predictor, some))


def _choose(train: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return which rows give the residuals: these many tell their quantile."""
    known = np.flatnonzero(train)
    return known[:: 1 + len(known) // RESIDUALS]


def _get_offsets(
    predictor: Predictor, rows: Mapping[str, Examples]
) -> dict[str, NDArray[np.float64]]:
    """Return the quantile of the residuals over the scale, of each target."""
    found = {}
    for target, middle in get_middle(predictor, rows).items():
        made = rows[target]
        excess = (made.future - middle) / made.scale[:, None]
        found[target] = np.nanquantile(excess, P90, axis=0)
    return found


def has_quantiles(kind: str, recursive: bool) -> bool:
    """Return whether P90 has a model of its own."""
    return kind == "hgb" and not recursive


def get_forecasts(
    predictor: Predictor, rows: Mapping[str, Examples]
) -> dict[str, Forecast]:
    """Return P50 and P90 of each target, each shape (n, horizons)."""
    middle = get_middle(predictor, rows)
    found = {}
    for target, made in rows.items():
        if has_quantiles(predictor.kind, predictor.recursive):
            upper = _get_direct(predictor, made, target, " p90")
        else:
            upper = middle[target] + made.scale[:, None] * predictor.offsets[target]
        found[target] = middle[target], np.maximum(upper, middle[target])
    return found


def get_middle(
    predictor: Predictor, rows: Mapping[str, Examples]
) -> dict[str, NDArray[np.float64]]:
    """Return P50 of each target, shape (n, horizons)."""
    if predictor.recursive:
        return _get_recursive(predictor, next(iter(rows.values())))
    return {t: _get_direct(predictor, made, t) for t, made in rows.items()}


def _get_direct(
    predictor: Predictor, rows: Examples, target: str, suffix: str = ""
) -> NDArray[np.float64]:
    names = [f"{target} {h + 1}{suffix}" for h in range(HORIZONS)]
    change = [
        predict(predictor.kind, predictor.fitted[name], rows.features) for name in names
    ]
    step: NDArray[np.float64] = rows.scale[:, None] * np.column_stack(change)
    return rows.lags[:, -1:] + step


def _get_recursive(
    predictor: Predictor, rows: Examples
) -> dict[str, NDArray[np.float64]]:
    """Forecast one window, take it for what came, and go on."""
    past, steps = rows.past, []
    for horizon in range(HORIZONS):
        following = np.empty((len(past), len(TARGETS)))
        for place, target in enumerate(TARGETS):
            features, scale = get_features(past, rows.age + horizon, place)
            change = predict(predictor.kind, predictor.fitted[f"{target} 1"], features)
            following[:, place] = (past[:, place, -1] + scale * change).clip(0)
        steps.append(following)
        past = np.concatenate([past[:, :, 1:], following[:, :, None]], axis=2)
    stacked = np.stack(steps, axis=2)  # (n, targets, horizons)
    return {target: stacked[:, place] for place, target in enumerate(TARGETS)}
