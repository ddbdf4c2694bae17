"""Training: from the windows of runs to a predictor in a folder, and its verdict."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.forecast.evaluate import Figures, evaluate
from hpc_connector.forecast.features import (
    LAGS,
    Examples,
    make_examples,
    split_examples,
)
from hpc_connector.forecast.guard import classify
from hpc_connector.forecast.predictor import Predictor, train_predictor
from hpc_connector.forecast.windows import TARGETS, Series

LEAST_WINDOWS = 1000  # with fewer nothing beat persistence reliably


def train(
    series: Sequence[Series],
    *,
    kind: str = "hgb",
    lags: int = LAGS,
    recursive: bool = False,
) -> tuple[Predictor, dict[str, Any]]:
    """Train on earlier runs, test on later ones; return the model and its card.

    Parameters
    ----------
    kind
        Of the model; with few windows it is "persistence" whatever is asked for.
    lags
        Windows that a forecast sees.
    recursive
        Forecast one window ahead, and from that the next; else each horizon directly.

    Raises
    ------
    BadInput
        No windows to train on, windows of different widths, or a split that leaks.
    """
    width_s = get_width(series)
    rows = {target: make_examples(series, target, lags) for target in TARGETS}
    training, test = split_examples(series, rows[TARGETS[0]])
    check_training(series, training, width_s)
    if is_small := training.sum() < LEAST_WINDOWS:
        kind = "persistence"
    predictor = train_predictor(
        rows, training, kind=kind, width_s=width_s, recursive=recursive
    )
    groups = np.array([one.group for one in series])[rows[TARGETS[0]].series]
    known = np.isin(groups, groups[training]) & (groups != "")
    figures = []
    if test.any():
        figures = evaluate(predictor, rows, training, test, known)
    usable = {t: is_usable(figures, t) and kind != "persistence" for t in TARGETS}
    about = {
        "programs": sorted({*groups[training]} - {""}),
        "trained_until_s": get_ends(rows[TARGETS[0]], series, training),
        "data_sha256": get_data_hash(series),
        "train_windows": int(training.sum()),
        "test_windows": int(test.sum()),
        "classes": count_classes(series),
        "figures": [asdict(f) | {"skill": f.get_skill()} for f in figures],
        "usable": usable,
        "verdict": get_verdict(kind, usable, bool(is_small), int(training.sum())),
    }
    return predictor, about


def check_training(
    series: Sequence[Series], training: np.ndarray, width_s: float
) -> None:
    """Refuse runs that leave no window to train on."""
    if not training.any():
        raise BadInput(
            f"{sum(len(s.values) for s in series)} windows of {width_s:g} s in "
            f"{len({s.run for s in series})} runs: too few to train and to test on "
            "later ones; expected longer runs, more of them, or a shorter --window"
        )


def get_width(series: Sequence[Series]) -> float:
    """Return the width of the windows of all series; raise BadInput if they differ."""
    widths = sorted({one.width_s for one in series})
    if len(widths) != 1:
        raise BadInput(f"windows of {widths} s: expected one width in all runs")
    return widths[0]


def is_usable(figures: Sequence[Figures], target: str) -> bool:
    """Return whether what is served beats persistence at every horizon."""
    skills = [f.get_skill() for f in figures if f.target == target]
    return bool(skills) and min(skills) > 0


def get_ends(
    rows: Examples, series: Sequence[Series], training: NDArray[np.bool_]
) -> dict[str, float]:
    """Return when the training ended in each run that it saw, Unix time."""
    ends: dict[str, float] = {}
    for number in np.unique(rows.series[training]):
        end_s = float(rows.until_s[training & (rows.series == number)].max())
        name = series[number].run
        ends[name] = max(end_s, ends.get(name, end_s))
    return ends


def get_data_hash(series: Sequence[Series]) -> str:
    """Return the SHA-256 of all windows, in the order in which they were given."""
    digest = hashlib.sha256()
    for one in series:
        digest.update(f"{one.group}\n{one.run}\n{one.name}\n{one.start_s}\n".encode())
        digest.update(one.values.tobytes())
    return digest.hexdigest()


def count_classes(series: Sequence[Series]) -> dict[str, dict[str, int]]:
    """Return how many series are constant, trending or heterogeneous, by target."""
    counts: dict[str, dict[str, int]] = {target: {} for target in TARGETS}
    for one in series:
        for place, target in enumerate(TARGETS):
            found = classify(one.values[:, place], target)
            counts[target][found] = counts[target].get(found, 0) + 1
    return counts


def get_verdict(
    kind: str, usable: dict[str, bool], is_small: bool, windows: int
) -> str:
    """Return in words what the model is good for.

    Parameters
    ----------
    kind
        Of the model.
    usable
        Of each target, whether the model beats persistence.
    is_small
        Too few windows train it.
    windows
        That train it.
    """
    if is_small:
        return (
            f"{windows:,} windows train, fewer than {LEAST_WINDOWS:,}: "
            "persistence serves until there are more"
        )
    good = [target for target in TARGETS if usable[target]]
    if kind == "persistence" or not good:
        return "not usable: no better than persistence on later runs; it serves instead"
    if len(good) < len(TARGETS):
        return f"usable for {good[0]} alone; persistence serves the rest"
    return "usable: better than persistence on later runs at every horizon"
