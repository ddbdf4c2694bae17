"""How good forecasts are: beside persistence, always."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.forecast.features import HORIZONS, Examples
from hpc_connector.forecast.guard import Served, get_candidates, serve
from hpc_connector.forecast.predictor import P90, Predictor, get_forecasts


@dataclass(frozen=True)
class Figures:
    """How good the forecasts of one target and horizon are.

    Parameters
    ----------
    windows
        That were forecast.
    mae_persistence, mae_median, mae_model, mae
        Mean absolute errors; the last is of what is served, the guard's choice. Cores
        or bytes.
    coverage
        Share of the windows that were at most P90.
    pinball, pinball_persistence
        Loss of P90, and of persistence plus the 90 % quantile of its residuals.
    """

    target: str
    horizon: int
    windows: int
    mae_persistence: float
    mae_median: float
    mae_model: float
    mae: float
    coverage: float
    pinball: float
    pinball_persistence: float

    def get_skill(self, of: str = "mae") -> float:
        """Return 1 - MAE over that of persistence; 0 where nothing changes at all."""
        error = getattr(self, of)
        if self.mae_persistence == 0:
            return 0.0 if error == 0 else -np.inf
        return float(1 - error / self.mae_persistence)


def evaluate(
    predictor: Predictor,
    rows: Mapping[str, Examples],
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
) -> list[Figures]:
    """Return how good a predictor is on windows that it was not trained on.

    Parameters
    ----------
    train, test
        Masks of the rows, shape (n,); of the training only the residuals of
        persistence are taken, for the baseline of P90.
    is_known
        Of each row, whether its program was trained on, shape (n,).
    """
    tested = {target: made.take(test) for target, made in rows.items()}
    found = []
    for target, (p50, p90) in get_forecasts(predictor, tested).items():
        made = tested[target]
        served = serve(target, made, p50, p90, is_known[test])
        residuals = rows[target].future - rows[target].lags[:, -1:]
        for h in range(HORIZONS):
            if not np.isnan(made.future[:, h]).all():  # runs are that long
                margin = get_quantile(residuals[train, h])
                found.append(_measure(target, h, made, p50, served, margin))
    return found


def _measure(
    target: str,
    h: int,
    rows: Examples,
    p50: NDArray[np.float64],
    served: Served,
    margin: float,
) -> Figures:
    came = rows.future[:, h]
    kept = ~np.isnan(came)
    candidates = get_candidates(rows.lags, p50)[:, kept, h]
    came, upper = came[kept], served.p90[kept, h]
    model, persistence, median = np.abs(candidates - came).mean(axis=1).tolist()
    return Figures(
        target=target,
        horizon=h + 1,
        windows=len(came),
        mae_persistence=persistence,
        mae_median=median,
        mae_model=model,
        mae=float(np.abs(served.p50[kept, h] - came).mean()),
        coverage=float((came <= upper).mean()),
        pinball=get_pinball(came, upper),
        pinball_persistence=get_pinball(came, candidates[1] + margin),
    )


def get_quantile(residuals: NDArray[np.float64]) -> float:
    """Return the 90 % quantile of what is known of residuals, shape (n,), else 0."""
    known = residuals[~np.isnan(residuals)]
    return float(np.quantile(known, P90)) if len(known) else 0.0


def get_pinball(came: NDArray[np.float64], upper: NDArray[np.float64]) -> float:
    """Return the mean pinball loss of a P90: 0.9 a unit below, 0.1 a unit above."""
    off = came - upper
    return float(np.maximum(P90 * off, (P90 - 1) * off).mean())
