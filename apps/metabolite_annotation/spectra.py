"""The peaks of a dataset, sorted by m/z, in one copy a node.

Two passes over the spectra: one counts the peaks of each narrow range of m/z, the other
puts every peak in its range; then the ranges are sorted. All ranks of a node do a share
of each. The order among equal m/z is that of the file.
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.ion_images import Grid, PeakList
from hpc_connector.learner.normalisation import NORMS, get_norms
from hpc_connector.loader.ibd import get_spectrum_bytes, read_spectra
from hpc_connector.loader.imzml import Imzml
from hpc_connector.partitioner import _sort_kernels as kernels
from hpc_connector.partitioner import make_distribution
from hpc_connector.partitioner.communicator import end_together, get_node, share_array

CHUNK_BYTES = 1 << 24  # read and decoded at once
DROPPED = ("n_nan", "n_negative", "n_zero", "n_unsorted")


@dataclass(frozen=True)
class Spectra:
    """A dataset as it is searched: peaks, pixels, and what was seen on the way.

    ``norms`` has a value a pixel for each of ``NORMS``.
    """

    peaks: PeakList
    grid: Grid
    norms: dict[str, np.ndarray]
    facts: dict[str, Any]


def make_grid(imzml: Imzml) -> tuple[Grid, np.ndarray]:
    """Return the pixels of a dataset, and the pixel of each spectrum.

    Spectra of one place are one pixel.
    """
    x, y = imzml.x - imzml.x.min(), imzml.y - imzml.y.min()
    width, height = int(x.max()) + 1, int(y.max()) + 1
    place, pixel_of = np.unique(y.astype(np.int64) * width + x, return_inverse=True)
    column, row = (place % width).astype(np.int32), (place // width).astype(np.int32)
    return Grid(column, row, height, width), pixel_of.astype(np.uint32)


def make_chunks(imzml: Imzml, part: int, n_parts: int) -> list[tuple[int, int]]:
    """Return first and last + 1 of spectra to read at once, of one share."""
    n_bytes = get_spectrum_bytes(imzml)
    first, last = make_distribution(n_bytes, n_parts)[part : part + 2].tolist()
    piece = np.cumsum(n_bytes[first:last]) // CHUNK_BYTES
    cuts = first + 1 + np.flatnonzero(np.diff(piece))
    ends = [first, *cuts.tolist(), last]
    return [(a, b) for a, b in itertools.pairwise(ends) if a < b]


@contextlib.contextmanager
def load_spectra(comm: Any, imzml: Imzml) -> Iterator[Spectra]:
    """Read and sort the peaks on all ranks into one copy a node.

    Raises
    ------
    BadInput
        A spectrum that cannot be read, or none that has a peak.
    """
    grid, pixel_of = make_grid(imzml)
    rank, size, _ = get_node(comm)
    chunks = make_chunks(imzml, rank, size)
    n_spectra = len(pixel_of)
    with contextlib.ExitStack() as stack:

        def share(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            return stack.enter_context(share_array(comm, shape, dtype))

        counts = share((size, kernels.N_BUCKETS), np.int64)
        norms = share((n_spectra, len(NORMS)), np.float64)
        dropped = share((size, len(DROPPED)), np.int64)
        with end_together(comm):
            counts[rank] = 0
            dropped[rank] = 0
            for first, last in chunks:
                found = read_spectra(imzml, first, last)
                kernels.count_buckets(found.mz, counts[rank])
                norms[first:last] = get_norms(found.intensity, found.n_kept)
                dropped[rank] += [getattr(found, name) for name in DROPPED]
        total = counts.sum(axis=0)
        start = np.concatenate([[0], np.cumsum(total)])
        n_peaks = int(start[-1])
        if n_peaks == 0:
            raise BadInput(f"{imzml.path} has no peak: expected intensities above 0")
        mz_type = np.dtype("f4" if imzml.mz_dtype == np.float32 else "f8")
        types = (mz_type, np.dtype(np.uint32), np.dtype(np.float32))
        mz, pixel, intensity = peaks = tuple(share((n_peaks,), t) for t in types)
        cursor = start[:-1] + counts[:rank].sum(axis=0)
        with end_together(comm):
            for first, last in chunks:
                found = read_spectra(imzml, first, last)
                kernels.place_peaks(
                    found.mz.astype(mz_type, copy=False),
                    found.intensity,
                    found.n_kept,
                    pixel_of[first:last],
                    cursor,
                    peaks,
                )
        ends = make_distribution(total, size)
        kernels.sort_buckets(start[ends[rank] : ends[rank + 1] + 1], peaks)
        comm.Barrier()
        facts = {
            "spectra": n_spectra,
            "pixels": len(grid.x),
            "width": grid.width,
            "height": grid.height,
            "peaks": n_peaks,
            "mz_range": [float(mz[0]), float(mz[-1])],
            "dropped": dict(zip(DROPPED, dropped.sum(axis=0).tolist(), strict=True)),
            "duplicate_spectra": n_spectra - len(grid.x),
            "empty_spectra": int((norms[:, 0] == 0).sum()),
        }
        of_pixel = join_norms(imzml, norms, pixel_of, len(grid.x))
        yield Spectra(PeakList(mz, pixel, intensity), grid, of_pixel, facts)
        comm.Barrier()


def join_norms(
    imzml: Imzml, norms: np.ndarray, pixel_of: np.ndarray, n_pixels: int
) -> dict[str, np.ndarray]:
    """Return the norms of each pixel: totals add up, the others are averaged.

    The total is the file's own where it gives one for every spectrum.
    """
    norms = norms.copy()
    if not np.isnan(imzml.tic).any():
        norms[:, 0] = imzml.tic
    n_spectra = np.bincount(pixel_of, minlength=n_pixels)
    sums = {
        name: np.bincount(pixel_of, weights=norms[:, k], minlength=n_pixels)
        for k, name in enumerate(NORMS)
    }
    return {n: s if n == "tic" else s / n_spectra for n, s in sums.items()}
