"""Kernels of ion images: windows of the peak list, images, and their scores.

An image is a column of the few pixels in which an ion was seen, in ascending order:
sums over them have one order, whatever the ranks, tasks and nodes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.annotation._chaos_kernels import Room, get_chaos

WORD = 64
STEPS = 1000  # of an m/z error, from 0 to the border of the window
SCORES = (
    "chaos",
    "spatial",
    "spectral",
    "mz_err_abs",
    "mz_err_rel",
    "total_intensity",
    "max_intensity",
    "n_pixels",
)

# Peaks in ascending order of m/z: m/z, pixel and intensity. Where pixels are: column
# and row of each, height and width.
Peaks = tuple[NDArray[np.floating[Any]], NDArray[np.uint32], NDArray[np.float32]]
Places = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], int, int]


class Images(NamedTuple):
    """The images of one ion, and room to make them.

    ``dense``, shape (images, pixels), is zero but while an image is made; ``seen``, of
    one bit a pixel, too. ``pixel`` and ``value``, shape (pixels,) and (images, pixels),
    hold the pixels of any image in ascending order; ``x`` and ``y`` those of the first.
    """

    dense: NDArray[np.float32]
    seen: NDArray[np.uint64]
    pixel: NDArray[np.int64]
    value: NDArray[np.float32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    first: NDArray[np.float32]


def make_images(n_images: int, n_pixels: int) -> Images:
    """Return room for the images of an ion."""
    return Images(
        np.zeros((n_images, n_pixels), np.float32),
        np.zeros(n_pixels // WORD + 1, np.uint64),
        np.zeros(n_pixels, np.int64),
        np.zeros((n_images, n_pixels), np.float32),
        np.zeros(n_pixels, np.int32),
        np.zeros(n_pixels, np.int32),
        np.zeros(n_pixels, np.float32),
    )


@bare
def find_first(
    values: NDArray[np.number[Any]], limit: float, near: int, after: bool
) -> int:
    """Return the first of ascending values not below a limit, or not at it either.

    Doubling steps from a place nearby, then halving: the ions come in order of m/z.
    """
    n, step = len(values), 1
    low, high = near, near
    while low > 0 and is_beyond(values[low - 1], limit, after):
        high = low - 1
        low = max(0, low - step)
        step *= 2
    while high < n and not is_beyond(values[high], limit, after):
        low = high + 1
        high = min(n, high + step)
        step *= 2
    while low < high:
        middle = (low + high) // 2
        if is_beyond(values[middle], limit, after):
            high = middle
        else:
            low = middle + 1
    return low


@bare
def is_beyond(value: float, limit: float, after: bool) -> bool:
    """Return whether a value is above a limit, or at it where `after` is false."""
    return value > limit or (value == limit and not after)


@bare
def find_windows(
    peak_mz: NDArray[np.floating[Any]],
    mz: NDArray[np.float64],
    ppm: float,
    window: NDArray[np.int64],
) -> None:
    """Move the windows of an ion's peaks, rows of first and last + 1, to their places.

    Both ends belong to a window; an m/z of 0 has an empty one.
    """
    for k in range(len(mz)):
        half = ppm * 1e-6 * mz[k]
        first = find_first(peak_mz, mz[k] - half, window[k, 0], False)
        window[k, 0] = first
        window[k, 1] = find_first(peak_mz, mz[k] + half, first, True)


@bare
def draw_images(peaks: Peaks, window: NDArray[np.int64], images: Images) -> int:
    """Make the images of an ion; return the number of pixels in any of them.

    Peaks of one pixel are summed in order of m/z.
    """
    _, pixels, intensities = peaks
    lowest, highest = len(images.seen), -1
    for k in range(len(window)):
        for j in range(window[k, 0], window[k, 1]):
            pixel = pixels[j]
            images.dense[k, pixel] += intensities[j]
            word = pixel // WORD
            images.seen[word] |= np.uint64(1) << np.uint64(pixel % WORD)
            lowest, highest = min(lowest, word), max(highest, word)
    n = 0
    for word in range(lowest, highest + 1):
        bits = images.seen[word]
        images.seen[word] = 0
        pixel = word * WORD
        while bits:
            if bits & np.uint64(1):
                images.pixel[n] = pixel
                for k in range(len(window)):
                    images.value[k, n] = images.dense[k, pixel]
                    images.dense[k, pixel] = 0.0
                n += 1
            bits >>= np.uint64(1)
            pixel += 1
    return n


@bare
def get_spectral(
    value: NDArray[np.float32], n: int, theoretical: NDArray[np.float64]
) -> float:
    """Return how well intensities agree with the isotope pattern, 0 .. 1.

    One less the mean difference of the two, each of length 1, over pixels where the
    first peak is.
    """
    length, theoretical_length, difference = 0.0, 0.0, 0.0
    n_images = len(theoretical)
    for turn in range(2):
        for k in range(n_images):
            total = 0.0
            for i in range(n):
                if value[0, i] > 0:
                    total += value[k, i]
            if turn == 0:
                length += total * total
                theoretical_length += theoretical[k] * theoretical[k]
            else:
                expected = theoretical[k] / math.sqrt(theoretical_length)
                difference += abs(expected - total / math.sqrt(length))
    spectral = 1.0 - difference / n_images
    return 0.0 if math.isnan(spectral) or spectral == 1.0 else spectral


@bare
def get_correlation(
    first: NDArray[np.float32], other: NDArray[np.float32], n: int, n_pixels: int
) -> float:
    """Return Pearson's correlation of two images over all pixels, 0 if it has none."""
    mean_first, mean_other = 0.0, 0.0
    for i in range(n):
        mean_first += first[i]
        mean_other += other[i]
    mean_first /= n_pixels
    mean_other /= n_pixels
    rest = n_pixels - n  # pixels that neither image has
    both = rest * mean_first * mean_other
    square_first, square_other = rest * mean_first**2, rest * mean_other**2
    for i in range(n):
        a, b = first[i] - mean_first, other[i] - mean_other
        both += a * b
        square_first += a * a
        square_other += b * b
    if square_first == 0.0 or square_other == 0.0:
        return 0.0
    return both / math.sqrt(square_first * square_other)


