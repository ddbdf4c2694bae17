"""The peaks of a dataset, sorted by m/z, in one copy a node.

Two passes over the spectra: one counts the peaks of each narrow range of m/z, the other
puts every peak in its range; then the ranges are sorted. All ranks of a node do a share
of each. The order among equal m/z is that of the file.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.ion_images import Grid, PeakList
from hpc_connector.learner.annotation.normalisation import NORMS, get_norms
from hpc_connector.learner.annotation.profiles import pick_peaks
from hpc_connector.loader.spectra import _sort_kernels as kernels
from hpc_connector.loader.spectra.ibd import Peaks, get_spectrum_bytes, read_spectra
from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.partitioner import make_distribution
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.shared_memory import get_node, share_array

CHUNK_BYTES = 1 << 24  # read and decoded at once
OCTAVES = 4  # of m/z that a dataset has peaks in
Chunk = tuple[int, int]  # first spectrum, and last + 1
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


class Share(NamedTuple):
    """What one rank of a node reads.

    Parameters
    ----------
    picked
        Which spectra are profiles to centroid; None for none.
    pixel_of
        The pixel of each spectrum, uint32 (spectra,).
    rank, size
        On the node, and of it.
    bits
        How finely m/z are sorted at first.
    """

    imzml: Imzml
    picked: np.ndarray | None
    pixel_of: np.ndarray
    chunks: list[Chunk]
    rank: int
    size: int
    bits: int


class Survey(NamedTuple):
    """What the first pass finds, in memory that the ranks of a node share.

    ``counts``, shape (ranks, buckets), and ``dropped``, shape (ranks, 4), have a row a
    rank; ``norms``, shape (spectra, 3), one a spectrum.
    """

    counts: np.ndarray
    norms: np.ndarray
    dropped: np.ndarray


def make_grid(imzml: Imzml) -> tuple[Grid, np.ndarray]:
    """Return the pixels of a dataset, and the pixel of each spectrum.

    Spectra of one place are one pixel.
    """
    (left, right), (top, bottom) = imzml.box or find_box(imzml)
    x, y = imzml.x - left, imzml.y - top
    width, height = right - left + 1, bottom - top + 1
    place, pixel_of = np.unique(y.astype(np.int64) * width + x, return_inverse=True)
    column, row = (place % width).astype(np.int32), (place // width).astype(np.int32)
    return Grid(column, row, height, width), pixel_of.astype(np.uint32)


def find_box(imzml: Imzml) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the least and greatest x, and y, of the spectra."""
    x, y = imzml.x, imzml.y
    return (int(x.min()), int(x.max())), (int(y.min()), int(y.max()))


def make_chunks(imzml: Imzml, part: int, n_parts: int) -> list[Chunk]:
    """Return first and last + 1 of spectra to read at once, of one share."""
    n_bytes = get_spectrum_bytes(imzml)
    first, last = make_distribution(n_bytes, n_parts)[part : part + 2].tolist()
    piece = np.cumsum(n_bytes[first:last]) // CHUNK_BYTES
    cuts = first + 1 + np.flatnonzero(np.diff(piece))
    ends = [first, *cuts.tolist(), last]
    return [(a, b) for a, b in itertools.pairwise(ends) if a < b]


@contextlib.contextmanager
def load_spectra(
    comm: Communicator, imzml: Imzml, picked: np.ndarray | None = None
) -> Iterator[Spectra]:
    """Read and sort the peaks on all ranks into one copy a node.

    Parameters
    ----------
    picked
        Which spectra are profiles to centroid; None for none.

    Raises
    ------
    BadInput
        A spectrum that cannot be read, or none that has a peak.
    """
    grid, pixel_of = make_grid(imzml)
    share = make_share(comm, imzml, picked, pixel_of)
    with contextlib.ExitStack() as stack:

        def allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            return stack.enter_context(share_array(comm, shape, dtype))

        survey = Survey(
            allocate((share.size, kernels.N_EXPONENTS << share.bits), np.int64),
            allocate((len(pixel_of), len(NORMS)), np.float64),
            allocate((share.size, len(DROPPED)), np.int64),
        )
        with end_together(comm):
            count_peaks(share, survey)
        if not survey.counts.any():
            raise BadInput(f"{imzml.path} has no peak: expected intensities above 0")
        peaks = sort_peaks(comm, share, survey, allocate)
        yield make_spectra(share, survey, grid, peaks)
        comm.Barrier()


def make_share(
    comm: Communicator, imzml: Imzml, picked: np.ndarray | None, pixel_of: np.ndarray
) -> Share:
    """Return the share of this rank."""
    rank, size, _ = get_node(comm)
    bits = get_bits(int(imzml.n_peaks.sum()))
    chunks = make_chunks(imzml, rank, size)
    return Share(imzml, picked, pixel_of, chunks, rank, size, bits)


