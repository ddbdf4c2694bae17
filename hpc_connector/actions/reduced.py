"""Actions that reduce records to something small: sums, bests, counts, sorted rows.

What they give is the same whichever rank writes what: whole numbers are added, sums of
others are exact, and ties are decided by the bytes of a row.
"""

import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpc_connector.actions.exact import ExactSum, add_exactly

MOST_PACKED_BYTES = 1 << 20  # of a value; a larger one takes longer than it saves
RUNS = 64  # of sorted rows, before they are merged
Make = Callable[[], "Reduce"]


class Reduce:
    """An action: a value of each record, and what joins values.

    Parameters
    ----------
    take
        Returns the value of a record, with nothing of its memory in it.
    join
        Returns one value of several, new, in any order and some at a time.
    finish
        Makes of the value of all records what is wanted of them; the value if None.
    most
        Values that are kept until they are joined.
    """

    def __init__(
        self,
        take: Callable[[memoryview], Any],
        join: Callable[[Sequence[Any]], Any],
        finish: Callable[[Any], Any] | None = None,
        most: int = 1,
    ) -> None:
        self._take, self._join, self._finish, self._most = take, join, finish, most
        self._found: list[Any] = []

    def on_write(self, records: Iterable[memoryview]) -> None:
        """Take records."""
        for record in records:
            self._found.append(self._take(record))
            if len(self._found) > self._most:
                self._found = [self._join(self._found)]

    def on_read(self) -> Iterator[bytes]:
        """Yield the value so far, nothing without records."""
        if self._found:
            yield pack(self._join(self._found))

    def merge(self, results: Sequence[bytes]) -> Any:
        """Return what nodes have found; None where none has a record."""
        found = [unpack(result) for result in results if result]
        if not found:
            return None
        joined = self._join(found)
        return self._finish(joined) if self._finish else joined


def pack(value: Any) -> bytes:
    """Return a value as it travels: a pickle, and a small one is deflated."""
    data = pickle.dumps(value)
    return zlib.compress(data, 1) if len(data) <= MOST_PACKED_BYTES else data


def unpack(data: bytes) -> Any:
    """Return a value that has travelled."""
    is_pickle = data[:1] == pickle.PROTO
    return pickle.loads(data if is_pickle else zlib.decompress(data))


def add_arrays(dtype: DTypeLike) -> Make:
    """Return an action that adds up records as arrays, element by element.

    Their elements are whole numbers: of others the order would matter.

    Examples
    --------
    >>> action = add_arrays(np.int64)()
    >>> action.on_write([np.array([1, 2]), np.array([3, 4])])
    >>> action.merge([*action.on_read()]).tolist()
    [4, 6]
    """
    return partial(Reduce, lambda r: np.frombuffer(r, dtype).copy(), _add)


