"""Ion images as files: 16-bit PNG of every isotope peak of an annotation."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpc_connector.learner.annotation.ion_images import Grid, ImageSet
from hpc_connector.storer.png import encode_blocks

BLOCK_PIXELS = 1 << 20
FULL = np.uint16(65535)
Named = tuple[str, str]  # formula and adduct, by which images are called


def save_ion(
    folder: Path, names: Sequence[Named], grid: Grid, images: ImageSet, ion: int
) -> None:
    """Write the isotope images of an ion, those with a signal, under all its names."""
    n_images = images.total.shape[1]
    for k in range(n_images if names else 0):
        here = slice(*images.start[n_images * ion + k :][:2])
        if here.start < here.stop:
            first, *others = [folder / get_image_name(*name, k) for name in names]
            save_png(first, grid, images.pixel[here], images.intensity[here])
            for other in others:
                shutil.copyfile(first, other)


def get_image_name(formula: str, adduct: str, k: int) -> str:
    """Return the file name of an ion image; k counts isotope peaks from 0.

    Examples
    --------
    >>> get_image_name("C6H12O6", "+Na", 0)
    'C6H12O6_+Na_1.png'
    """
    return f"{formula}_{adduct}_{k + 1}.png"


def save_png(path: Path, grid: Grid, pixel: np.ndarray, value: np.ndarray) -> None:
    """Write an ion image as 16-bit grey with alpha; the caller publishes its folder.

    The least value of the box is black and the greatest is white; places without a
    spectrum are transparent.
    """
    blocks = draw_blocks(grid, pixel, value)
    with open(path, "wb") as stream:
        for part in encode_blocks(blocks, grid.height, grid.width, 2, 16):
            stream.write(part)


def draw_blocks(
    grid: Grid, pixel: np.ndarray, value: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield blocks of rows of an image, big-endian uint16 (rows, width, 2)."""
    grey = scale(grid, pixel, value)
    n_rows = max(1, BLOCK_PIXELS // grid.width)
    for top in range(0, grid.height, n_rows):
        rows = min(n_rows, grid.height - top)
        first, last = np.searchsorted(grid.y, [top, top + rows])
        place = (grid.y[first:last] - top) * grid.width + grid.x[first:last]
        block = np.zeros(rows * grid.width, ">u4")  # one value is faster than a pair
        block[place] = grey[first:last].astype(np.uint32) << 16 | FULL
        yield block.view(">u2").reshape(rows, grid.width, 2)


def scale(grid: Grid, pixel: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the grey of each pixel with a spectrum, uint16 (pixels,)."""
    is_full = len(pixel) == grid.height * grid.width
    least = value.min() if is_full else np.float32(0.0)
    span = value.max(initial=0.0) - least
    grey = np.zeros(len(grid.x), np.uint16)
    if span > 0:  # in single precision, as the engine
        grey[pixel] = (value - least) / span * FULL.astype(np.float32)
    return grey