def sort_peaks(
    comm: Communicator,
    share: Share,
    survey: Survey,
    allocate: Callable[[tuple[int, ...], Any], np.ndarray],
) -> PeakList:
    """Return all peaks in order of m/z, of which each rank of a node sorts a part."""
    total = survey.counts.sum(axis=0)
    start = np.concatenate([[0], np.cumsum(total)])
    mz_type = np.float32 if share.imzml.mz_dtype == np.float32 else np.float64
    types = (mz_type, np.uint32, np.float32)
    peaks = PeakList(*(allocate((start[-1],), dtype) for dtype in types))
    cursor = start[:-1] + survey.counts[: share.rank].sum(axis=0)
    with end_together(comm):
        place_peaks(share, cursor, peaks)
    ends = make_distribution(total, share.size)
    first, last = ends[share.rank : share.rank + 2]
    kernels.sort_buckets(start[first : last + 1], peaks.to_tuple())
    comm.Barrier()
    return peaks


def make_spectra(share: Share, survey: Survey, grid: Grid, peaks: PeakList) -> Spectra:
    """Return a dataset as it is searched, from what both passes found."""
    tic = share.imzml.tic
    is_unusable = find_unusable_tic(tic, survey.norms[:, 0])
    totals = survey.norms[:, 0] if is_unusable.any() else tic
    norms = join_norms(survey.norms, totals, share.pixel_of, len(grid.x))
    facts = describe_peaks(grid, survey, peaks.mz)
    is_given = not np.isnan(tic).all()
    facts["unusable_tic"] = int(is_unusable.sum()) if is_given else 0
    return Spectra(peaks, grid, norms, facts)


def read_peaks(imzml: Imzml, picked: np.ndarray | None, chunk: Chunk) -> Peaks:
    """Read the peaks of some spectra; of profiles, those that are picked."""
    found = read_spectra(imzml, *chunk)
    chosen = None if picked is None else picked[slice(*chunk)]
    if chosen is None or not chosen.any():
        return found
    mz, intensity, n_kept = pick_peaks(*found[:3], chosen)
    return found._replace(mz=mz, intensity=intensity, n_kept=n_kept)


def count_peaks(share: Share, survey: Survey) -> None:
    """Count the peaks of one share of the spectra by m/z, and measure the spectra."""
    counts, dropped = survey.counts[share.rank], survey.dropped[share.rank]
    counts[:] = 0
    dropped[:] = 0
    for first, last in share.chunks:
        found = read_peaks(share.imzml, share.picked, (first, last))
        kernels.count_buckets(found.mz, share.bits, counts)
        survey.norms[first:last] = get_norms(found.intensity, found.n_kept)
        dropped += [getattr(found, name) for name in DROPPED]


def place_peaks(share: Share, cursor: np.ndarray, peaks: PeakList) -> None:
    """Write the peaks of one share of the spectra to their buckets."""
    for first, last in share.chunks:
        mz, intensity, n_kept, *_ = read_peaks(share.imzml, share.picked, (first, last))
        here = share.pixel_of[first:last]
        kernels.place_peaks(
            mz, intensity, n_kept, here, share.bits, cursor, peaks.to_tuple()
        )


def describe_peaks(grid: Grid, survey: Survey, mz: np.ndarray) -> dict[str, Any]:
    """Return the facts of a dataset, for the manifest."""
    n_spectra = len(survey.norms)
    dropped = survey.dropped.sum(axis=0).tolist()
    return {
        "spectra": n_spectra,
        "pixels": len(grid.x),
        "width": grid.width,
        "height": grid.height,
        "peaks": len(mz),
        "mz_range": [float(mz[0]), float(mz[-1])],
        "dropped": dict(zip(DROPPED, dropped, strict=True)),
        "duplicate_spectra": n_spectra - len(grid.x),
        "empty_spectra": int((survey.norms[:, 0] == 0).sum()),
    }


def load_compiler() -> None:
    """Load what the first kernel of a process loads, while there is nothing to do."""
    kernels.is_sorted(np.zeros(1))


def get_bits(n_peaks: int) -> int:
    """Return how finely m/z are sorted at first: about fifty peaks a bucket."""
    return min(max(n_peaks // (50 * OCTAVES), 1).bit_length(), 16)


def find_unusable_tic(tic: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return which spectra with peaks have no total ion current that can be.

    Parameters
    ----------
    tic
        The file's own of each spectrum, NaN where it gives none.
    total
        The sum of the peaks.
    """
    is_usable = (tic > 0) & np.isfinite(tic)
    return np.asarray((total > 0) & ~is_usable)


def join_norms(
    norms: np.ndarray, tic: np.ndarray, pixel_of: np.ndarray, n_pixels: int
) -> dict[str, np.ndarray]:
    """Return the norms of each pixel: totals add up, the others are averaged.

    Parameters
    ----------
    tic
        The total of each spectrum: the file's own, or the sum of its peaks.
    """
    norms = norms.copy()
    norms[:, 0] = np.where((tic > 0) & np.isfinite(tic), tic, 0)
    n_spectra = np.bincount(pixel_of, minlength=n_pixels)
    sums = {
        name: np.bincount(pixel_of, weights=norms[:, k], minlength=n_pixels)
        for k, name in enumerate(NORMS)
    }
    return {n: s if n == "tic" else s / n_spectra for n, s in sums.items()}