def _add(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def sum_column(read: Callable[[memoryview], NDArray[np.float64]]) -> Make:
    """Return an action that gives the sum of values, float, rounded once.

    Parameters
    ----------
    read
        Returns the values of a record; see :func:`read_column`.
    """
    add = partial(sum, start=ExactSum())
    return partial(Reduce, lambda record: add_exactly(read(record)), add, _round)


def _round(total: ExactSum) -> float:
    return total.round()


def find_least(read: Callable[[memoryview], NDArray[np.float64]]) -> Make:
    """Return an action that gives the least value, NaN where one is."""
    return partial(Reduce, lambda r: float(read(r).min(initial=np.inf)), _get_least)


def find_greatest(read: Callable[[memoryview], NDArray[np.float64]]) -> Make:
    """Return an action that gives the greatest value, NaN where one is."""
    return partial(Reduce, lambda r: float(read(r).max(initial=-np.inf)), _get_greatest)


def _get_least(values: Sequence[float]) -> float:
    return float(np.min(values))


def _get_greatest(values: Sequence[float]) -> float:
    return float(np.max(values))


def count_bins(
    read: Callable[[memoryview], NDArray[np.float64]], edges: Sequence[float]
) -> Make:
    """Return an action that counts values between edges, int64 (len(edges) + 1,).

    The first count is of those below all edges, the last of those at or above the last;
    NaN is in none.
    """
    sides = np.asarray(edges, np.float64)

    def take(record: memoryview) -> NDArray[np.int64]:
        values = read(record)
        places = np.searchsorted(sides, values[~np.isnan(values)], side="right")
        return np.bincount(places, minlength=len(sides) + 1)

    return partial(Reduce, take, _add)


def count_pairs(read: Callable[[memoryview], Iterable[Any]]) -> Make:
    """Return an action that counts how often each item is there: a Counter.

    Parameters
    ----------
    read
        Returns the items of a record, such as pairs of categories for a table of
        contingency.
    """
    return partial(Reduce, lambda record: Counter(read(record)), _add_counts)


def _add_counts(counts: Sequence[Counter[Any]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for one in counts:
        total.update(one)
    return total


def count_words() -> Reduce:
    """Return an action that counts words, in lower case, between ASCII white space.

    Examples
    --------
    >>> action = count_words()
    >>> action.on_write([memoryview(b"To be or"), memoryview(b"not to be")])
    >>> action.merge([*action.on_read()]).most_common(1)
    [(b'to', 2)]
    """
    return count_pairs(lambda record: bytes(record).lower().split())()


def keep_best(
    read: Callable[[memoryview], tuple[NDArray[np.float64], Sequence[bytes]]],
    k: int,
    *,
    least: bool = False,
) -> Make:
    """Return an action that gives the k rows of greatest value, best first.

    Equal values are in the order of the bytes of rows; NaN is behind all.

    Parameters
    ----------
    read
        Returns the values of a record's rows, and the rows.
    least
        Whether the least are the best.

    Examples
    --------
    >>> rows = np.array([(1, 0.5), (2, 0.9), (3, 0.7)], "i4, f8")
    >>> action = keep_best(partial(read_rows, dtype=rows.dtype, by="f1"), 2)()
    >>> action.on_write([rows[:1], rows[1:]])
    >>> np.frombuffer(b"".join(action.merge([*action.on_read()])), rows.dtype).tolist()
    [(2, 0.9), (3, 0.7)]
    """
    sign = 1.0 if least else -1.0

    def take(record: memoryview) -> list[tuple[float, bytes]]:
        values, rows = read(record)
        keys = sign * values
        keys[np.isnan(keys)] = np.inf
        if len(keys) > k:  # all that may be among them, with ties
            (near,) = np.nonzero(keys <= np.partition(keys, k - 1)[k - 1])
        else:
            near = np.arange(len(keys))
        return sorted((float(keys[n]), bytes(rows[n])) for n in near.tolist())[:k]

    def join(found: Sequence[list[tuple[float, bytes]]]) -> list[tuple[float, bytes]]:
        return sorted(pair for pairs in found for pair in pairs)[:k]

    return partial(Reduce, take, join, _get_rows)


def sort_rows(
    read: Callable[[memoryview], tuple[Sequence[Any], Sequence[bytes]]],
) -> Make:
    """Return an action that gives all rows in the order of their keys, then bytes.

    Parameters
    ----------
    read
        Returns the keys of a record's rows, and the rows.
    """

    def take(record: memoryview) -> list[tuple[Any, bytes]]:
        keys, rows = read(record)
        return sorted(zip(keys, map(bytes, rows), strict=True))

    def join(found: Sequence[list[tuple[Any, bytes]]]) -> list[tuple[Any, bytes]]:
        return sorted(pair for pairs in found for pair in pairs)  # runs are merged

    return partial(Reduce, take, join, _get_rows, RUNS)


def _get_rows(pairs: Sequence[tuple[Any, bytes]]) -> list[bytes]:
    return [row for _, row in pairs]


def read_column(
    record: memoryview, dtype: DTypeLike, column: str
) -> NDArray[np.float64]:
    """Return a column of a record of rows of a structured type, float64."""
    return np.frombuffer(record, dtype)[column].astype(np.float64)


def read_rows(
    record: memoryview, dtype: DTypeLike, by: str
) -> tuple[NDArray[np.float64], list[bytes]]:
    """Return a column of rows of a structured type, float64, and the rows."""
    rows = np.frombuffer(record, dtype)
    return rows[by].astype(np.float64), [row.tobytes() for row in rows]
