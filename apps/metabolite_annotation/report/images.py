"""Ion images as a report embeds them: small, 8 bits, as text of a page."""

import base64
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpc_connector.storer.png import encode_png
from metabolite_annotation.report.run_file import (
    PEAKS,
    AnnotationRun,
    SparseImage,
    read_images,
)

MOST_IONS = 500
LONGEST = 200  # pixels
MOST_PIXELS = 6_000_000  # of all images: noise does not compress, and base64 adds 1/3
HOT = 99  # percentile of the pixels above zero that is shown brightest
LARGEST = 1e38  # intensity: sums of it are numbers
CANDIDATES = 60  # for the composite
FEWEST_PIXELS = 0.05  # share of the spectra that an image of the composite covers


@dataclass(frozen=True)
class ReducedGrid:
    """The cells of a reduced image.

    Parameters
    ----------
    cell
        The cell of each spectrum, row by row, int64 (pixels,).
    n_spectra
        Spectra in each cell, int64 (width * height,).
    """

    width: int
    height: int
    cell: np.ndarray
    n_spectra: np.ndarray


@dataclass(frozen=True)
class Picture:
    """An image to show.

    Parameters
    ----------
    grey
        uint8 (height, width): 0 without a spectrum, 1 for zero, 255 for `top` or more.
    top
        The intensity at which the display is clipped.
    """

    grey: np.ndarray
    top: float


def make_pictures(run: AnnotationRun) -> tuple[dict[int, list[Picture]], Picture]:
    """Return the pictures of the best ions by ion, and that of the total ion count."""
    ions = get_shown_ions(run)
    first, other = choose_edges(run.width, run.height, len(ions))
    grids = [make_grid(run, first)] + [make_grid(run, other)] * (PEAKS - 1)
    pictures = {}
    for ion, images in zip(ions, read_images(run, ions), strict=True):
        pairs = zip(grids, images, strict=True)
        pictures[ion] = [make_picture(grid, image) for grid, image in pairs]
    everywhere = np.arange(len(run.pixels["x"]))
    total = make_picture(make_grid(run, LONGEST), (everywhere, run.pixels["tic"]))
    return pictures, total


def get_shown_ions(run: AnnotationRun) -> list[int]:
    """Return the best ions, those with a picture."""
    return list(dict.fromkeys(run.rows["image"].tolist()))[:MOST_IONS]


def choose_edges(width: int, height: int, n_ions: int) -> tuple[int, int]:
    """Return the longest edges at which the images of all ions keep the page small.

    One is of the first isotope; the other three may get half of it.
    """
    halved = [(edge, edge // 2) for edge in range(LONGEST, 40, -10)]
    for first, other in [(LONGEST, LONGEST), *halved]:
        cells = [_count_cells(width, height, edge) for edge in (first, other)]
        if n_ions * (cells[0] + (PEAKS - 1) * cells[1]) <= MOST_PIXELS:
            break
    return first, other


def _count_cells(width: int, height: int, edge: int) -> int:
    block = get_block(width, height, edge)
    return -(-width // block) * -(-height // block)


def get_block(width: int, height: int, edge: int) -> int:
    """Return the number of pixels along an axis that become one."""
    return -(-max(width, height) // edge)


def make_grid(run: AnnotationRun, edge: int) -> ReducedGrid:
    """Return the cells of images whose longest edge is `edge` or less."""
    block = get_block(run.width, run.height, edge)
    width, height = -(-run.width // block), -(-run.height // block)
    cell = run.pixels["y"].astype(np.int64) // block * width + run.pixels["x"] // block
    return ReducedGrid(width, height, cell, np.bincount(cell, minlength=width * height))


def make_picture(grid: ReducedGrid, image: SparseImage) -> Picture:
    """Return the mean over the spectra of each cell, clipped at its hottest."""
    pixel, intensity = image
    known = np.where(np.isfinite(intensity), np.clip(intensity, 0, LARGEST), 0)
    total = np.bincount(grid.cell[pixel], known, len(grid.n_spectra))
    mean = total / np.maximum(grid.n_spectra, 1)
    bright = mean[mean > 0]
    top = float(np.percentile(bright, HOT)) if len(bright) else 0.0
    grey = 1 + np.ceil(254 * np.clip(mean / (top or 1.0), 0, 1))
    grey[grid.n_spectra == 0] = 0
    return Picture(grey.astype(np.uint8).reshape(grid.height, grid.width), top)


def encode_picture(picture: Picture) -> str:
    """Return a picture as the address of itself."""
    png = encode_png(picture.grey[:, :, None])
    return "data:image/png;base64," + base64.b64encode(png).decode()


def choose_composite(pictures: dict[int, list[Picture]], n_pixels: int) -> list[int]:
    """Return three of the best ions whose images have least in common.

    That is, of all triples the one whose most alike two are least correlated.
    """
    best = list(pictures)[:CANDIDATES]
    covered = [(pictures[ion][0].grey > 1).sum() for ion in best]
    wide = np.array(covered) >= FEWEST_PIXELS * np.array(
        [(pictures[ion][0].grey > 0).sum() for ion in best]
    )
    good = [ion for ion, is_wide in zip(best, wide, strict=True) if is_wide]
    if len(good) < 3 or n_pixels < 3:
        return best[:3]
    greys = np.array([pictures[ion][0].grey.ravel() for ion in good], np.float64)
    inside = greys[:, greys[0] > 0]
    centred = inside - inside.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1)
    alike = unit @ unit.T
    a, b, c = np.array(list(combinations(range(len(good)), 3))).T
    worst = np.maximum(np.maximum(alike[a, b], alike[a, c]), alike[b, c])
    k = int(worst.round(9).argmin())
    return [good[a[k]], good[b[k]], good[c[k]]]
