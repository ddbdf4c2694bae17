"""Actions that keep some of each record: what they give is in the order of ranks.

So it is what one rank gives, if ranks have shares one after the other.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpc_connector.actions.host import Context, Records
from hpc_connector.actions.scratch import ScratchFile

FRAME = struct.Struct("<IQ")  # rank, bytes
Make = Callable[[], "Keep"]


class Keep:
    """An action: it keeps part of each record, in files of the node.

    Parameters
    ----------
    take
        Returns what is kept of a record.
    pack, unpack
        For what travels.
    """

    def __init__(
        self,
        take: Callable[[memoryview], Any],
        pack: Callable[[bytes], bytes] = bytes,
        unpack: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._take, self._pack, self._unpack = take, pack, unpack
        self._files: dict[int, ScratchFile] = {}

    def on_create(self, context: Context) -> None:
        """Have room."""
        self._context = context

    def on_write(self, records: Records) -> None:
        """Keep part of records."""
        for record in records:
            if records.rank not in self._files:
                self._files[records.rank] = self._context.open()
            self._files[records.rank].write(self._take(record))

    def on_read(self) -> Iterator[bytes]:
        """Yield what is kept of each rank."""
        for rank, file in sorted(self._files.items()):
            data = self._pack(file.read())
            yield FRAME.pack(rank, len(data)) + data

    def merge(self, results: Sequence[bytes]) -> bytes:
        """Return what all nodes have kept, in the order of ranks."""
        frames = sorted(frame for result in results for frame in cut_frames(result))
        return b"".join(self._unpack(data) for _, data in frames)


def cut_frames(result: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the ranks of a result, and what is kept of each."""
    at = 0
    while at < len(result):
        rank, n_bytes = FRAME.unpack_from(result, at)
        at += FRAME.size + n_bytes
        yield rank, result[at - n_bytes : at]


def filter_rows(dtype: DTypeLike, predicate: Callable[[Any], Any]) -> Make:
    """Return an action that keeps rows of a structured type.

    Parameters
    ----------
    predicate
        Returns of rows which are kept, bool.
    """

    def take(record: memoryview) -> bytes:
        rows = np.frombuffer(record, dtype)
        kept: bytes = rows[predicate(rows)].tobytes()
        return kept

    return partial(Keep, take)


def filter_lines(predicate: Callable[[bytes], bool]) -> Make:
    r"""Return an action that keeps lines.

    Parameters
    ----------
    predicate
        Returns whether a line, with its end, is kept.

    Examples
    --------
    >>> from hpc_connector.actions import near_data
    >>> from hpc_connector.partitioner import get_mpicomm
    >>> with near_data(get_mpicomm(serial=True)) as area:
    ...     long = area.create("long", filter_lines(lambda line: len(line) > 3))
    ...     long.write([b"to\nbecome\n", b"or\n"])
    ...     area.reduce("long")
    b'become\n'
    """

    def take(record: memoryview) -> bytes:
        return b"".join(line for line in split_lines(record) if predicate(line))

    return partial(Keep, take)


def project_rows(
    dtype: DTypeLike,
    columns: Sequence[str] | None = None,
    individuals: Sequence[int] | NDArray[np.int64] | None = None,
) -> Make:
    """Return an action that keeps columns of rows, and of some individuals.

    Parameters
    ----------
    columns
        In their order; all if None.
    individuals
        Places in columns that have a value for each individual; all if None.
    """
    given = np.dtype(dtype)
    names = list(columns if columns is not None else given.names or ())
    chosen = None if individuals is None else np.asarray(individuals)
    kept = np.dtype([(n, *_get_type(given[n], chosen)) for n in names])

    def take(record: memoryview) -> bytes:
        rows = np.frombuffer(record, given)
        some = np.empty(len(rows), kept)
        for name in names:
            is_whole = chosen is None or not given[name].shape
            some[name] = rows[name] if is_whole else rows[name][:, chosen]
        return some.tobytes()

    return partial(Keep, take)


def _get_type(
    dtype: np.dtype[Any], chosen: NDArray[np.int64] | None
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return type and shape of a column of some individuals."""
    if chosen is None or not dtype.shape:
        return dtype.base, dtype.shape
    return dtype.base, (len(chosen), *dtype.shape[1:])


def sample_rows(dtype: DTypeLike, p: float, seed: int) -> Make:
    """Return an action that keeps rows with a probability; see :func:`is_sampled`."""

    def take(record: memoryview) -> bytes:
        rows = [row.tobytes() for row in np.frombuffer(record, dtype)]
        return b"".join(row for row in rows if is_sampled(row, p, seed))

    return partial(Keep, take)


def sample_lines(p: float, seed: int) -> Make:
    """Return an action that keeps lines with a probability; see :func:`is_sampled`."""
    return filter_lines(lambda line: is_sampled(line, p, seed))


def is_sampled(row: bytes, p: float, seed: int) -> bool:
    """Return whether a row is in the sample of a seed: by its bytes, not by its place.

    So who writes it makes no difference, and equal rows are all in it, or none is.
    """
    key = seed.to_bytes(16, "little", signed=True)
    digest = hashlib.blake2b(row, digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little") < p * 2**64


def compress(level: int = 6) -> Make:
    """Return an action that keeps records as they are, and packs what travels."""
    return partial(Keep, bytes, partial(zlib.compress, level=level), zlib.decompress)


def split_lines(record: memoryview) -> list[bytes]:
    """Return the lines of a record, with their ends."""
    return bytes(record).splitlines(keepends=True)
