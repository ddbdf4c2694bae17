"""Colocalised ions against SciPy's way, and what holds of any images."""

import tracemalloc

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_colocalisation as naive
from hpc_connector.learner.annotation.dataset.colocalisation import (
    EXACT,
    FULL,
    get_full,
    get_limits,
    get_nearest,
    get_products,
)
from hpc_connector.learner.annotation.ion_images import Grid, PeakList

FEW = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 7.5, 1e-3, 1e6])


def make_dataset(images):
    """Return peaks, pixels and m/z of images (n, height, width), NaN: no spectrum."""
    _, height, width = images.shape
    y, x = np.nonzero(~np.isnan(images[0]))
    mz = 200 + np.arange(len(images), dtype=np.float64)
    values = images[:, y, x]
    ion, pixel = np.nonzero(values)
    intensity = values[ion, pixel].astype(np.float32)
    grid = Grid(x.astype(np.int32), y.astype(np.int32), height, width)
    return PeakList(mz[ion], pixel.astype(np.uint32), intensity), grid, mz


def simulate(n, height, width, share=0.5, seed=1):
    """Return images of a tissue in a box: waves and noise, in part of the pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    images = rng.gamma(2, 1, (n, height, width)).astype(np.float32)
    images *= 1.5 + np.sin(x / np.linspace(2, 9, n)[:, None, None])
    images[rng.random(images.shape) > share] = 0
    far = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2
    images[:, far > 0.25] = np.nan
    return images


def multiply(dataset, n_rows=None):
    """Return the products of all pairs, of strips of so many rows."""
    peaks, grid, mz = dataset
    n_rows = n_rows or grid.height
    limits = get_limits(peaks, grid, mz)
    tops = range(0, grid.height, n_rows)
    strips = [(top, min(top + n_rows, grid.height)) for top in tops]
    return sum(get_products(peaks, grid, mz, limits, rows) for rows in strips)


def get_cosines(products):
    length = np.sqrt(np.diag(products))
    both = np.outer(length, length)
    return np.divide(products, both, out=np.zeros_like(both), where=both > 0)


@st.composite
def images(draw):
    """Return a few images of a small box, many of whose values are the same."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))
    size = int(np.prod(shape))
    values = draw(st.lists(FEW, min_size=size, max_size=size))
    return np.array(values, np.float32).reshape(shape)


@settings(max_examples=300)
@given(images(), st.integers(1, 7))
def test_get_products__are_those_of_scipy(images, n_rows):
    flat = [naive.prepare(image, FULL).ravel() for image in images]
    npt.assert_array_equal(
        multiply(make_dataset(images), n_rows), flat @ np.transpose(flat)
    )


@pytest.mark.parametrize("share", [0.005, 0.1, 0.5, 1])
def test_cosines__are_those_of_the_engine(share):
    """Which knows no whole numbers; they cost 1e-5, more where few pixels are left."""
    images = simulate(12, 31, 43, share)
    expected = naive.get_cosines(np.nan_to_num(images))
    found = get_cosines(multiply(make_dataset(images)))
    npt.assert_allclose(found, expected, rtol=0, atol=1e-4 if share < 0.5 else 1e-5)


def test_get_limits__are_quantiles_of_the_box():
    images = simulate(9, 20, 30, 0.9)
    found = get_limits(*make_dataset(images))
    for image, (hot, median) in zip(np.nan_to_num(images), found, strict=True):
        assert hot == np.percentile(image.astype(float), 99)
        assert median == np.quantile(np.minimum(image.astype(float), hot), 0.5)


def test_get_limits__of_an_image_of_few_pixels_is_its_greatest_value():
    image = np.zeros((1, 20, 20), np.float32)
    image[0, 3, :3] = 1, 7, 2
    assert get_limits(*make_dataset(image)).tolist() == [[7, 0]]
    assert get_limits(*make_dataset(image * 0)).tolist() == [[0, 0]]


