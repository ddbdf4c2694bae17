"""Numbers too many for memory: in order in a file without a name, and their ranks."""

import io
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

IN_MEMORY = 1 << 21  # bytes; more are in a file
PIECE = 1 << 16  # numbers that are looked at together
DIGITS = (48, 32, 16, 0)  # places of the digits of 16 bits of a number


class Spool:
    """Arrays of one type, one behind the other.

    Parameters
    ----------
    folder
        Where a file is made if one is needed: what lies in ``/tmp`` is memory at times.
    """

    def __init__(self, kind: np.dtype | str = "f8", folder: Path | None = None) -> None:
        """Begin empty."""
        self.kind, self.folder = np.dtype(kind), folder
        self.file: BinaryIO = io.BytesIO()
        self.n = 0

    def add(self, values: np.ndarray) -> None:
        """Put values behind those that are there."""
        if not len(values):
            return
        end = self.n * self.kind.itemsize
        if end > IN_MEMORY and isinstance(self.file, io.BytesIO):
            kept, self.file = self.file, tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
            self.file.write(kept.getbuffer())
        self.file.seek(end)
        self.file.write(np.ascontiguousarray(values, self.kind).tobytes())
        self.n += len(values)

    def read(self) -> Iterator[np.ndarray]:
        """Yield all values, in pieces."""
        self.file.seek(0)
        left = self.n
        while left:
            n = min(left, PIECE)
            yield np.frombuffer(self.file.read(n * self.kind.itemsize), self.kind)
            left -= n

    def clear(self) -> None:
        """Begin again."""
        self.n = 0

    def close(self) -> None:
        """Give the file back."""
        self.file.close()


def get_ranked(spool: Spool, k: int) -> float:
    """Return the k-th smallest of the numbers of a spool, k from 0.

    Its bits are found from the highest on, by how many numbers begin so.
    """
    if spool.n <= PIECE:
        return float(np.partition(next(spool.read()), k)[k])
    begin = 0
    for shift in DIGITS:
        counts = np.zeros(1 << 16, np.int64)
        for values in spool.read():
            keys = get_keys(values)
            if shift != DIGITS[0]:
                keys = keys[keys >> np.uint64(shift + 16) == begin]
            digits = (keys >> np.uint64(shift)) & np.uint64(0xFFFF)
            counts += np.bincount(digits.astype(np.int64), minlength=1 << 16)
        ends = np.cumsum(counts)
        digit = int(np.searchsorted(ends, k, "right"))
        k -= int(ends[digit] - counts[digit])
        begin = begin << 16 | digit
    bits = begin ^ (1 << 63) if begin >> 63 else begin ^ ((1 << 64) - 1)
    return float(np.array(bits, np.uint64).view(np.float64))


def get_keys(values: np.ndarray) -> np.ndarray:
    """Return whole numbers without sign in the order of the numbers."""
    bits = (values + 0.0).view(np.uint64)  # one zero
    top = np.uint64(1 << 63)
    return np.where(bits & top, ~bits, bits | top)


def get_median(spool: Spool) -> float:
    """Return the median of the numbers of a spool, 0 without any."""
    if not spool.n:
        return 0.0
    return (get_ranked(spool, (spool.n - 1) // 2) + get_ranked(spool, spool.n // 2)) / 2


def get_quantile(spool: Spool, share: float) -> float:
    """Return a quantile of the numbers of a spool, as ``np.quantile`` does."""
    place = share * (spool.n - 1)
    k = math.floor(place)
    pair = [get_ranked(spool, j) for j in (k, min(k + 1, spool.n - 1))]
    return float(np.quantile(pair, place - k))
