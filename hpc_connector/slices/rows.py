"""Slices that are rows of a table of the index, however many.

A slice names ranges of rows. ``read`` gets these rows, which say where in the object
the parts of the slice are.
"""

import numpy as np

from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.slices.index import get_place
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Range

MOST_RANGES = 16  # of rows, in a slice


def make_row_slice(
    co: CloudObject,
    table: str,
    chosen: np.ndarray,
    n_bytes: np.ndarray,
    first_byte: np.ndarray,
    ranges: tuple[Range, ...] = (),
    **facts: object,
) -> DataSlice:
    """Return the slice of some rows of a table.

    Parameters
    ----------
    chosen
        Numbers of the rows, ascending. Where they are scattered ``read`` gets some rows
        between them too, and leaves those out.
    n_bytes
        Bytes of the object that each row of the table stands for.
    first_byte
        Where these begin.
    ranges
        Bytes of the object that come before the rows.
    """
    rows = co.index.arrays[table]
    at = get_place(co.index_bytes, table)
    found = tuple(
        (at + first * rows.itemsize, at + last * rows.itemsize)
        for first, last in cover(chosen)
    )
    facts["n_bytes"] = int(n_bytes[chosen].sum())
    filled = chosen[n_bytes[chosen] > 0]
    if len(filled):
        last_byte = (first_byte + n_bytes)[filled].max()
        facts["around"] = [int(first_byte[filled].min()), int(last_byte)]
    return DataSlice(
        co.format.name,
        co.source,
        co.version,
        ranges,
        facts,
        co.index_source if found else None,
        co.index_version if found else None,
        found,
    )


def cover(chosen: np.ndarray, most: int = MOST_RANGES) -> list[Range]:
    """Return the ranges that hold some ascending numbers, without the largest gaps.

    Examples
    --------
    >>> cover(np.array([0, 1, 5, 7]), most=2)
    [(0, 2), (5, 8)]
    """
    if len(chosen) == 0:
        return []
    gaps = np.diff(chosen)
    widest = np.argsort(-gaps, kind="stable")[: most - 1]
    cuts = np.sort(widest[gaps[widest] > 1])
    firsts = [chosen[0], *chosen[cuts + 1]]
    lasts = [*chosen[cuts], chosen[-1]]
    return [(int(a), int(b) + 1) for a, b in zip(firsts, lasts, strict=True)]


def read_rows(part: DataSlice, pieces: list[bytes], dtype: np.dtype) -> np.ndarray:
    """Return the rows of a slice, from the pieces that ``read`` gets."""
    return np.frombuffer(b"".join(pieces[len(part.ranges) :]), dtype)


def fetch_arrays(
    part: DataSlice, first: np.ndarray, n_bytes: np.ndarray
) -> dict[Range, bytes]:
    """Return stretches of the object, each fetched once."""
    wanted = np.unique(np.stack([first, first + n_bytes], axis=1), axis=0)
    ranges = [(a, b) for a, b in wanted.tolist()]
    pieces = fetch(part.source, part.version, ranges)
    return dict(zip(ranges, pieces, strict=True))


def make_cuts(n: int, num_chunks: int) -> list[int]:
    """Return where each of some chunks of n things begins, and where the last ends.

    Examples
    --------
    >>> make_cuts(10, 4)
    [0, 2, 5, 7, 10]
    """
    return [n * k // num_chunks for k in range(num_chunks + 1)]
