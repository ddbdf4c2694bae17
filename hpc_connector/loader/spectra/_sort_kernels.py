"""Kernels that sort peaks by m/z: into narrow buckets, and then each bucket.

Peaks reach their bucket in the order of the spectra, and sorting a bucket keeps that
order among equals; so the result has one order, whoever did the work.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel

MANTISSA = 52  # bits of an m/z, of which the first tell buckets apart
N_EXPONENTS = 16  # from m/z 1 to 65,536; what is beyond is in the first or last bucket
FEW = 24

Peaks = tuple[NDArray[Any], ...]  # m/z, pixel (uint32) and intensity (float32)
Room = tuple[NDArray[Any], ...]  # the same for some peaks, and twice their order


@bare
def get_bucket(mz: float, bits: int) -> int:
    """Return the bucket of an m/z: its exponent and the first bits of its mantissa."""
    number: Any = np.float64(mz).view(np.int64) >> (MANTISSA - bits)
    return min(max(number - (1023 << bits), 0), (N_EXPONENTS << bits) - 1)


@bare
def count_buckets(
    mz: NDArray[np.floating[Any]], bits: int, counts: NDArray[np.int64]
) -> None:
    """Add peaks to the counts of their buckets."""
    for i in range(len(mz)):
        counts[get_bucket(mz[i], bits)] += 1


@bare
def place_peaks(
    mz: NDArray[np.floating[Any]],
    intensity: NDArray[np.float32],
    n_kept: NDArray[np.int64],
    pixel_of: NDArray[np.integer[Any]],
    bits: int,
    cursor: NDArray[np.int64],
    peaks: Peaks,
) -> None:
    """Write the peaks of some spectra to their buckets, and move these cursors on.

    Parameters
    ----------
    n_kept, pixel_of
        Peaks and pixel of each spectrum.
    cursor
        Where the next peak of each bucket goes in the arrays of `peaks`.
    """
    all_mz, all_pixel, all_intensity = peaks
    i = 0
    for spectrum in range(len(n_kept)):
        for _ in range(n_kept[spectrum]):
            bucket = get_bucket(mz[i], bits)
            at = cursor[bucket]
            cursor[bucket] = at + 1
            all_mz[at] = mz[i]
            all_pixel[at] = pixel_of[spectrum]
            all_intensity[at] = intensity[i]
            i += 1


@kernel
def sort_buckets(start: NDArray[np.int64], peaks: Peaks) -> None:
    """Sort the peaks of each bucket, which ends where the next one begins."""
    room_mz, room_pixel, room_intensity, order, other = make_room(0, peaks)
    for bucket in range(len(start) - 1):
        first, last = start[bucket], start[bucket + 1]
        mz = peaks[0][first:last]
        if is_sorted(mz):
            continue
        if last - first > len(room_mz):
            room = make_room(2 * (last - first), peaks)
            room_mz, room_pixel, room_intensity, order, other = room
        n = last - first
        chosen = argsort(mz, order[:n], other[:n])
        for i in range(n):
            at = first + chosen[i]
            room_mz[i], room_pixel[i] = peaks[0][at], peaks[1][at]
            room_intensity[i] = peaks[2][at]
        for i in range(n):
            peaks[0][first + i], peaks[1][first + i] = room_mz[i], room_pixel[i]
            peaks[2][first + i] = room_intensity[i]


@kernel
def make_room(n: int, peaks: Peaks) -> Room:
    """Return room for n peaks, and for their order twice."""
    mz, pixel = np.empty(n, peaks[0].dtype), np.empty(n, peaks[1].dtype)
    intensity = np.empty(n, peaks[2].dtype)
    return mz, pixel, intensity, np.empty(n, np.int64), np.empty(n, np.int64)


@bare
def is_sorted(mz: NDArray[np.floating[Any]]) -> bool:
    """Return whether no m/z is less than the one before it."""
    for i in range(1, len(mz)):  # noqa: SIM110 -- compiled
        if mz[i] < mz[i - 1]:
            return False
    return True


@kernel
def argsort(
    mz: NDArray[np.floating[Any]], order: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the order of m/z that keeps equals: runs inserted, then merged."""
    n = len(mz)
    for first in range(0, n, FEW):
        for i in range(first, min(first + FEW, n)):
            j = i
            while j > first and mz[order[j - 1]] > mz[i]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = i
    length = FEW
    while length < n:
        for first in range(0, n, 2 * length):
            middle, last = min(first + length, n), min(first + 2 * length, n)
            a, b = first, middle
            for k in range(first, last):
                if a < middle and (b == last or mz[order[a]] <= mz[order[b]]):
                    other[k] = order[a]
                    a += 1
                else:
                    other[k] = order[b]
                    b += 1
        order, other = other, order
        length *= 2
    return order
