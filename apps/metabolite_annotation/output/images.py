"""Ion images as files: 16-bit PNG of every isotope peak of an annotation."""

import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from hpc_connector.learner.annotation.ion_images import Grid, ImageSet
from hpc_connector.publish import publish
from hpc_connector.storer.png import encode_blocks

BLOCK_PIXELS = 1 << 20
FULL = np.uint16(65535)
Named = tuple[str, str]  # formula and adduct, by which images are called


def draw_ion(
    names: Sequence[Named], grid: Grid, images: ImageSet, ion: int
) -> Iterator[tuple[list[str], Iterator[bytes]]]:
    """Yield the isotope images of an ion, those with a signal.

    Each with the names of its files, as many as the ion has names, and the file itself
    in parts: a PNG of 16-bit grey with alpha. The least value of the box is black and
    the greatest is white; places without a spectrum are transparent.
    """
    n_images = images.total.shape[1]
    for k in range(n_images if names else 0):
        here = slice(*images.start[n_images * ion + k :][:2])
        if here.start < here.stop:
            blocks = draw_blocks(grid, images.pixel[here], images.intensity[here])
            parts = encode_blocks(blocks, grid.height, grid.width, 2, 16)
            yield [get_image_name(*name, k) for name in names], parts


def save_ion(
    folder: Path, names: Sequence[Named], grid: Grid, images: ImageSet, ion: int
) -> None:
    """Write the images of an ion to a folder, which the caller publishes."""
    for (first, *others), parts in draw_ion(names, grid, images, ion):
        with open(folder / first, "wb") as stream:
            for part in parts:
                stream.write(part)
        for other in others:
            shutil.copyfile(folder / first, folder / other)


def archive_ion(
    archive: ZipFile, names: Sequence[Named], grid: Grid, images: ImageSet, ion: int
) -> None:
    """Put the images of an ion into an archive, by the same names."""
    for files, parts in draw_ion(names, grid, images, ion):
        png = b"".join(parts)
        for file in files:
            archive.writestr(ZipInfo(file), png)


def publish_archive(path: Path, packed: Iterable[bytes]) -> None:
    """Publish the images of archives as one; images are packed as they are."""
    with publish(path) as stream, ZipFile(stream, "w") as archive:
        for part in packed:
            with ZipFile(io.BytesIO(part)) as images:
                for file in images.namelist():
                    archive.writestr(ZipInfo(file), images.read(file))


def get_image_name(formula: str, adduct: str, k: int) -> str:
    """Return the file name of an ion image; k counts isotope peaks from 0.

    Examples
    --------
    >>> get_image_name("C6H12O6", "+Na", 0)
    'C6H12O6_+Na_1.png'
    """
    return f"{formula}_{adduct}_{k + 1}.png"


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
