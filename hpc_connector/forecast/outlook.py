"""Outlooks: what the next windows of a run will use, by a trained predictor."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.forecast.features import (
    HORIZONS,
    LAGS,
    TRAIN,
    Examples,
    make_examples,
)
from hpc_connector.forecast.forecast_file import FILE
from hpc_connector.forecast.guard import CANDIDATES, Served, classify, serve
from hpc_connector.forecast.predictor import Predictor, get_forecasts, train_predictor
from hpc_connector.forecast.windows import TARGETS, WIDTH_S, Series
from hpc_connector.publish import publish
from hpc_connector.telemetry.records import find_folder

UNITS = {"cpu": (1.0, "cores"), "memory": (2.0**30, "GiB")}  # of what is shown


@dataclass(frozen=True)
class Outlook:
    """What was forecast of one series, window by window, and what comes.

    Parameters
    ----------
    series
        Its windows.
    seen_until_s
        Unix time until which it was trained on; its start where it was not.
    rows, served
        By target; the last row is the forecast of what comes.
    """

    series: Series
    seen_until_s: float
    rows: dict[str, Examples]
    served: dict[str, Served]


def forecast(
    series: list[Series],
    predictor: Predictor | None = None,
    card: Mapping[str, Any] | None = None,
) -> list[Outlook]:
    """Return the outlook of each series that is long enough and has no gap at its end.

    Parameters
    ----------
    series
        Of one run.
    predictor, card
        From :func:`load_model`. Without, persistence serves, and P90 is what changes
        in the first part of the run did not exceed.

    Raises
    ------
    BadInput
        No series has as many windows without a gap as the model looks back.
    """
    lags = predictor.lags if predictor else LAGS
    found = []
    for one in series:
        rows = {target: make_examples([one], target, lags) for target in TARGETS}
        ages = rows[TARGETS[0]].age
        if len(ages) and ages[-1] == len(one.values):  # else it would tell the past
            found.append(_forecast_one(one, rows, predictor, card or {}))
    if not found:
        width_s = series[0].width_s if series else WIDTH_S
        longest = max((len(one.values) for one in series), default=0)
        raise BadInput(
            f"the run has {longest} windows of {width_s:g} s: expected at least "
            f"{lags} without a gap at the end; wait, or take a shorter --window"
        )
    return found


def _forecast_one(
    one: Series,
    rows: dict[str, Examples],
    predictor: Predictor | None,
    card: Mapping[str, Any],
) -> Outlook:
    n = len(rows[TARGETS[0]].series)
    seen_until_s = one.start_s
    is_known = np.full(n, one.group in card.get("programs", ()) and bool(one.group))
    if predictor is None:
        first = np.arange(n) < max(1, int(TRAIN * n) - HORIZONS)
        predictor = train_predictor(
            rows, first, kind="persistence", width_s=one.width_s
        )
        seen_until_s = float(rows[TARGETS[0]].until_s[first][-1])
    seen_until_s = float(card.get("trained_until_s", {}).get(one.run, seen_until_s))
    served = {}
    for target, (p50, p90) in get_forecasts(predictor, rows).items():
        made = rows[target]
        if not card.get("usable", {}).get(target, False):
            p50 = np.repeat(made.lags[:, -1:], HORIZONS, axis=1)
        served[target] = serve(target, made, p50, np.maximum(p90, p50), is_known)
    return Outlook(one, seen_until_s, rows, served)


def get_next(outlook: Outlook) -> dict[str, Any]:
    """Return the next windows of a series, as forecast.json holds them."""
    one = outlook.series
    last_s = float(outlook.rows[TARGETS[0]].end_s[-1])
    following = {}
    for place, target in enumerate(TARGETS):
        served = outlook.served[target]
        following[target] = {
            "class": classify(one.values[:, place], target),
            "last": float(outlook.rows[target].lags[-1, -1]),
            "p50": served.p50[-1].tolist(),
            "p90": served.p90[-1].tolist(),
            "by": [CANDIDATES[k] for k in served.chosen[-1]],
        }
    until = [last_s + one.width_s * h for h in range(1, HORIZONS + 1)]
    return {"series": one.name, "window_ends_s": until, **following}


def save_forecast(directory: Path, outlooks: list[Outlook], model: Path | None) -> None:
    """Write ``forecast.json`` into the telemetry of a run."""
    folder = find_folder(directory) if directory.is_dir() else directory.parent
    record = {
        "window_s": outlooks[0].series.width_s,
        "units": {"cpu": "cores", "memory": "bytes"},
        "model": None if model is None else str(model),
        "forecasts": [get_next(outlook) for outlook in outlooks],
    }
    with publish(folder / FILE) as stream:
        stream.write(f"{json.dumps(record, indent=2)}\n".encode())


def pick(outlooks: list[Outlook], name: str | None) -> Outlook:
    """Return the series to draw: of that name, or the one that uses most CPU.

    Raises
    ------
    BadInput
        There is no series of that name.
    """
    if name is None:
        return max(outlooks, key=lambda o: float(np.nanmean(o.series.values[:, 0])))
    for outlook in outlooks:
        if outlook.series.name == name:
            return outlook
    names = ", ".join(outlook.series.name for outlook in outlooks)
    raise BadInput(f"no series {name!r} of enough windows; expected one of {names}")
