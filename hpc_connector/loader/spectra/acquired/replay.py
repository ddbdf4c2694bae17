"""A file of imzML as the instrument would have sent it: its head, then its spectra."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.loader.spectra.acquired.head import (
    Ends,
    FileFacts,
    Head,
    describe_file,
)
from hpc_connector.loader.spectra.acquired.points import Point
from hpc_connector.loader.spectra.ibd import read_ranges, unpack
from hpc_connector.loader.spectra.imzml import Imzml

PIECE_BYTES = 1 << 24  # read at once


def make_head(imzml: Imzml, name: str) -> Head:
    """Return the head of a dataset, with all that its file says.

    Parameters
    ----------
    name
        Of the dataset.
    """
    places = np.stack([imzml.x, imzml.y], axis=1)
    said = imzml.acquisition
    facts = FileFacts(
        said,
        list_ranges(imzml.is_profile),
        imzml.pixel_size_um,
        imzml.scan_order,
        imzml.assumed,
        imzml.counted,
    )
    named = [one.what for tier in said.instruments for one in tier]
    return Head(
        name=name,
        uuid=imzml.uuid,
        mode=imzml.mode,
        mz_dtype=imzml.mz_dtype,
        intensity_dtype=imzml.intensity_dtype,
        polarity=said.polarity,
        analyzer=named[0] if named else "",
        n_spectra=len(imzml.x),
        n_pixels=len(np.unique(places, axis=0)),
        x=(int(imzml.x.min()), int(imzml.x.max())),
        y=(int(imzml.y.min()), int(imzml.y.max())),
        has_tic=not np.isnan(imzml.tic).all(),
        file=describe_file(facts),
    )


def list_ranges(chosen: NDArray[np.bool_]) -> tuple[Ends, ...]:
    """Return first and last + 1 of each row of spectra that are chosen.

    Examples
    --------
    >>> list_ranges(np.array([True, True, False, True]))
    ((0, 2), (3, 4))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return tuple((a, b) for a, b in edges.reshape(-1, 2).tolist())


def read_points(imzml: Imzml, first: int = 0) -> Iterator[Point]:
    """Yield the spectra of a dataset from a number on, whole: no peak is left out.

    Raises
    ------
    BadInput
        The .ibd file ends before, or a compressed array is damaged.
    """
    n_bytes = imzml.mz_bytes + imzml.intensity_bytes
    piece = np.cumsum(n_bytes[first:]) // PIECE_BYTES
    cuts = first + 1 + np.flatnonzero(np.diff(piece))
    ends = [first, *cuts.tolist(), len(n_bytes)]
    for begin, end in itertools.pairwise(ends):
        mz = _read_arrays(imzml, begin, end, of_mz=True)
        intensity = _read_arrays(imzml, begin, end, of_mz=False)
        for k in range(end - begin):
            n = begin + k
            x, y, tic = int(imzml.x[n]), int(imzml.y[n]), float(imzml.tic[n])
            yield Point(n, x, y, mz[k], intensity[k], tic)


def _read_arrays(
    imzml: Imzml, begin: int, end: int, *, of_mz: bool
) -> list[NDArray[Any]]:
    """Return the m/z, or the intensities, of some spectra as they are stored."""
    offset, n_bytes, dtype, is_zlib = (
        (imzml.mz_offset, imzml.mz_bytes, imzml.mz_dtype, imzml.mz_is_zlib)
        if of_mz
        else (
            imzml.intensity_offset,
            imzml.intensity_bytes,
            imzml.intensity_dtype,
            imzml.intensity_is_zlib,
        )
    )
    offset, n_bytes = offset[begin:end], n_bytes[begin:end]
    n_peaks = imzml.n_peaks[begin:end]
    if end == begin:
        return []
    data, place = read_ranges(imzml.ibd_path, offset, n_bytes)
    if is_zlib:
        expected = n_peaks * dtype.itemsize
        data = unpack(imzml, begin, data, place, n_bytes, expected)
        place = np.cumsum(expected) - expected
    sizes = (n_peaks * dtype.itemsize).tolist()
    return [
        data[at : at + size].view(dtype) if size else np.zeros(0, dtype)
        for at, size in zip(place.tolist(), sizes, strict=True)
    ]
