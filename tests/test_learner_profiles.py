"""Centroids of profiles against a known line list and a slow oracle."""

import math

import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.learner.annotation.profiles import is_like_profile, pick_peaks

LINES = np.array([150.1, 150.13, 181.0707, 255.2330, 420.5, 786.6007])
HEIGHTS = np.array([1e3, 2e2, 5e4, 7e3, 3.0, 1e5])


def draw(mz, lines=LINES, heights=HEIGHTS, resolving_power=50_000):
    """Return the profile of Gaussian lines at some m/z."""
    sigma = lines / resolving_power / 2.3548
    bend = ((mz[:, None] - lines) / sigma) ** 2
    return (heights * np.exp(-bend / 2)).sum(axis=1)


def make_grid(step_ppm, first=150, last=790):
    n = int(math.log(last / first) / (1e-6 * step_ppm))
    return first * np.exp(1e-6 * step_ppm * np.arange(n))


def pick(mz, intensity):
    kept = intensity > 1e-3
    mz, intensity = mz[kept], intensity[kept].astype(np.float32)
    n_kept = np.array([len(mz)])
    return pick_peaks(mz, intensity, n_kept, np.ones(1, bool))


def pick_slowly(mz, intensity):
    """Return the peaks of one spectrum; points follow one another in even steps."""
    found = []
    for i in range(1, len(mz) - 1):
        if not intensity[i - 1] < intensity[i] >= intensity[i + 1]:
            continue
        three = slice(i - 1, i + 2)
        a, b, c = np.polyfit(mz[three] - mz[i], np.log(intensity[three]), 2)
        height = min(2 * intensity[i], math.exp(c - b * b / (4 * a)))
        found.append((mz[i] - b / (2 * a), height))
    return np.array(found).T


@pytest.mark.parametrize("step_ppm", [2.0, 4.1, 7.3])
@pytest.mark.parametrize("is_cut", [False, True])
def test_pick_peaks__finds_known_lines(step_ppm, is_cut):
    mz = make_grid(step_ppm)
    intensity = draw(mz)
    if is_cut:  # as exporters leave out zeros
        kept = intensity > 1e-3
        mz, intensity = mz[kept], intensity[kept]
    found, heights, n = pick(mz, intensity)
    assert n.tolist() == [len(LINES)]
    npt.assert_allclose(found, LINES, rtol=1e-7)
    npt.assert_allclose(heights, HEIGHTS, rtol=1e-3)


def test_pick_peaks__as_the_slow_way():
    rng = np.random.default_rng(7)
    mz = 200 + 0.01 * np.arange(400)
    intensity = rng.lognormal(3, 1, 400).astype(np.float32)
    found, heights, _ = pick(mz, intensity)
    known, known_heights = pick_slowly(mz, intensity.astype(np.float64))
    inner = (found > mz[1]) & (found < mz[-2])
    both = (known > mz[1]) & (known < mz[-2])
    npt.assert_allclose(found[inner], known[both], rtol=1e-9)
    npt.assert_allclose(heights[inner], known_heights[both], rtol=1e-5)


def test_pick_peaks__leaves_centroids_and_empty_spectra():
    mz = np.array([100.0, 100.1, 100.2, 100.0, 100.1, 100.2], np.float32)
    intensity = np.array([1, 4, 1, 1, 4, 1], np.float32)
    n_kept, is_profile = np.array([3, 0, 3]), np.array([False, True, True])
    found, heights, n = pick_peaks(mz, intensity, n_kept, is_profile)
    assert n.tolist() == [3, 0, 1]
    npt.assert_allclose(found, [100, 100.1, 100.2, 100.1], rtol=1e-6)
    npt.assert_allclose(heights, [1, 4, 1, 4], rtol=1e-3)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("mz", "intensity", "expected"),
    [
        ([100.0], [5.0], [100.0]),
        ([100.0, 100.1], [1.0, 3.0], [100.075]),
        ([100.0, 100.1, 100.5, 100.6], [1.0, 3.0, 4.0, 4.0], [100.075, 100.55]),
        ([100.2, 100.0, 100.1], [1.0, 1.0, 5.0], [100.1]),  # not in order
        ([100.0, 100.0, 100.1], [1.0, 2.0, 1.0], [100.0]),  # one m/z twice
        ([100.0, 100.1, 100.2, 100.3], [1.0, 2.0, 2.0, 1.0], [100.15]),
    ],
)
def test_pick_peaks__few_points(mz, intensity, expected):
    found, heights, _ = pick(np.array(mz), np.array(intensity))
    npt.assert_allclose(found, expected, atol=1e-6)
    assert np.isfinite(heights).all()


def test_pick_peaks__anything_gives_numbers_in_its_range():
    rng = np.random.default_rng(7)
    for n in (1, 2, 3, 10, 300):
        mz = np.sort(rng.choice(100 + 0.001 * np.arange(2 * n), n))
        intensity = rng.choice([1e-30, 1.0, 1e30], n).astype(np.float32)
        every = np.ones(1, bool)
        found, heights, n_kept = pick_peaks(mz, intensity, np.array([n]), every)
        assert 1 <= n_kept[0] <= n
        assert ((found > mz[0] - 1e-9) & (found < mz[-1] + 1e-9)).all()
        assert ((heights > 0) & (heights <= 2 * intensity.max())).all()


def test_is_like_profile__by_its_steps():
    rng = np.random.default_rng(7)
    mz = make_grid(4.0)
    assert is_like_profile(mz[draw(mz) > 1e-3])
    assert not is_like_profile(np.sort(rng.uniform(100, 900, 1000)))
    assert not is_like_profile(np.array([100.0, 101.0]))
    assert not is_like_profile(np.zeros(100))