def test_get_products__are_the_same_of_any_strips():
    dataset = make_dataset(simulate(30, 40, 33))
    whole = multiply(dataset)
    assert (whole == np.rint(whole)).all()
    for n_rows in (1, 2, 7, 39):
        npt.assert_array_equal(multiply(dataset, n_rows), whole)


def test_get_products__are_the_same_in_any_order_of_ions():
    peaks, grid, mz = make_dataset(simulate(20, 25, 25))
    order = np.random.default_rng(2).permutation(len(mz))
    npt.assert_array_equal(
        multiply((peaks, grid, mz[order])), multiply((peaks, grid, mz))[order][:, order]
    )


def test_cosines__are_those_of_any_unit_of_intensity():
    images = simulate(8, 25, 25)
    images[3:6] *= 2.0**20
    scaled = get_cosines(multiply(make_dataset(images)))
    images[3:6] /= 2.0**20
    npt.assert_array_equal(scaled, get_cosines(multiply(make_dataset(images))))


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.transpose])
def test_products__are_the_same_of_a_box_that_is_turned(turn):
    images = simulate(6, 24, 31)
    turned = np.array([turn(image) for image in images])
    npt.assert_array_equal(
        multiply(make_dataset(turned)), multiply(make_dataset(images))
    )


def test_cosines__of_pixels_in_any_order_are_those_without_the_filter():
    """Columns three times as wide, and rows: a median filter leaves them."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 5, (5, 6, 6)).astype(np.float32)
    place = rng.permutation(36)
    wide = [np.kron(s, np.ones((3, 3), np.float32)) for s in small]
    mixed = small.reshape(5, 36)[:, place].reshape(5, 6, 6)
    others = [np.kron(s, np.ones((3, 3), np.float32)) for s in mixed]
    first, second = (
        [naive.prepare(image, FULL)[1::3, 1::3] for image in images]
        for images in (wide, others)
    )
    npt.assert_array_equal(
        np.reshape(first, (5, 36))[:, place], np.reshape(second, (5, 36))
    )


def test_get_nearest__are_those_of_the_slow_one():
    images = simulate(25, 20, 20)
    images[7] = images[4]  # equals: the first comes first
    images[9] = 0
    products = multiply(make_dataset(images))
    cosines = get_cosines(products)
    npt.assert_array_equal(cosines, cosines.T)
    for n, least in ((3, 0), (10, 0), (24, 0.3), (40, 0)):
        ion, cosine = get_nearest(products, n, least=least)
        assert ion.shape == cosine.shape == (25, n)
        for k, known in enumerate(naive.list_nearest(cosines, n, least)):
            assert ion[k].tolist() == [j for j, _ in known] + [-1] * (n - len(known))
            npt.assert_allclose(cosine[k, : len(known)], [c for _, c in known], 1e-15)
            assert (cosine[k, len(known) :] == 0).all()
    ion, cosine = get_nearest(products, 10)
    assert (ion[4, 0], cosine[4, 0], ion[7, 0]) == (7, 1, 4)
    assert not (ion == 9).any()


def test_get_nearest__of_one_ion_or_none_is_nothing():
    for n in (0, 1):
        ion, cosine = get_nearest(np.ones((n, n)), 10)
        assert ion.tolist() == [[-1] * 10] * n
        assert cosine.tolist() == [[0] * 10] * n


@pytest.mark.parametrize("n_places", [1, 10**5, 2_097_152, 2_097_153, 10**9])
def test_get_full__keeps_sums_exact(n_places):
    full = get_full(n_places)
    assert n_places * full**2 <= EXACT
    assert full == FULL or n_places * (full + 1) ** 2 > EXACT


def test_get_products__take_little_memory():
    dataset = make_dataset(simulate(100, 200, 300))  # 24 MB of float32
    limits = get_limits(*dataset)
    get_products(*dataset, limits, (0, 2))
    tracemalloc.start()
    get_products(*dataset, limits, (100, 120))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 100 * 20 * 300 * 8
