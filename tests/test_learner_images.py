"""Ion images, their scores and rates against known answers and the slow ones."""

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import naive_scores
from hpc_connector.learner.annotation.ion_images import (
    SCORES,
    Grid,
    PeakList,
    annotate,
    get_images,
    get_measure_of_chaos,
)
from hpc_connector.learner.annotation.normalisation import get_norms, normalise

KNOWN = Path(__file__).parent / "data/metaspace_known_answers"
PATTERN = np.array([200.0, 201.0, 201.5, 202.0])


def test_get_measure_of_chaos__is_that_of_metaspace():
    with open(KNOWN / "chaos_images.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    with np.load(KNOWN / "chaos_images.npz") as images:
        for row in rows:
            chaos = get_measure_of_chaos(images[row["image"]], int(row["n_levels"]))
            assert abs(chaos - float(row["measure_of_chaos"])) < 1e-14, row["image"]


values = st.sampled_from([0, 0, 0, 1, 2, 3, 7.5, 10, 29.9, 30, 1e6])


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=values
    ),
    st.tuples(*[st.integers(0, 12)] * 4),
    st.sampled_from([1, 5, 30]),
)
def test_get_measure_of_chaos__is_the_slow_one(image, margins, n_levels):
    top, bottom, left, right = margins
    image = np.pad(image, ((top, bottom), (left, right)))
    expected = naive_scores.get_chaos(image, n_levels)
    assert get_measure_of_chaos(image, n_levels) == pytest.approx(expected, abs=1e-14)


def test_get_measure_of_chaos__of_two_blobs_far_apart():
    image = np.zeros((3000, 3000), np.float32)
    image[:5, :5] = np.arange(25).reshape(5, 5)
    image[-6:, -4:] = 7
    expected = naive_scores.get_chaos(image)
    assert get_measure_of_chaos(image) == pytest.approx(expected, abs=1e-14)


@st.composite
def blobs(draw):
    """Return an image of few blobs in a box that may be cut down to them.

    Many values lie at the border of a level, as rounded, or next to it.
    """
    height, width = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    highest = np.float32(draw(st.floats(2.0**-100, 2.0**100, width=32)))
    image = np.zeros((height, width), np.float32)
    for _ in range(draw(st.integers(1, 4))):
        y, x = rng.integers(0, height), rng.integers(0, width)
        blob = image[y : y + rng.integers(1, 7), x : x + rng.integers(1, 7)]
        level = rng.integers(0, 31, blob.shape).astype(np.float32)
        border = highest * level / np.float32(30)
        blob[:] = rng.choice([border, np.nextafter(border, highest)])
    return image


@settings(max_examples=300)
@given(blobs(), st.sampled_from([1, 2, 30, 255]))
def test_get_measure_of_chaos__of_blobs_is_the_slow_one(image, n_levels):
    expected = naive_scores.get_chaos(image, n_levels)
    assert get_measure_of_chaos(image, n_levels) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 4)])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_get_measure_of_chaos__of_a_constant(shape, value):
    image = np.full(shape, value, np.float32)
    expected = 1 - 1 / image.size if image.any() else 0  # one component on each level
    assert get_measure_of_chaos(image) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("n_levels", [0, 256])
def test_get_measure_of_chaos__refuses_levels(n_levels):
    with pytest.raises(ValueError, match=f"1 to 255, got {n_levels}"):
        get_measure_of_chaos(np.ones((2, 2), np.float32), n_levels)


