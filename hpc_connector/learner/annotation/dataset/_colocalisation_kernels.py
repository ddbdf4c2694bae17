"""Kernels of colocalisation: thresholds of images, prepared strips, nearest ions.

An image is the box of pixels, 0 where there is no spectrum. Its values become whole
numbers, so that sums of their products are exact in any order.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.annotation._image_kernels import (
    Peaks,
    Places,
    find_first,
    find_windows,
)
from hpc_connector.learner.annotation.normalisation import select

HOTSPOT, MEDIAN = 0.99, 0.5  # quantiles of the box


@kernel
def get_quantile(
    values: NDArray[np.float32], n_places: int, fraction: float, most: float
) -> float:
    """Return a quantile of an image, interpolated as NumPy does.

    Parameters
    ----------
    values
        Those above 0, of `n_places`; they come into another order.
    most
        What greater values are cut to.
    """
    at = fraction * (n_places - 1)
    low = math.floor(at)
    rest, k = at - low, low - (n_places - len(values))
    below, above = 0.0, 0.0
    if k >= 0:
        below = above = np.float64(select(values, len(values), k))
    if k >= -1 and k + 1 < len(values):
        above = np.float64(values[k + 1])
        for i in range(k + 2, len(values)):
            above = min(above, np.float64(values[i]))
    below, above = min(below, most), min(above, most)
    step = above - below
    return below + step * rest if rest < 0.5 else above - step * (1.0 - rest)


@kernel
def fill_limits(
    peaks: Peaks,
    mz: NDArray[np.float64],
    ppm: float,
    n_pixels: int,
    n_places: int,
    limits: NDArray[np.float64],
) -> None:
    """Fill the value that hot spots are cut to, and the median after it, of images.

    Parameters
    ----------
    mz
        Of an image each, shape (ions,).
    n_pixels, n_places
        Pixels with a spectrum, and those of the box.
    limits
        Shape (ions, 2); the first is 0 for an empty image alone.
    """
    peak_mz, pixels, intensities = peaks
    dense, seen = np.zeros(n_pixels, np.float32), np.empty(n_pixels, np.int64)
    values, window = np.empty(n_pixels, np.float32), np.zeros((1, 2), np.int64)
    for i in range(len(mz)):
        find_windows(peak_mz, mz[i : i + 1], ppm, window)
        n = 0
        for j in range(window[0, 0], window[0, 1]):
            if dense[pixels[j]] == 0.0:
                seen[n] = pixels[j]
                n += 1
            dense[pixels[j]] += intensities[j]
        for k in range(n):
            values[k] = dense[seen[k]]
            dense[seen[k]] = 0.0
        hot = get_quantile(values[:n], n_places, HOTSPOT, np.inf)
        if hot == 0.0 and n:
            for k in range(n):
                hot = max(hot, np.float64(values[k]))
        limits[i, 0] = hot
        limits[i, 1] = get_quantile(values[:n], n_places, MEDIAN, hot)


@inlined
def get_middle(a: int, b: int, c: int) -> int:
    """Return the second of three numbers by size."""
    return max(min(a, b), min(max(a, b), c))


@bare
def draw_strip(
    peaks: Peaks,
    grid: Places,
    window: NDArray[np.int64],
    first_row: int,
    dense: NDArray[np.float32],
) -> int:
    """Add the peaks of a window to some rows of the box; return how many there are."""
    _, pixels, intensities = peaks
    pixel_x, pixel_y, _, _ = grid
    first = find_first(pixel_y, first_row, 0, False)
    last = find_first(pixel_y, first_row + len(dense), first, False)
    n = 0
    for j in range(window[0], window[1]):
        pixel = pixels[j]
        if first <= pixel < last:
            dense[pixel_y[pixel] - first_row, pixel_x[pixel]] += intensities[j]
            n += 1
    return n


@bare
def cut_values(
    dense: NDArray[np.float32],
    hot: float,
    median: float,
    full: int,
    levels: NDArray[np.uint16],
) -> None:
    """Turn values of rows into whole numbers up to `full`; those below the median to 0.

    Rows and columns at the edge are there twice, `levels` being wider by two: so does
    a filter mirror an image.
    """
    scale = full / hot
    n_rows, width = dense.shape
    for y in range(n_rows):
        for x in range(width):
            value = np.float64(dense[y, x])
            level = np.int32(min(value, hot) * scale + 0.5)
            levels[y, x + 1] = level if value >= median else 0
        levels[y, 0], levels[y, width + 1] = levels[y, 1], levels[y, width]


@bare
def filter_row(
    above: NDArray[np.uint16],
    here: NDArray[np.uint16],
    below: NDArray[np.uint16],
    columns: NDArray[np.uint16],
    out: NDArray[np.float64],
) -> None:
    """Fill the median of the 3 x 3 values about each of a row.

    It is that of the greatest of the least of columns, the middle of their middles and
    the least of their greatest.
    """
    least, middle, most = columns[0], columns[1], columns[2]
    for x in range(len(here)):
        a, b, c = above[x], here[x], below[x]
        least[x] = min(min(a, b), c)
        middle[x] = get_middle(a, b, c)
        most[x] = max(max(a, b), c)
    for x in range(len(out)):
        low = max(max(least[x], least[x + 1]), least[x + 2])
        high = min(min(most[x], most[x + 1]), most[x + 2])
        between = get_middle(middle[x], middle[x + 1], middle[x + 2])
        out[x] = get_middle(low, between, high)


@kernel
def fill_strip(
    peaks: Peaks,
    grid: Places,
    rows: tuple[int, int],
    mz: NDArray[np.float64],
    ppm: float,
    limits: NDArray[np.float64],
    full: int,
    out: NDArray[np.float64],
) -> None:
    """Fill some rows of prepared images: cut, thresholded and filtered.

    Parameters
    ----------
    rows
        The first, and the last + 1.
    limits
        From :func:`fill_limits`.
    full
        The number that hot spots become.
    out
        Shape (ions, rows, width), 0; whole numbers.
    """
    _, _, height, width = grid
    top, bottom = max(rows[0] - 1, 0), min(rows[1] + 1, height)
    dense = np.zeros((bottom - top, width), np.float32)
    levels = np.zeros((bottom - top, width + 2), np.uint16)
    columns, window = np.zeros((3, width + 2), np.uint16), np.zeros((1, 2), np.int64)
    for i in range(len(mz)):
        find_windows(peaks[0], mz[i : i + 1], ppm, window)
        if draw_strip(peaks, grid, window[0], top, dense):
            cut_values(dense, limits[i, 0], limits[i, 1], full, levels)
            dense[:] = 0.0
            for y in range(rows[0], rows[1]):
                above, below = max(y - 1, 0) - top, min(y + 1, height - 1) - top
                three = levels[above], levels[y - top], levels[below]
                filter_row(*three, columns, out[i, y - rows[0]])


@kernel
def fill_nearest(
    products: NDArray[np.float64],
    least: float,
    ion: NDArray[np.int32],
    cosine: NDArray[np.float64],
) -> None:
    """Fill the others of greatest cosine of each ion, of equals the first.

    Parameters
    ----------
    products
        Of all pairs of images, shape (ions, ions).
    least
        Cosines that are listed are at least this, and above 0.
    ion, cosine
        Shape (ions, nearest), -1 and 0.
    """
    for i in range(len(products)):
        for j in range(len(products)):
            both = products[i, j]
            if i == j or both == 0.0:
                continue
            value = both / math.sqrt(products[i, i] * products[j, j])
            k = ion.shape[1] - 1
            if value < least or value <= cosine[i, k]:
                continue
            while k > 0 and cosine[i, k - 1] < value:
                ion[i, k], cosine[i, k] = ion[i, k - 1], cosine[i, k - 1]
                k -= 1
            ion[i, k], cosine[i, k] = j, value
