"""Windows to rows of features, and the split by run and time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.forecast.windows import TARGETS, Series

LAGS = 8
HORIZONS = 3
TRAIN = 0.7
LEAST_RUNS = 4  # of a group that is split by run; fewer are cut in time
FLOOR = {"cpu": 0.01, "memory": 2.0**20}  # of the scale: cores, bytes
SHAPE = ("spread", "above", "below", "median", "roughness", "level", "size")


@dataclass(frozen=True)
class Examples:
    """A moving window over series, and what came after it.

    Parameters
    ----------
    past
        The last windows of all targets, oldest first, shape (n, 2, lags).
    lags
        Those of the target that is forecast, shape (n, lags).
    age
        Windows since the series began, shape (n,).
    features
        Shape (n, features), made of the past and the age alone.
    scale
        By which differences were divided, shape (n,).
    future
        The next windows, shape (n, HORIZONS); NaN where there is none.
    series
        Number of the series, shape (n,).
    begin_s, end_s, until_s
        Unix time at which the first lag starts, the last one ends, and the last
        window to be forecast ends, shape (n,).
    """

    past: NDArray[np.float64]
    lags: NDArray[np.float64]
    age: NDArray[np.integer[Any]]
    features: NDArray[np.float64]
    scale: NDArray[np.float64]
    future: NDArray[np.float64]
    series: NDArray[np.int64]
    begin_s: NDArray[np.floating[Any]]
    end_s: NDArray[np.floating[Any]]
    until_s: NDArray[np.floating[Any]]

    def take(self, chosen: NDArray[Any]) -> "Examples":
        """Return some of the rows."""
        return Examples(*(getattr(self, field.name)[chosen] for field in fields(self)))


def get_feature_names(lags: int = LAGS) -> list[str]:
    """Return the names of the columns of the features."""
    own = [*(f"lag_{k}" for k in range(lags - 1, 0, -1)), *SHAPE]
    return [*own, "age", *(f"other_{name}" for name in own)]


def make_examples(series: Sequence[Series], target: str, lags: int = LAGS) -> Examples:
    """Return the rows of all series for one of ``TARGETS``; gaps have none."""
    parts = [
        _make_examples_of(s, number, target, lags) for number, s in enumerate(series)
    ]
    names = Examples.__annotations__
    return Examples(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def _make_examples_of(one: Series, number: int, target: str, lags: int) -> Examples:
    place = TARGETS.index(target)
    n = max(len(one.values) - lags + 1, 0)
    stretch = np.zeros((0, len(TARGETS), lags + HORIZONS))
    if n:
        values = np.concatenate([one.values, np.full((HORIZONS, len(TARGETS)), np.nan)])
        view = np.lib.stride_tricks.sliding_window_view
        stretch = view(values, lags + HORIZONS, axis=0)  # (n, targets, windows)
    kept = np.flatnonzero(~np.isnan(stretch[:, :, :lags]).any(axis=(1, 2)))
    past, future = stretch[kept, :, :lags], stretch[kept, place, lags:]
    age = lags + kept
    features, scale = get_features(past, age, place)
    begin_s = one.start_s + one.width_s * kept
    end_s = begin_s + lags * one.width_s
    return Examples(
        past=past,
        lags=past[:, place],
        age=age,
        features=features,
        scale=scale,
        future=future,
        series=np.full(len(kept), number),
        begin_s=begin_s,
        end_s=end_s,
        until_s=end_s + HORIZONS * one.width_s,
    )


def get_features(
    past: NDArray[np.float64], age: NDArray[np.integer[Any]], place: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return features, differences over a scale, and that scale.

    Differences from the last window over the mean of all make a run of 10 MB look
    like one of 20 GB.

    Parameters
    ----------
    past
        Of all targets, oldest first, shape (n, 2, lags); nothing later is seen.
    age
        Windows since the series began, shape (n,).
    place
        Of the target among ``TARGETS``; the other one is its companion.

    Returns
    -------
    Shape (n, features), see :func:`get_feature_names`, and (n,).
    """
    own, scale = _describe(past[:, place], FLOOR[TARGETS[place]])
    other, _ = _describe(past[:, 1 - place], FLOOR[TARGETS[1 - place]])
    return np.column_stack([own, np.log1p(age), other]), scale