@st.composite
def searches(draw):
    """Return a peak list, a grid, and isotope patterns that it may have."""
    edge = st.sampled_from([1, 2, 3, 5, 12])  # 64 pixels share a word
    width, height = draw(edge), draw(edge)
    place = np.arange(width * height)
    chosen = draw(arrays(bool, len(place)))
    chosen[draw(st.integers(0, len(place) - 1))] = True
    place = place[chosen]
    y, x = np.divmod(place.astype(np.int32), np.int32(width))
    n = draw(st.sampled_from([0, 3, 15, 40, 80]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mz_type = draw(st.sampled_from([np.float32, np.float64]))
    low, high = PATTERN - 3.0 * 1e-6 * PATTERN, PATTERN + 3.0 * 1e-6 * PATTERN
    outside = [np.nextafter(low, 0), np.nextafter(high, np.inf)]
    inside = [PATTERN * (1 + offset) for offset in (0, 1e-6, -2.5e-6)]
    mz = rng.choice(np.array([low, high, *inside, *outside]).ravel(), n)
    seen = rng.permutation(len(place))[: draw(st.integers(1, 30))]
    pixel = rng.choice(seen, n)
    values = [1, 2, 5, 1000.5], [draw(st.floats(0.125, 1e6, width=32))], rng.random(40)
    intensity = rng.choice(np.float32(draw(st.sampled_from(values))), n)
    if draw(st.booleans()):  # an ion that is there, else nothing but noise
        planted = rng.uniform(1, 1000, len(seen))
        intensity = np.append(intensity, np.outer([10, 5, 3, 1], planted))
        mz = np.append(mz, np.repeat(PATTERN, len(seen)))
        pixel = np.append(pixel, np.tile(seen, 4))
    mz = mz.astype(mz_type)
    order = np.argsort(mz, kind="stable")
    patterns = rng.uniform(0, 100, (4, 4)).round(1)
    patterns[1, 2:] = 0
    patterns[2, 1:] = 0
    peaks = np.where(patterns > 0, PATTERN, 0)
    return (
        PeakList(mz[order], pixel[order].astype("u4"), intensity[order].astype("f4")),
        Grid(x, y, height, width),
        peaks,
        patterns,
    )


@settings(max_examples=200)
@given(searches(), st.integers(1, 3))
def test_annotate__is_the_slow_one(search, min_pixels):
    peaks, grid, mz, theoretical = search
    scores = annotate(peaks, grid, mz, theoretical, min_pixels=min_pixels)
    listed = (peaks.mz, peaks.pixel, peaks.intensity)
    for k in range(len(mz)):
        if mz[k, 0] == 0:
            continue
        expected = naive_scores.score(listed, grid, mz[k], theoretical[k])
        image, window = naive_scores.draw_image(listed, len(grid.x), mz[k, 0], 3.0)
        if len(window) < min_pixels or np.prod(expected[:3]) < 1e-9:
            assert scores[k, :3].prod() < 1e-9
            continue
        npt.assert_allclose(scores[k, :3], expected[:3], atol=1e-9)
        npt.assert_allclose(scores[k, 3:5], expected[3:], atol=1e-9)
        last = [image.sum(dtype=float), image.max(), (image > 0).sum()]
        npt.assert_allclose(scores[k, 5:], last, rtol=1e-6)


@given(searches(), st.permutations(range(4)), st.integers(1, 3))
def test_annotate__same_bytes_in_any_order_and_cut(search, order, cut):
    peaks, grid, mz, theoretical = search
    scores = annotate(peaks, grid, mz, theoretical)
    parts = [order[:cut], order[cut:]]
    found = [annotate(peaks, grid, mz[part], theoretical[part]) for part in parts]
    npt.assert_array_equal(np.concatenate(found), scores[order])
    assert scores.shape == (4, len(SCORES))


@given(searches())
def test_get_images__are_the_slow_ones(search):
    peaks, grid, mz, _ = search
    images = get_images(peaks, grid, mz)
    listed = (peaks.mz, peaks.pixel, peaks.intensity)
    for k in range(mz.size):
        here = slice(images.start[k], images.start[k + 1])
        image, window = naive_scores.draw_image(listed, len(grid.x), mz.flat[k], 3.0)
        npt.assert_array_equal(images.pixel[here], np.flatnonzero(image))
        npt.assert_array_equal(images.intensity[here], image[image > 0])
        total = image.sum(dtype=np.float64)
        npt.assert_allclose(images.total.flat[k], total, rtol=1e-12)
        if window:
            z, weight = np.array(window).T
            mean = np.average(z, weights=weight)
            spread = np.sqrt(np.average((z - mean) ** 2, weights=weight))
            npt.assert_allclose(images.mz_mean.flat[k], mean, rtol=1e-12)
            npt.assert_allclose(images.mz_std.flat[k], spread, atol=1e-6)
        else:
            assert images.mz_mean.flat[k] == mz.flat[k]


def test_annotate__needs_little_memory_in_a_large_box():
    width = 5000
    corner = np.add.outer(np.arange(30) * width, np.arange(30)).ravel()
    place = np.concatenate([corner, corner + (width - 30) * (width + 1)])
    y, x = np.divmod(place.astype(np.int32), np.int32(width))
    n = len(place)
    pixel, intensity = np.arange(n, dtype=np.uint32), np.arange(1, n + 1, dtype="f4")
    mz = np.repeat([200.0, 201.0], n)
    peaks = PeakList(mz, np.tile(pixel, 2), np.tile(intensity, 2))
    pattern = np.array([[200.0, 201, 0, 0]]), np.array([[100.0, 90, 0, 0]])
    tracemalloc.start()
    (scores,) = annotate(peaks, Grid(x, y, width, width), *pattern)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1e6
    assert scores[1] == pytest.approx(1)
    assert scores[0] > 0.99


@given(st.lists(st.lists(st.floats(0.5, 1e6, width=32), max_size=6), max_size=5))
def test_get_norms__are_those_of_numpy(spectra):
    n_kept = np.array([len(s) for s in spectra], np.int64)
    values = np.array([v for s in spectra for v in s], np.float32)
    norms = get_norms(values, n_kept)
    for spectrum, found in zip(spectra, norms, strict=True):
        here = np.array(spectrum, np.float32).astype(float)
        expected = [0.0] * 3
        if len(here):
            expected = [here.sum(), np.sqrt((here**2).mean()), np.median(here)]
        npt.assert_allclose(found, expected, rtol=1e-12)


def test_normalise__keeps_the_scale_of_the_instrument():
    norm = np.array([2.0, 0.0, 4.0, 8.0])
    found = normalise(np.float32([1, 1, 1]), np.array([0, 2, 3]), norm)
    assert found.tolist() == [2.0, 1.0, 0.5]
