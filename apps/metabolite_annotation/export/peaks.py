"""The isotope peaks of annotations alone, as an imzML dataset.

Each ion image is a peak in the spectra of its pixels, at the mean m/z that was measured
for it, with its intensities.
"""

import hashlib
import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabolite_annotation.export.found import Found
from metabolite_annotation.output.imzml import Point, save_imzml

MOST_VALUES = 1 << 23  # of images, in memory at once
MOMENTS = ("mz_mean", "mz_std", "total_intensity")
SPACE = uuid.UUID("5d1f8e0c-2b7a-5c39-8f64-93ab7c1e20d4")  # of names of exports


class Values(NamedTuple):
    """Values of images: row of the pixels, row of the images, and intensity."""

    pixel: np.ndarray
    image: np.ndarray
    intensity: np.ndarray


def save_peaks(path: Path, found: Found) -> None:
    """Write the .imzML and the .ibd file, spectra of pixels row by row.

    A pixel without any of the peaks has one of intensity 0, for the writer takes no
    empty spectrum, and the box of pixels shall be that of the dataset.
    """
    save_imzml(
        path,
        found.attributes["polarity"],
        make_number(found),
        list_spectra(found),
        found.record["dataset"].get("scan"),
        found.pixel_size,
    )


def make_number(found: Found) -> uuid.UUID:
    """Return the UUID of an export, by all that decides its content."""
    digest = hashlib.sha256(repr((found.attributes, found.norm)).encode())
    for name in ("indptr", "mz_mean", "total_intensity"):
        digest.update(found.read(f"images/{name}").tobytes())
    return uuid.uuid5(SPACE, digest.hexdigest())


def list_spectra(found: Found, most: int = MOST_VALUES) -> Iterator[Point]:
    """Yield the spectra of all pixels, in their order.

    Images are stored one after the other, and spectra wanted: so all are read once for
    every `most` values that there are.
    """
    mz, n_pixels = found.read("images/mz_mean").ravel(), len(found.pixels["x"])
    least = np.min(mz, initial=np.inf, where=mz > 0)
    lowest = float(least) if np.isfinite(least) else 1.0
    n_blocks = max(1, -(-len(found.file["images/pixel"]) // most))
    edges = np.linspace(0, n_pixels, n_blocks + 1).astype(np.int64)
    for first, last in itertools.pairwise(edges.tolist()):
        values = read_block(found, first, last, most)
        yield from cut_block(
            found, values, mz[values.image], range(first, last), lowest
        )


def cut_block(
    found: Found, values: Values, mz: np.ndarray, pixels: range, lowest: float
) -> Iterator[Point]:
    """Yield the spectra of some pixels.

    Parameters
    ----------
    values, mz
        Of all images there, in any order.
    lowest
        The m/z of a point of intensity 0, where a pixel has no value.
    """
    nothing = np.array([lowest]), np.zeros(1, np.float32)
    order = np.lexsort((mz, values.pixel))
    pixel, mz = values.pixel[order], mz[order]
    intensity = found.normalise(pixel, values.intensity[order])
    ends = np.searchsorted(pixel, np.arange(pixels.start, pixels.stop + 1)).tolist()
    x, y = (found.pixels[axis][pixels.start : pixels.stop].tolist() for axis in "xy")
    for k, (begin, end) in enumerate(itertools.pairwise(ends)):
        peaks = (mz[begin:end], intensity[begin:end]) if end > begin else nothing
        yield Point(x[k] + 1, y[k] + 1, *peaks)


def read_block(found: Found, first: int, last: int, most: int) -> Values:
    """Return the values of all images at the pixels from one to another."""
    n_values, start = len(found.file["images/pixel"]), choose_images(found)
    parts = []
    for begin in range(0, max(n_values, 1), most):
        pixel = found.read("images/pixel", slice(begin, begin + most))
        is_here = (pixel >= first) & (pixel < last)
        where = begin + np.flatnonzero(is_here)
        image = np.searchsorted(start[:, 0], where, side="right") - 1
        is_kept = where < start[image, 1]
        intensity = found.read("images/intensity", slice(begin, begin + most))[is_here]
        parts.append((pixel[is_here][is_kept], image[is_kept], intensity[is_kept]))
    return Values(*map(np.concatenate, zip(*parts, strict=True)))


def choose_images(found: Found) -> np.ndarray:
    """Return where the values of each image begin and end, int64 (images, 2).

    Images that are one under two formulas, their peaks being the same, count once: the
    others are empty.
    """
    start = found.read("images/indptr")
    moments = [found.read(f"images/{name}").ravel() for name in MOMENTS]
    known = np.stack([np.diff(start), *moments], axis=1)
    _, once = np.unique(known, axis=0, return_index=True)
    ends = start[:-1].copy()
    ends[once] = start[1:][once]
    return np.stack([start[:-1], ends], axis=1)
