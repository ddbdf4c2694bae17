"""A spectrum as a record: its place is the key, its number and peaks are the value.

Value: u32 number of the spectrum, from 0, in the file that is to be; u32 n; n m/z; n
intensities, both of the types that the head names; where the head says so, the total
ion current, float64. Little endian.
"""

import math
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquired.head import Head

FRONT = np.dtype("<u4")
PLACE = re.compile(rb"(-?\d{1,9}),(-?\d{1,9})")
TIC_BYTES = 8


class Point(NamedTuple):
    """A spectrum at its place.

    Parameters
    ----------
    number
        From 0, in the file that is to be.
    x, y
        Of the pixel.
    mz, intensity
        As they are measured, of the types of the head.
    tic
        Total ion current, NaN where it is not told.
    """

    number: int
    x: int
    y: int
    mz: NDArray[Any]
    intensity: NDArray[Any]
    tic: float = math.nan


def pack_point(head: Head, point: Point) -> tuple[bytes, bytes]:
    """Return key and value of the record of a spectrum."""
    parts = [
        np.array([point.number, len(point.mz)], FRONT).tobytes(),
        np.asarray(point.mz, head.mz_dtype).tobytes(),
        np.asarray(point.intensity, head.intensity_dtype).tobytes(),
    ]
    if head.has_tic:
        parts.append(np.float64(point.tic).astype("<f8").tobytes())
    return b"%d,%d" % (point.x, point.y), b"".join(parts)


def unpack_point(head: Head, key: bytes, value: bytes, where: str) -> Point:
    """Return the spectrum of a record, whose arrays are views of its value.

    Parameters
    ----------
    where
        The record, for messages.

    Raises
    ------
    BadInput
        The key is no place, or the value has not as many bytes as its n asks for.
    """
    place = PLACE.fullmatch(key)
    if place is None:
        shown = key[:40].decode(errors="replace")
        raise BadInput(f"{where}: key {shown!r}: expected X,Y of a pixel")
    if len(value) < 2 * FRONT.itemsize:
        raise BadInput(f"{where}: {len(value)} bytes: expected a number and n")
    number, n = np.frombuffer(value, FRONT, 2).tolist()
    types = (head.mz_dtype, head.intensity_dtype)
    first = 2 * FRONT.itemsize
    middle = first + n * types[0].itemsize
    last = middle + n * types[1].itemsize
    expected = last + TIC_BYTES * head.has_tic
    if len(value) != expected:
        raise BadInput(
            f"{where}: {len(value)} bytes of spectrum {number}: expected {expected} "
            f"for n = {n} peaks of {types[0].str} and {types[1].str}"
            + " and a total ion current"
            * head.has_tic
        )
    mz = np.frombuffer(value, types[0], n, first)
    intensity = np.frombuffer(value, types[1], n, middle)
    tic = np.frombuffer(value, "<f8", 1, last)[0] if head.has_tic else math.nan
    return Point(number, int(place[1]), int(place[2]), mz, intensity, float(tic))
