"""Images as a report embeds them: packed as text that is read late.

A pixel has 16 bits in the first isotope image and 8 in the others, which are looked at.
"""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hpc_connector.storer.chunks import deflate_runs
from metabolite_annotation.report.run_file import (
    AnnotationRun,
    IonImages,
    SparseImage,
    read_images,
)

MOST_IONS = 1000  # or as many as are within MOST_VALUES
SHORTEST, LONGEST = 50, 400  # pixels of the longer edge
MOST_VALUES = 12_000_000  # of all images
FULL, FULL_BYTE = 65535, 255  # of the first image, and of others
MOST_ERROR, NO_ERROR = 127, -128  # of errors of m/z in a byte
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
        In base64, zlib's stream of the images with signal, one after the other, row by
        row: of the first the low and then the high bytes of its values, of the others
        a byte a cell. Then, if errors of m/z are known, one byte a cell of the first
        image, see :func:`reduce_errors`.
    digest
        Of the first image as it was measured: the same of two ions, the same image.
    """

    tops: tuple[float, ...]
    text: str
    digest: bytes


class Pictures(NamedTuple):
    """The ions with a picture, best first, and the cells of their images."""

    ions: list[int]
    grid: ReducedGrid


def choose_pictures(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, size: tuple[int, int]
) -> Pictures:
    """Return the best ions, those with a picture; of small images more.

    Parameters
    ----------
    image
        The ion of each annotation, best first.
    x, y
        Of the spectra.
    size
        Width and height of an image, pixels.
    """
    ions = list(dict.fromkeys(image.tolist()))
    n_cells = math.prod(get_shape(*size, get_block(*size, MOST_IONS)))
    shown = ions[: max(MOST_IONS, MOST_VALUES // max(n_cells, 1))]
    return Pictures(shown, make_grid(x, y, size, get_block(*size, len(shown))))


def get_shape(width: int, height: int, block: int) -> tuple[int, int]:
    """Return width and height of an image whose cells are blocks of pixels."""
    return -(-width // block), -(-height // block)


def get_block(width: int, height: int, n_ions: int) -> int:
    """Return the least block of pixels at which images of so many keep a page small."""
    longest = max(width, height, 1)
    least = -(-longest // LONGEST)
    for block in range(least, max(longest // SHORTEST, least) + 1):
        if n_ions * math.prod(get_shape(width, height, block)) <= MOST_VALUES:
            break
    return block


def make_grid(
    x: np.ndarray, y: np.ndarray, size: tuple[int, int], block: int
) -> ReducedGrid:
    """Return the cells of images of a width and height, each a block of pixels."""
    width, height = get_shape(*size, block)
    cell = y.astype(np.int64) // block * width + x // block
    n_spectra = np.bincount(cell, minlength=width * height)
    return ReducedGrid(block, width, height, cell, n_spectra)


def limit_intensity(intensity: np.ndarray) -> np.ndarray:
    """Return intensities whose sums are numbers: 0 for what is none, or is below."""
    return np.where(np.isfinite(intensity), np.clip(intensity, 0, LARGEST), 0)


def reduce_image(grid: ReducedGrid, image: SparseImage) -> np.ndarray:
    """Return the mean over the spectra of each cell, float64 (width * height,)."""
    pixel, intensity = image
    known = limit_intensity(intensity)
    total = np.bincount(grid.cell[pixel], known, len(grid.n_spectra))
    return total / np.maximum(grid.n_spectra, 1)


def reduce_errors(
    grid: ReducedGrid, image: SparseImage, errors: np.ndarray
) -> np.ndarray:
    """Return the mean error of m/z of each cell, weighted by intensity.

    Returns
    -------
    int8 (width * height,): 127 is half the window; ``NO_ERROR`` where there is no peak.
    """
    pixel, intensity = image
    weight = limit_intensity(intensity)
    cell, n = grid.cell[pixel], len(grid.n_spectra)
    total = np.bincount(cell, weight, n)
    mean = np.bincount(cell, weight * errors, n) / np.where(total > 0, total, 1)
    scaled = np.rint(mean * (MOST_ERROR / 1000)).clip(-MOST_ERROR, MOST_ERROR)
    return np.where(total > 0, scaled, NO_ERROR).astype(np.int8)


def pack_text(data: bytes) -> str:
    """Return bytes as text of a page: zlib's stream of them, in base64."""
    return base64.b64encode(deflate_runs(data)).decode()


def pack_images(grid: ReducedGrid, ion: IonImages) -> Packed:
    """Return the images of an ion as a page embeds them."""
    reduced = [reduce_image(grid, image) for image in ion.images]
    tops = [float(image.max(initial=0.0)) for image in reduced]
    planes = []
    for k, (image, top) in enumerate(zip(reduced, tops, strict=True)):
        if top:
            full, dtype = (FULL, "<u2") if k == 0 else (FULL_BYTE, np.uint8)
            values = np.ceil(full / top * image).clip(0, full).astype(dtype)
            planes.append(values.view(np.uint8).reshape(len(values), -1).T.tobytes())
    if ion.errors is not None:
        planes.append(reduce_errors(grid, ion.images[0], ion.errors).tobytes())
    first = b"".join(column.tobytes() for column in ion.images[0])
    digest = hashlib.sha256(first).digest()
    return Packed(tuple(tops), pack_text(b"".join(planes)), digest)


def find_same_images(images: Mapping[int, Packed]) -> dict[int, int]:
    """Return of each ion the first that has the same first image."""
    first: dict[bytes, int] = {}
    return {ion: first.setdefault(one.digest, ion) for ion, one in images.items()}


def pack_mask(grid: ReducedGrid) -> str:
    """Return where there are spectra: in base64, zlib's stream of a byte a cell."""
    return pack_text((grid.n_spectra > 0).tobytes())


def pack_ions(run: AnnotationRun, chosen: Pictures) -> Iterator[tuple[int, Packed]]:
    """Yield the ions with a picture, and their images."""
    ions = chosen.ions
    for ion, found in zip(ions, read_images(run, ions), strict=True):
        yield ion, pack_images(chosen.grid, found)


def pack_total(run: AnnotationRun, grid: ReducedGrid) -> Packed:
    """Return the total ion count."""
    everywhere = np.arange(len(run.pixels["x"]))
    return pack_images(grid, IonImages([(everywhere, run.pixels["tic"])], None))