def _describe(
    lags: NDArray[np.float64], floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    last = lags[:, -1:]
    scale = np.maximum(lags.mean(axis=1, keepdims=True), floor)
    off = (lags - last) / scale
    columns = [
        off[:, :-1],
        off.std(axis=1),
        off.max(axis=1),
        off.min(axis=1),
        np.median(off[:, -3:], axis=1),
        np.abs(np.diff(off, axis=1)).mean(axis=1),
        last / scale,
        np.log(scale / floor),
    ]
    return np.column_stack(columns), scale[:, 0]


def split_examples(
    series: Sequence[Series], rows: Examples
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows train and which test: by run and time, with an embargo.

    Of each group the later runs test, and what ended before the first of them trains.
    A group of fewer runs than ``LEAST_RUNS`` is cut in time, each run by itself. Lags
    and horizons together lie between both. Where the user has split the windows, that
    is checked and kept.

    Returns
    -------
    Two masks, shape (n,); some rows are in neither.

    Raises
    ------
    BadInput
        A split by the user that lets the future into the training.
    """
    width_s = np.array([one.width_s for one in series])[rows.series]
    embargo_s = width_s * (rows.lags.shape[1] + HORIZONS)
    if any(one.part for one in series):
        train, test = _take_parts(series, rows)
    else:
        cuts_s, trains, tests = _get_cuts(series)
        cut_s = cuts_s[rows.series]
        train = trains[rows.series] & (rows.until_s <= cut_s - embargo_s)
        test = tests[rows.series] & (rows.begin_s >= cut_s)
    check_split(rows, train, test, embargo_s)
    return train, test


def _get_cuts(
    series: Sequence[Series],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return when the test of each series starts, and whether it trains and tests."""
    spans: dict[tuple[str, str], list[float]] = {}
    keys = [(one.group, one.run) for one in series]
    for key, one in zip(keys, series, strict=True):
        end_s = one.start_s + one.width_s * len(one.values)
        span = spans.setdefault(key, [one.start_s, end_s])
        span[:] = min(span[0], one.start_s), max(span[1], end_s)
    cuts = {}
    for group in {one.group for one in series}:
        runs = sorted((k for k in spans if k[0] == group), key=lambda k: spans[k][0])
        first_s = spans[runs[int(TRAIN * len(runs))]][0]
        by_run = len(runs) >= LEAST_RUNS
        for run in runs:
            start_s, end_s = spans[run]
            inside_s = start_s + TRAIN * (end_s - start_s)
            is_later = start_s >= first_s
            cuts[run] = (
                (first_s, not is_later, is_later) if by_run else (inside_s, 1, 1)
            )
    cut_s, trains, tests = np.array([cuts[key] for key in keys], float).T
    return cut_s, trains > 0, tests > 0


def _take_parts(
    series: Sequence[Series], rows: Examples
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the split that the user's table asks for, by the first window ahead."""
    words = []
    for number, one in enumerate(series):
        age = rows.age[rows.series == number]
        padded = np.array([*(one.part or [""] * len(one.values)), ""])
        words.append(padded[np.minimum(age, len(padded) - 1)])
    word = np.concatenate(words)
    return word == "train", word == "test"


def check_split(
    rows: Examples,
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    embargo_s: np.ndarray,
) -> None:
    """Refuse a split in which a series trains on what lies beside its test.

    Parameters
    ----------
    train, test
        Examples of either, bool, shape (rows,).
    embargo_s
        Of each row, seconds between both.

    Raises
    ------
    BadInput
        As any split by rows at random does.
    """
    for number in np.intersect1d(rows.series[train], rows.series[test]):
        mine = rows.series == number
        latest = rows.until_s[mine & train].max()
        earliest = rows.begin_s[mine & test].min()
        wait_s = float(embargo_s[mine][0])
        if earliest < latest + wait_s - 1e-6:
            raise BadInput(
                "windows of one series both train and test within "
                f"{wait_s:g} s of each other, as in a split at random: neighbours "
                "share their past, and skill is then made up; expected a split by run, "
                "or by time with that embargo"
            )
