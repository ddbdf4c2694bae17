"""What the script of an annotation page works on: images, groups, modifiers."""

import base64
import zlib
from types import SimpleNamespace

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from annotation_runs import write_run
from hpc_connector.manifest import read_manifest, save_manifest
from metabolite_annotation.report import images
from metabolite_annotation.report.columns import (
    find_groups,
    find_rows,
    make_columns,
    split_modifiers,
)
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.run_file import (
    IonImages,
    read_annotation_run,
    read_images,
)


def add_errors(out, ppm=3.0):
    """Give each pixel of the first images an error of m/z; return them."""
    with h5py.File(out / "results.h5", "r+") as file:
        sizes = np.diff(file["images/indptr"][:])[::4]
        errors = np.random.default_rng(1).integers(-1000, 1001, sizes.sum())
        file["images/mz_error"] = errors.astype(np.int16)
        file["images/mz_error_indptr"] = np.concatenate([[0], np.cumsum(sizes)])
    return np.split(errors * ppm / 1000, np.cumsum(sizes)[:-1])


def make_dense(run, block, pixel, intensity):
    """Return the mean of each block of pixels, pixel by pixel; NaN without spectrum."""
    x, y = run.pixels["x"] // block, run.pixels["y"] // block
    total = np.zeros((-(-run.height // block), -(-run.width // block)))
    n = np.zeros(total.shape)
    for k in range(len(x)):
        n[y[k], x[k]] += 1
    for p, value in zip(pixel.tolist(), intensity.tolist(), strict=True):
        total[y[p], x[p]] += value
    with np.errstate(invalid="ignore"):
        return total / n


def unpack(grid, packed):
    """Return the images of a packed ion as their bytes say, and errors if any are."""
    data = zlib.decompress(base64.b64decode(packed.text))
    size, at, found = len(grid.n_spectra), 0, []
    for k, top in enumerate(packed.tops):
        n = 0 if not top else size if k else 2 * size
        plane = np.frombuffer(data[at : at + n], np.uint8).astype(np.int64)
        at += n
        values = plane * 257 if k else plane[:size] + 256 * plane[size:]
        found.append(values * (top / 65535) if top else np.zeros(size))
    return found, np.frombuffer(data[at:], np.int8)


def make_grid(run, block):
    x, y = run.pixels["x"], run.pixels["y"]
    return images.make_grid(x, y, (run.width, run.height), block)


@pytest.mark.parametrize("block", [1, 4])
def test_pack_images__agrees_with_naive(tmp_path, block):
    run = read_annotation_run(write_run(tmp_path, rows=3, width=23, height=31))
    grid = make_grid(run, block)
    for ion in read_images(run, [0, 1, 2]):
        found, rest = unpack(grid, images.pack_images(grid, ion))
        assert len(rest) == 0
        for k, (pixel, intensity) in enumerate(ion.images):
            dense = np.nan_to_num(make_dense(run, block, pixel, intensity)).ravel()
            step = dense.max() / (255 if k else 65535)
            npt.assert_allclose(found[k], dense, atol=step * 1.001, rtol=0)
            npt.assert_array_equal(found[k] > 0, dense > 0)


def test_reduce_errors__agrees_with_naive(tmp_path):
    write_run(tmp_path, rows=2, width=23, height=31)
    errors = add_errors(tmp_path)
    run = read_annotation_run(tmp_path)
    grid = make_grid(run, 4)
    for ion, error in zip(read_images(run, [0, 1]), errors, strict=True):
        pixel, intensity = ion.images[0]
        weighted = make_dense(run, 4, pixel, intensity * error)
        with np.errstate(invalid="ignore"):
            mean = (weighted / make_dense(run, 4, pixel, intensity)).ravel()
        _, packed = unpack(grid, images.pack_images(grid, ion))
        npt.assert_array_equal(packed == images.NO_ERROR, np.isnan(mean))
        known = ~np.isnan(mean)
        npt.assert_allclose(packed[known] * (3 / 127), mean[known], atol=0.0125)


def test_page__has_the_images_that_were_packed(tmp_path, open_page):
    write_run(tmp_path, rows=3, width=23, height=31)
    errors = add_errors(tmp_path)
    run = read_annotation_run(tmp_path)
    grid = make_grid(run, 1)
    page = open_page(save_report(tmp_path), "fdr=1")
    script = """async ion => [(await readImages(ion)).map(image =>
        image && Array.from(image.values, v => v * image.top / 65535)),
        Array.from((await readErrors(ion)).values, v => Number.isNaN(v) ? null : v),
        Array.from(await mask), data.box.full]"""
    for ion, found in enumerate(read_images(run, [0, 1, 2])):
        shown, shown_errors, mask, full = page.evaluate(script, ion)
        packed, _ = unpack(grid, images.pack_images(grid, found))
        for image, expected in zip(shown, packed, strict=True):
            values = np.zeros(len(expected)) if image is None else image
            npt.assert_allclose(values, expected, rtol=1e-6)
        cell = grid.cell[found.images[0][0]]
        known = np.array([v is not None for v in shown_errors])
        npt.assert_array_equal(np.flatnonzero(known), np.sort(cell))
        said = np.array(shown_errors, float)[cell]
        npt.assert_allclose(said, errors[ion], atol=0.0125)
        npt.assert_array_equal(mask, grid.n_spectra > 0)
        assert full == [23, 31]


def test_page__of_an_older_run(tmp_path, open_page):
    page = open_page(save_report(write_run(tmp_path, rows=3)), "fdr=1")
    script = """async () => [await readErrors(0), data.spectrum, data.colocalised,
        data.box.pixel_um, data.optical, data.regions]"""
    assert page.evaluate(script) == [None, None, {}, None, None, []]
    assert page.evaluate("readImages(10 ** 6)") is None


def test_find_same_images__by_the_first_alone():
    def pack(first, other):
        grid = SimpleNamespace(cell=np.arange(4), n_spectra=np.ones(4))
        pixel = np.arange(4)
        both = [(pixel, np.array(v, np.float32)) for v in (first, other)]
        return images.pack_images(grid, IonImages(both, None))

    packed = {
        7: pack([1, 2, 3, 4], [1, 1, 1, 1]),
        2: pack([2, 4, 6, 8], [1, 1, 1, 1]),  # the same but for its scale
        5: pack([1, 2, 3, 4], [0, 0, 0, 1]),
    }
    assert images.find_same_images(packed) == {7: 7, 2: 2, 5: 7}


def test_find_groups__numbers_rows():
    image = [4, 9, 4, 3, 9, 8]
    assert find_groups(image, {9: 4, 3: 3}) == [0, 0, 0, 3, 0, 5]


def test_find_rows__of_the_same_database_first():
    labels = ["A+H", "B+Na", "A+H", "C+K"]
    databases = ["one", "one", "two", "two"]
    others = ["B+Na", "A+H; lost+H", "B+Na", "A+H;B+Na"]
    found = find_rows(labels, databases, others)
    assert found == [[1], [0, None], [1], [2, 1]]


def test_split_modifiers__however_they_were_given(tmp_path):
    record = read_manifest(write_run(tmp_path, rows=3))
    record["parameters"] |= {
        "adducts": ["[M+H]+", "+Na", "[M]+"],
        "neutral_losses": ["M-H2O", "-CO2"],
        "chem_mods": ["-CO2+CO"],
    }
    save_manifest(tmp_path, record)
    run = read_annotation_run(tmp_path)
    whole = ["+H", "-H2O+Na", "-CO2+CO-H2O+H", "-CO2+CO+Na", "-CO2[M]+", "+Zn"]
    assert split_modifiers(run, whole) == {
        "modification": ["", "", "-CO2+CO", "-CO2+CO", "", ""],
        "loss": ["", "-H2O", "-H2O", "", "-CO2", ""],
        "carrier": ["+H", "+Na", "+H", "+Na", "[M]+", "+Zn"],
    }


def test_split_modifiers__of_a_manifest_that_is_damaged(tmp_path):
    record = read_manifest(write_run(tmp_path, rows=1))
    record["parameters"] = {"adducts": ["???"], "neutral_losses": 5}
    save_manifest(tmp_path, record)
    found = make_columns(read_annotation_run(tmp_path), {})
    assert found["carrier"] == found["adduct"]