@bare
def get_spatial(
    value: NDArray[np.float32], n: int, theoretical: NDArray[np.float64], n_pixels: int
) -> float:
    """Return how well the other images agree with the first, 0 .. 1."""
    n_first = 0
    for i in range(n):
        n_first += value[0, i] > 0
    weight, total = 0.0, 0.0
    for k in range(1, len(theoretical)):
        weight += theoretical[k]
    if n_first < 2 or weight == 0.0:
        return 0.0
    for k in range(1, len(theoretical)):
        if theoretical[k] > 0.0:
            r = get_correlation(value[0], value[k], n, n_pixels)
            total += theoretical[k] * r
    return min(max(total / weight, 0.0), 1.0)


@bare
def get_mz_moments(
    peaks: Peaks, window: NDArray[np.int64], theoretical_mz: float
) -> tuple[float, float]:
    """Return mean and standard deviation of the m/z in a window, by intensity.

    The m/z is rounded to single precision first, as the engine does. An empty window
    gives the theoretical m/z, and 0.
    """
    peak_mz, _, intensities = peaks
    weight, first, second = 0.0, 0.0, 0.0
    for j in range(window[0], window[1]):
        distance = np.float64(np.float32(peak_mz[j])) - theoretical_mz
        weight += intensities[j]
        first += intensities[j] * distance
        second += intensities[j] * distance * distance
    if weight == 0.0:
        return theoretical_mz, 0.0
    mean = first / weight
    return theoretical_mz + mean, math.sqrt(max(second / weight - mean * mean, 0.0))


@bare
def get_first_chaos(
    images: Images,
    n: int,
    pixel_x: NDArray[np.integer[Any]],
    pixel_y: NDArray[np.integer[Any]],
    height: int,
    width: int,
    room: Room,
) -> float:
    """Return the measure of chaos of the first image."""
    n_first = 0
    for i in range(n):
        if images.value[0, i] > 0:
            images.first[n_first] = images.value[0, i]
            images.x[n_first] = pixel_x[images.pixel[i]]
            images.y[n_first] = pixel_y[images.pixel[i]]
            n_first += 1
    return get_chaos(images.x, images.y, images.first, n_first, height, width, room)


@bare
def score_ion(
    peaks: Peaks,
    grid: Places,
    window: NDArray[np.int64],
    mz: NDArray[np.float64],
    theoretical: NDArray[np.float64],
    images: Images,
    room: Room,
    out: NDArray[np.float64],
) -> None:
    """Fill the scores of one ion, SCORES, all 0 where any of the three is."""
    pixel_x, pixel_y, height, width = grid
    n = draw_images(peaks, window, images)
    n_pixels = len(pixel_x)
    spectral = get_spectral(images.value, n, theoretical)
    if spectral <= 0.0:
        return
    spatial = get_spatial(images.value, n, theoretical, n_pixels)
    if spatial <= 0.0:
        return
    chaos = get_first_chaos(images, n, pixel_x, pixel_y, height, width, room)
    if chaos <= 0.0:
        return
    weight, error, first_error = 0.0, 0.0, 0.0
    for k in range(len(mz)):
        mean, _ = get_mz_moments(peaks, window[k], mz[k])
        if k == 0:
            first_error = mean - mz[0]
        else:
            weight += theoretical[k]
            error += theoretical[k] * (mean - mz[k] - first_error)
    out[0], out[1], out[2] = chaos, spatial, spectral
    out[3], out[4] = first_error, error / weight if weight > 0.0 else 0.0
    for i in range(n):
        out[5] += images.value[0, i]
        out[6] = max(out[6], images.value[0, i])
        out[7] += images.value[0, i] > 0


