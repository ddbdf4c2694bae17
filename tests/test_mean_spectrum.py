"""The mean spectrum against a slow one, and of any number of parts."""

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.learner.annotation.dataset.mean_spectrum import (
    Bins,
    choose_bins,
    get_bins,
)
from hpc_connector.learner.annotation.ion_images import PeakList

MANY = 1 << 40


def make_peaks(mz, dtype=np.float64, seed=0):
    mz = np.sort(np.asarray(mz, dtype))
    intensity = np.random.default_rng(seed).gamma(2, 1, len(mz)).astype(np.float32)
    return PeakList(mz, np.zeros(len(mz), np.uint32), intensity)


def bin_slowly(peaks, ppm):
    """Return mean m/z and total of each bin, in a dict by number."""
    width = max(2 * ppm, 1) * 1e-6
    found = {}
    for mz, intensity in zip(peaks.mz.tolist(), peaks.intensity.tolist(), strict=True):
        found.setdefault(math.floor(math.log(mz) / width), []).append((mz, intensity))
    return {
        number: (
            sum(m * i for m, i in members) / sum(i for _, i in members),
            sum(i for _, i in members),
        )
        for number, members in found.items()
    }


@given(
    st.lists(st.floats(1, 3000), min_size=1, max_size=60),
    st.lists(st.integers(0, 40), max_size=60),
    st.sampled_from([0.01, 3, 500]),
    st.sampled_from([np.float32, np.float64]),
)
def test_get_bins__are_the_slow_ones(mz, steps, ppm, dtype):
    near = [mz[k % len(mz)] * (1 + 1e-6 * step) for k, step in enumerate(steps)]
    peaks = make_peaks(mz + near, dtype)
    bins = get_bins(peaks, 0, 1, MANY, ppm=ppm)
    known = bin_slowly(peaks, ppm)
    assert len(bins.mz) == len(known)
    npt.assert_allclose(bins.mz, [mz for mz, _ in known.values()], 1e-13)
    npt.assert_allclose(bins.total, [total for _, total in known.values()], 1e-13)


@pytest.mark.parametrize("n", [1, 50, MANY])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_get_bins__are_the_same_of_any_parts(n, dtype):
    rng = np.random.default_rng(1)
    centres = rng.uniform(100, 900, 80)
    mz = (centres * (1 + 2e-6 * rng.normal(size=(40, 80)))).ravel()
    peaks = make_peaks(mz, dtype)
    whole = get_bins(peaks, 0, 1, n)
    assert len(whole.mz) == min(n, len(bin_slowly(peaks, 3)))
    assert (np.diff(whole.mz) > 0).all()
    for n_parts in (2, 3, 17, 5000):
        parts = [get_bins(peaks, k, n_parts, n) for k in range(n_parts)]
        joined = choose_bins(Bins(*map(np.concatenate, zip(*parts, strict=True))), n)
        npt.assert_array_equal(joined.mz, whole.mz)
        npt.assert_array_equal(joined.total, whole.total)


def test_get_bins__hold_all_intensity():
    peaks = make_peaks(np.random.default_rng(2).uniform(50, 2000, 5000))
    total = get_bins(peaks, 0, 1, MANY).total.sum()
    npt.assert_allclose(total, peaks.intensity.sum(dtype=np.float64), 1e-12)


def test_choose_bins__takes_the_most_intense_in_order_and_of_equals_the_first():
    bins = Bins(np.array([1.0, 2, 3, 4, 5]), np.array([7.0, 9, 7, 1, 7]))
    assert choose_bins(bins, 3).mz.tolist() == [1, 2, 3]
    assert choose_bins(bins, 3).total.tolist() == [7, 9, 7]
