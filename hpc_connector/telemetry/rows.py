"""Windows to rows of features, and the split by run and time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.windows import TARGETS, Series

LAGS = 8
HORIZONS = 3
EMBARGO = LAGS + HORIZONS  # windows between what trains and what tests
TRAIN = 0.7
LEAST_SERIES = 4  # of a group that is split by run; fewer are cut in time
FLOOR = {"cpu": 0.01, "memory": 2.0**20}  # of the scale: cores, bytes
SHAPE = ("spread", "above", "below", "median", "roughness", "level", "size")
OWN = (*(f"lag_{k}" for k in range(LAGS - 1, 0, -1)), *SHAPE)
FEATURES = (*OWN, "age", *(f"other_{name}" for name in OWN))


@dataclass(frozen=True)
class Rows:
    """A moving window over series, and what came after it.

    Parameters
    ----------
    lags
        The last windows, oldest first, shape (n, LAGS).
    features
        Shape (n, len(FEATURES)), made of the past alone.
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

    lags: np.ndarray
    features: np.ndarray
    scale: np.ndarray
    future: np.ndarray
    series: np.ndarray
    begin_s: np.ndarray
    end_s: np.ndarray
    until_s: np.ndarray


def make_rows(series: Sequence[Series], target: str) -> Rows:
    """Return the rows of all series for one of ``TARGETS``; gaps have none."""
    parts = [_make_rows_of(one, number, target) for number, one in enumerate(series)]
    names = Rows.__annotations__
    return Rows(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def _make_rows_of(one: Series, number: int, target: str) -> Rows:
    place = TARGETS.index(target)
    n = max(len(one.values) - LAGS + 1, 0)
    values = np.concatenate([one.values, np.full((HORIZONS, 2), np.nan)])
    if n:
        view = np.lib.stride_tricks.sliding_window_view
        stretch = view(values, LAGS + HORIZONS, axis=0)[:n]  # (n, targets, windows)
    else:
        stretch = np.zeros((0, len(TARGETS), LAGS + HORIZONS))
    past = stretch[:, :, :LAGS]
    is_whole = ~np.isnan(past).any(axis=(1, 2))
    age = np.arange(LAGS, LAGS + n)
    begin_s = one.start_s + one.width_s * np.arange(n)
    keep = [x[is_whole] for x in (past, stretch[:, place, LAGS:], age, begin_s)]
    past, future, age, begin_s = keep
    features, scale = get_features(past, age, place)
    end_s = begin_s + LAGS * one.width_s
    until_s = end_s + HORIZONS * one.width_s
    numbers = np.full(len(age), number)
    return Rows(
        past[:, place], features, scale, future, numbers, begin_s, end_s, until_s
    )


def get_features(
    past: np.ndarray, age: np.ndarray, place: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return features, differences over a scale, and that scale.

    Differences from the last window over the mean of all make a run of 10 MB look
    like one of 20 GB.

    Parameters
    ----------
    past
        Of all targets, oldest first, shape (n, 2, LAGS); nothing later is seen.
    age
        Windows since the series began, shape (n,).
    place
        Of the target among ``TARGETS``; the other one is its companion.

    Returns
    -------
    Shape (n, len(FEATURES)) and (n,).
    """
    own, scale = _describe(past[:, place], FLOOR[TARGETS[place]])
    other, _ = _describe(past[:, 1 - place], FLOOR[TARGETS[1 - place]])
    return np.column_stack([own, np.log1p(age), other]), scale


def _describe(lags: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
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


def split_rows(series: Sequence[Series], rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows train and which test: by run and time, with an embargo.

    Of each group the later runs test, and only windows that ended before the first
    of them trains, by an embargo of ``EMBARGO`` windows. A group of fewer runs than
    ``LEAST_SERIES`` is cut in time. Where the user has split the windows, that is
    checked and kept.

    Returns
    -------
    Two masks, shape (n,); some rows are in neither.

    Raises
    ------
    BadInput
        A split by the user that lets the future into the training.
    """
    width_s = np.array([one.width_s for one in series])
    if any(one.part for one in series):
        train, test = _take_parts(series, rows)
    else:
        cut_s, by_run = _get_cuts(series)
        wait_s = EMBARGO * width_s[rows.series]
        start_s = np.array([one.start_s for one in series])[rows.series]
        by_run = by_run[rows.series]
        limit_s = cut_s[rows.series]
        train = rows.until_s <= limit_s - np.where(by_run, wait_s, 0)
        train &= ~by_run | (start_s < limit_s)
        test = np.where(by_run, start_s, rows.begin_s - wait_s) >= limit_s
    check_split(rows, train, test, EMBARGO * float(width_s.max()))
    return train, test


def _get_cuts(series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Return when the test of each series starts, and whether it is split by run."""
    cut_s, by_run = np.zeros(len(series)), np.zeros(len(series), bool)
    groups = np.array([one.group for one in series])
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        starts = np.sort([series[k].start_s for k in mine])
        by_run[mine] = len(np.unique(starts)) >= LEAST_SERIES
        cut_s[mine] = starts[int(TRAIN * len(starts))]
        for k in mine[~by_run[mine]]:
            one = series[k]
            cut_s[k] = one.start_s + TRAIN * one.width_s * len(one.values)
    return cut_s, by_run


def _take_parts(series: Sequence[Series], rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the split that the user's table asks for, by the first window ahead."""
    words = []
    for number, one in enumerate(series):
        end_s = rows.end_s[rows.series == number]
        place = np.rint((end_s - one.start_s) / one.width_s).astype(int)
        padded = np.array([*(one.part or [""] * len(one.values)), ""])
        words.append(padded[np.minimum(place, len(padded) - 1)])
    word = np.concatenate(words)
    return word == "train", word == "test"


def check_split(
    rows: Rows, train: np.ndarray, test: np.ndarray, embargo_s: float
) -> None:
    """Refuse a split in which a series trains on what lies beside its test.

    Raises
    ------
    BadInput
        As any split by rows at random does.
    """
    for number in np.intersect1d(rows.series[train], rows.series[test]):
        mine = rows.series == number
        latest = rows.until_s[mine & train].max()
        earliest = rows.begin_s[mine & test].min()
        if earliest < latest + embargo_s - 1e-6:
            raise BadInput(
                "rows of one series both train and test within "
                f"{embargo_s:g} s of each other, as in a split at random: neighbours "
                "share their past, and skill is then made up; expected a split by run, "
                "or by time with that embargo"
            )