@kernel
def fill_scores(
    peaks: Peaks,
    grid: Places,
    mz: NDArray[np.float64],
    theoretical: NDArray[np.float64],
    ppm: float,
    min_pixels: int,
    images: Images,
    room: Room,
    out: NDArray[np.float64],
) -> None:
    """Fill the scores of ions, in ascending order of their first m/z.

    Parameters
    ----------
    peaks
        m/z in ascending order, pixel, intensity (float32).
    grid
        Column and row of each pixel, height and width of the box.
    mz, theoretical
        Isotope patterns, shape (ions, images).
    out
        Shape (ions, scores), 0.
    """
    window = np.zeros((mz.shape[1], 2), np.int64)
    for i in range(len(mz)):
        find_windows(peaks[0], mz[i], ppm, window)
        n_others = 0
        for k in range(1, len(window)):
            n_others += window[k, 1] - window[k, 0]
        if window[0, 1] - window[0, 0] >= min_pixels and n_others > 0:
            score_ion(peaks, grid, window, mz[i], theoretical[i], images, room, out[i])


@kernel
def count_pixels(
    peaks: Peaks,
    mz: NDArray[np.float64],
    ppm: float,
    seen: NDArray[np.uint64],
    count: NDArray[np.int64],
) -> None:
    """Count the pixels of the images of ions, without making them.

    Parameters
    ----------
    seen
        A bit a pixel, 0, and so again at the end: few enough to stay in a near cache.
    count
        Shape (ions, images).
    """
    peak_mz, pixels, _ = peaks
    window = np.zeros((mz.shape[1], 2), np.int64)
    for i in range(len(mz)):
        find_windows(peak_mz, mz[i], ppm, window)
        for k in range(len(window)):
            n = 0
            for j in range(window[k, 0], window[k, 1]):
                word, bit = pixels[j] // WORD, np.uint64(pixels[j] % WORD)
                n += not (seen[word] >> bit) & np.uint64(1)
                seen[word] |= np.uint64(1) << bit
            for j in range(window[k, 0], window[k, 1]):
                seen[pixels[j] // WORD] = 0
            count[i, k] = n


@kernel
def fill_images(
    peaks: Peaks,
    mz: NDArray[np.float64],
    ppm: float,
    images: Images,
    start: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    value: NDArray[np.float32],
    moments: NDArray[np.float64],
) -> None:
    """Fill the images of ions, in ascending order of their first m/z.

    Parameters
    ----------
    start
        Where the pixels of an image begin, shape (ions * images + 1,), by
        :func:`count_pixels`.
    moments
        Mean and standard deviation of m/z, and total intensity, shape
        (ions, images, 3).
    """
    window = np.zeros((mz.shape[1], 2), np.int64)
    n_images = len(window)
    for i in range(len(mz)):
        find_windows(peaks[0], mz[i], ppm, window)
        n = draw_images(peaks, window, images)
        for k in range(n_images):
            at, total = start[i * n_images + k], 0.0
            for j in range(n):
                if images.value[k, j] > 0:
                    total += images.value[k, j]
                    pixel[at], value[at] = images.pixel[j], images.value[k, j]
                    at += 1
            mean, spread = get_mz_moments(peaks, window[k], mz[i, k])
            moments[i, k] = mean, spread, total


@kernel
def fill_mz_errors(
    peaks: Peaks,
    mz: NDArray[np.float64],
    ppm: float,
    start: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    room: NDArray[np.float64],
    error: NDArray[np.int16],
) -> None:
    """Fill the m/z errors of the pixels of images, of one image an ion.

    Parameters
    ----------
    mz
        Of the images, shape (ions,).
    start, pixel
        Where the pixels of an image begin, shape (ions + 1,), and all their pixels.
    room
        Shape (pixels, 2), 0, and so again at the end.
    error
        Mean by intensity of the peaks of a pixel, in thousandths of half the window.
    """
    peak_mz, pixels, intensities = peaks
    window = np.zeros((1, 2), np.int64)
    for i in range(len(mz)):
        find_windows(peak_mz, mz[i : i + 1], ppm, window)
        for j in range(window[0, 0], window[0, 1]):
            weight = np.float64(intensities[j])
            room[pixels[j], 0] += weight
            room[pixels[j], 1] += weight * (peak_mz[j] - mz[i])
        scale = STEPS / (ppm * 1e-6 * mz[i])
        for j in range(start[i], start[i + 1]):
            here = pixel[j]
            error[j] = np.rint(scale * room[here, 1] / room[here, 0])
            room[here, 0] = room[here, 1] = 0.0
