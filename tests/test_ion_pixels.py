"""Pixels of ion images: how many there are, and how far the m/z of each is off."""

import numpy as np
import numpy.testing as npt
import pytest

import naive_scores
from hpc_connector.learner.annotation.ion_images import (
    Grid,
    PeakList,
    count_pixels,
    get_images,
    get_mz_errors,
)

PATTERNS = np.array([[200.0, 201.0, 0.0], [200.0002, 0, 0], [150.0, 151.0, 152.0]])
PPM = 5.0


def make_search(seed, mz_type):
    """Return peaks about some patterns, several of a pixel in a window, and a grid."""
    rng = np.random.default_rng(seed)
    n_pixels = int(rng.integers(1, 200))
    centre = rng.choice(PATTERNS[PATTERNS > 0], 400)
    mz = np.sort((centre * (1 + 1e-6 * rng.uniform(-7, 7, 400))).astype(mz_type))
    edges = [PATTERNS[0, 0] * (1 + sign * PPM * 1e-6) for sign in (-1, 1)]
    mz[:2] = edges  # both belong to the window
    mz = np.sort(mz)
    pixel = rng.integers(0, n_pixels, len(mz)).astype(np.uint32)
    intensity = rng.lognormal(0, 3, len(mz)).astype(np.float32)
    place = np.arange(n_pixels, dtype=np.int32)
    return PeakList(mz, pixel, intensity), Grid(place, 0 * place, 1, n_pixels)


def get_slow_errors(peaks, mz, ppm):
    """Return the error of every pixel of an image, by pixel."""
    half = ppm * 1e-6 * mz
    errors = {}
    for pixel in range(peaks.pixel.max() + 1):
        at = peaks.mz.astype(float)
        here = (peaks.pixel == pixel) & (mz - half <= at) & (at <= mz + half)
        if here.any():
            off = at[here] - mz
            mean = np.average(off, weights=peaks.intensity[here].astype(float))
            errors[pixel] = 1000 * mean / half
    return errors


@pytest.mark.parametrize("mz_type", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(10))
def test_count_pixels__is_the_slow_one(seed, mz_type):
    peaks, grid = make_search(seed, mz_type)
    listed = peaks.to_tuple()
    found = count_pixels(peaks, grid, PATTERNS, ppm=PPM)
    for count, mz in zip(found.ravel(), PATTERNS.ravel(), strict=True):
        image, _ = naive_scores.draw_image(listed, len(grid.x), mz, PPM)
        assert count == (image > 0).sum()


@pytest.mark.parametrize("mz_type", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(10))
def test_get_mz_errors__are_the_slow_ones(seed, mz_type):
    peaks, grid = make_search(seed, mz_type)
    images = get_images(peaks, grid, PATTERNS, ppm=PPM)
    found = get_mz_errors(peaks, grid, PATTERNS, images, ppm=PPM)
    assert found.dtype == np.int16
    slow = [get_slow_errors(peaks, mz, PPM) for mz in PATTERNS[:, 0]]
    assert [len(errors) for errors in slow] == np.diff(images.start)[::3].tolist()
    expected = np.concatenate([list(errors.values()) for errors in slow])
    assert (abs(expected) > 900).any()
    npt.assert_allclose(found, expected, atol=0.5 + 1e-6)


def test_get_mz_errors__at_the_borders_of_the_window():
    mz = np.array([[500.0]])
    half = PPM * 1e-6 * mz[0, 0]
    at = mz[0, 0] + half * np.array([-1, -0.25, 0, 1])
    peaks = PeakList(at, np.arange(4, dtype=np.uint32), np.ones(4, np.float32))
    grid = Grid(np.arange(4), np.zeros(4, int), 1, 4)
    images = get_images(peaks, grid, mz, ppm=PPM)
    found = get_mz_errors(peaks, grid, mz, images, ppm=PPM)
    assert found.tolist() == [-1000, -250, 0, 1000]


def test_get_mz_errors__of_no_ion():
    peaks, grid = make_search(1, np.float64)
    nothing = np.zeros((0, 4))
    images = get_images(peaks, grid, nothing)
    assert len(get_mz_errors(peaks, grid, nothing, images)) == 0
    assert count_pixels(peaks, grid, nothing).shape == (0, 4)
