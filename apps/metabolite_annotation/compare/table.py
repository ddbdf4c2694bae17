"""The annotations of runs side by side, and what became of each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from metabolite_annotation.compare.runs import NUMBERS, Key, Run

SHARED, LOST, GAINED, ABSENT = "shared", "lost", "gained", ""
CHANGES = (LOST, GAINED, SHARED)


class Table(NamedTuple):
    """Annotations that count in a run or more, a row each.

    The order is that of the first run, then that of the second for what the first has
    not, and so on; so the best come first.

    Parameters
    ----------
    keys
        Database, formula and adduct.
    place
        The row in each run, int64 (runs, n); -1 where it did not report it.
    counts
        Whether it is within the rate in each run, bool (runs, n).
    values
        Columns :data:`~metabolite_annotation.compare.runs.NUMBERS` of each run,
        float64 (runs, n); NaN where it did not report it.
    """

    keys: list[Key]
    place: np.ndarray
    counts: np.ndarray
    values: dict[str, np.ndarray]


def compare(runs: Sequence[Run], fdr: float) -> Table:
    """Return the annotations of runs that are within a rate in any of them."""
    within = [np.round(run.rows["fdr"], 2) <= fdr for run in runs]  # as levels are
    keys = list(dict.fromkeys(
        key
        for run, is_within in zip(runs, within, strict=True)
        for key, row in run.place.items()
        if is_within[row]
    ))  # fmt: skip
    place = np.array(
        [[run.place.get(key, -1) for key in keys] for run in runs], np.int64
    ).reshape(len(runs), len(keys))
    counts = np.array([_take(w, p, False) for w, p in zip(within, place, strict=True)])
    values = {
        name: np.array([
            _take(run.rows[name], p, np.nan) for run, p in zip(runs, place, strict=True)
        ])
        for name in NUMBERS
    }  # fmt: skip
    return Table(keys, place, counts, values)


def _take(column: np.ndarray, place: np.ndarray, missing: float) -> np.ndarray:
    """Return values of some rows, and what is missing where there is none."""
    found = np.full(len(place), missing, np.result_type(column, type(missing)))
    is_there = place >= 0
    found[is_there] = column[place[is_there]]
    return found


def name_changes(table: Table, run: int) -> np.ndarray:
    """Return what became of each annotation from the first run to another, text (n,).

    Nothing where it counts in neither.
    """
    before, after = table.counts[0], table.counts[run]
    chosen = [before & after, before & ~after, ~before & after]
    return np.select(chosen, [SHARED, LOST, GAINED], ABSENT)


def list_texts(runs: Sequence[Run], table: Table, name: str) -> Iterator[str]:
    """Yield a column of text of the annotations, of the first run that has each."""
    first = np.argmax(table.place >= 0, axis=0)
    for n, run in enumerate(first.tolist()):
        yield str(runs[run].rows[name][table.place[run, n]])
