"""Images as a report embeds them: 16 bits a pixel, packed as text that is read late."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metabolite_annotation.report.run_file import AnnotationRun, SparseImage, read_images

MOST_IONS = 1000
LONGEST = 400  # pixels of an edge
MOST_VALUES = 12_000_000  # of all images
FULL = 65535
LARGEST = 1e38  # intensity: sums of it are numbers


@dataclass(frozen=True)
class ReducedGrid:
    """The cells of a reduced image.

    Parameters
    ----------
    block
        Pixels along an axis that became one cell.
    cell
        The cell of each spectrum, row by row, int64 (pixels,).
    n_spectra
        Spectra in each cell, int64 (width * height,).
    """

    block: int
    width: int
    height: int
    cell: np.ndarray
    n_spectra: np.ndarray


class Packed(NamedTuple):
    """The images of an ion, as text.

    Parameters
    ----------
    tops
        The greatest value of each image, 0 for one without signal.
    text
        In base64, zlib's stream of the images with signal, one after the other: of each
        first the low, then the high bytes of its values, row by row.
    """

    tops: tuple[float, ...]
    text: str


def get_shown_ions(run: AnnotationRun) -> list[int]:
    """Return the best ions, those with a picture."""
    return list(dict.fromkeys(run.rows["image"].tolist()))[:MOST_IONS]


def make_grid(run: AnnotationRun, edge: int = LONGEST) -> ReducedGrid:
    """Return the cells of images whose longest edge is `edge` or less."""
    block = -(-max(run.width, run.height, 1) // edge)
    width, height = -(-run.width // block), -(-run.height // block)
    cell = run.pixels["y"].astype(np.int64) // block * width + run.pixels["x"] // block
    n_spectra = np.bincount(cell, minlength=width * height)
    return ReducedGrid(block, width, height, cell, n_spectra)


def choose_grid(run: AnnotationRun, n_ions: int) -> ReducedGrid:
    """Return the finest grid at which the images of so many ions keep a page small."""
    for edge in range(LONGEST, 40, -20):
        grid = make_grid(run, edge)
        if n_ions * len(grid.n_spectra) <= MOST_VALUES:
            break
    return grid


def reduce_image(grid: ReducedGrid, image: SparseImage) -> np.ndarray:
    """Return the mean over the spectra of each cell, float64 (width * height,)."""
    pixel, intensity = image
    known = np.where(np.isfinite(intensity), np.clip(intensity, 0, LARGEST), 0)
    total = np.bincount(grid.cell[pixel], known, len(grid.n_spectra))
    return total / np.maximum(grid.n_spectra, 1)


def pack_images(grid: ReducedGrid, images: list[SparseImage]) -> Packed:
    """Return the images of an ion as a page embeds them."""
    reduced = [reduce_image(grid, image) for image in images]
    tops = [float(image.max(initial=0.0)) for image in reduced]
    values = [
        np.ceil(FULL / top * image).clip(0, FULL).astype("<u2")
        for image, top in zip(reduced, tops, strict=True)
        if top
    ]
    planes = [v.view(np.uint8).reshape(-1, 2).T.tobytes() for v in values]
    packed = zlib.compress(b"".join(planes), 1)
    return Packed(tuple(tops), base64.b64encode(packed).decode())


def pack_mask(grid: ReducedGrid) -> str:
    """Return where there are spectra: in base64, zlib's stream of a byte a cell."""
    return base64.b64encode(zlib.compress((grid.n_spectra > 0).tobytes(), 1)).decode()


def pack_ions(run: AnnotationRun, grid: ReducedGrid) -> Iterator[tuple[int, Packed]]:
    """Yield the ions with a picture, and their images."""
    ions = get_shown_ions(run)
    for ion, images in zip(ions, read_images(run, ions), strict=True):
        yield ion, pack_images(grid, images)


def pack_total(run: AnnotationRun, grid: ReducedGrid) -> Packed:
    """Return the total ion count."""
    everywhere = np.arange(len(run.pixels["x"]))
    return pack_images(grid, [(everywhere, run.pixels["tic"])])
