"""Slices of GeoTIFF: windows of whole blocks, each pixel in one of them."""

import os
import shutil
import struct
import warnings

import numpy as np
import numpy.testing as npt
import pytest
import tifffile

from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.cog import COG, grid_partition_strategy
from hpc_connector.slices.formats.pixels import REVERSED
from hpc_connector.storage import ranges
from slicing import COUNTS, DATA, count_traffic, open_copy, travel

COGEO = DATA / "slices" / "cog" / "cogeo.tif"
FORMS = {
    "plain": {"tile": (64, 32)},
    "big": {"tile": (64, 64), "bigtiff": True, "compression": "zlib"},
    "big-endian": {"tile": (32, 32), "byteorder": ">", "predictor": 2}
    | {"compression": "lzw"},
    "strips": {"rowsperstrip": 30, "compression": "zstd", "predictor": 2},
    "one strip": {},
    "planar": {"tile": (64, 64), "planarconfig": "separate", "compression": "zlib"},
}


def put_together(slices, shape):
    """Return the whole from windows; each pixel is in one and in one only."""
    count, whole = np.zeros(shape[1:], int), None
    for part in slices:
        values = part.get()
        top, bottom, left, right = part.facts["window"]
        assert values.shape == (shape[0], bottom - top, right - left)
        whole = np.zeros(shape, values.dtype) if whole is None else whole
        whole[:, top:bottom, left:right] = values
        count[top:bottom, left:right] += 1
    assert (count == 1).all()
    return whole


def write(path, values, **options):
    """Write an image, bands last, and return what tifffile reads."""
    planes = np.moveaxis(values, 2, 0) if "planarconfig" in options else values
    kind = "rgb" if values.shape[2] == 3 and values.dtype == np.uint8 else "minisblack"
    if values.shape[2] == 1:
        planes = values[:, :, 0]
    else:
        options.setdefault("planarconfig", "contig")
    tifffile.imwrite(path, planes, photometric=kind, **options)
    return CloudObject.from_path(COG, path)


@pytest.mark.parametrize("n", COUNTS)
def test_grid_partition__windows_tile_the_image(n, tmp_path):
    co = open_copy(COG, COGEO, tmp_path)
    slices = co.partition(grid_partition_strategy, n_splits=n)
    assert len(slices) == n * n
    if n == 64:  # most are empty
        slices = [part for part in slices[:20] if not part.n_bytes] + [
            part for part in slices if part.n_bytes
        ]
    whole = put_together(map(travel, slices), (3, 1024, 1024))
    npt.assert_array_equal(np.moveaxis(whole, 0, 2), tifffile.imread(COGEO, key=0))


def test_grid_partition__overviews(tmp_path):
    co = open_copy(COG, COGEO, tmp_path)
    assert len(co.attributes["levels"]) == 7
    for level, key in ((1, 2), (6, 7)):
        slices = co.partition(grid_partition_strategy, n_splits=2, level=level)
        size = 1024 >> level
        whole = put_together(slices, (3, size, size))
        expected = tifffile.imread(COGEO, key=key)
        npt.assert_array_equal(np.moveaxis(whole, 0, 2), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4"])
def test_grid_partition__forms(form, dtype, tmp_path):
    values = np.random.default_rng(1).integers(0, 99, (150, 130, 3)).astype(dtype)
    co = write(tmp_path / "a.tif", values, **FORMS[form])
    with warnings.catch_warnings(action="ignore"):  # tifffile has tags at the end
        co.preprocess()
    for n in (1, 3, 7):
        slices = co.partition(grid_partition_strategy, n_splits=n)
        whole = put_together(map(travel, slices), (3, 150, 130))
        npt.assert_array_equal(np.moveaxis(whole, 0, 2), values)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_grid_partition__predictor_of_floats(dtype, byteorder, tmp_path):
    values = np.random.default_rng(1).normal(size=(70, 90, 2)).astype(dtype)
    options = {"tile": (32, 32), "predictor": 3, "compression": "zlib"}
    co = write(tmp_path / "a.tif", values, byteorder=byteorder, **options)
    with warnings.catch_warnings(action="ignore"):
        slices = co.preprocess().partition(grid_partition_strategy, n_splits=2)
    whole = put_together(slices, (2, 70, 90))
    npt.assert_array_equal(np.moveaxis(whole, 0, 2), values)


def test_get__a_tile_that_is_not_there_has_no_data(tmp_path):
    values = np.ones((64, 64, 1), np.int16)
    extra = [(42113, "s", 0, "-9", True)]
    co = write(tmp_path / "a.tif", values, tile=(32, 32), extratags=extra)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        tag = file.pages[0].tags[325]
        tag.overwrite([2048, 0, 2048, 2048])
    with warnings.catch_warnings(action="ignore"):
        (part,) = co.preprocess().partition(grid_partition_strategy, n_splits=1)
    assert set(part.get()[0, :32, 32:].ravel().tolist()) == {-9}
    assert set(part.get()[0, 32:].ravel().tolist()) == {1}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tile": (128, 128)}, "no overviews"),
        ({}, "no tiles, it has no overviews"),
    ],
)
def test_preprocess__warns_of_what_is_not_cloud_optimised(options, reason, tmp_path):
    co = write(tmp_path / "a.tif", np.zeros((600, 600, 1), np.uint8), **options)
    with pytest.warns(UserWarning, match=reason):
        co.preprocess()


def test_preprocess__a_cloud_optimised_file_takes_one_read(tmp_path):
    (tmp_path / "a.tif").write_bytes(COGEO.read_bytes())
    co = CloudObject.from_path(COG, tmp_path / "a.tif")
    _, _, n_bytes = count_traffic(co.preprocess)
    assert n_bytes == 1 << 16
    assert co.attributes["geo"]["pixel_scale"][0] > 0


def test_get__reads_its_tiles_only(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "NEAR_BYTES", 0)
    co = open_copy(COG, COGEO, tmp_path)
    slices = co.partition(grid_partition_strategy, n_splits=2)
    total = 0
    for part in slices:
        _, requests, n_bytes = count_traffic(part.get)
        assert requests == 3  # tables of JPEG, rows of the index, tiles
        assert n_bytes == part.n_bytes + sum(b - a for a, b in part.index_ranges)
        total += n_bytes
    assert total < co.size


def test_partition__again_reads_no_data(tmp_path):
    co = open_copy(COG, COGEO, tmp_path)
    co.partition(grid_partition_strategy, n_splits=2)
    _, requests, n_bytes = count_traffic(
        co.partition, grid_partition_strategy, n_splits=3, level=2
    )
    assert (requests, n_bytes) == (0, 0)


def test_slice__is_small_whatever_the_size(tmp_path):
    values = np.zeros((16 * 300, 16 * 40, 1), np.uint8)
    co = write(tmp_path / "a.tif", values, tile=(16, 16), compression="zlib")
    with warnings.catch_warnings(action="ignore"):
        co.preprocess()
    for part in co.partition(grid_partition_strategy, n_splits=2):
        assert travel(part).get().shape == (1, 16 * 150, 16 * 20)


def test_get__a_changed_object_is_refused(tmp_path):
    co = open_copy(COG, COGEO, tmp_path)
    part = co.partition(grid_partition_strategy, n_splits=2)[3]
    os.utime(tmp_path / COGEO.name, (1, 1))
    with pytest.raises(BadInput, match="changed since it was indexed"):
        part.get()


@pytest.mark.parametrize("n_bytes", [0, 7, 20, 300, 4000, 200_000])
def test_preprocess__a_cut_file(n_bytes, tmp_path):
    (tmp_path / "a.tif").write_bytes(COGEO.read_bytes()[:n_bytes])
    with pytest.raises(BadInput, match=r"a\.tif"):
        CloudObject.from_path(COG, tmp_path / "a.tif").preprocess()


def test_preprocess__images_that_go_round(tmp_path):
    data = bytearray(COGEO.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (n_tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * n_tags, first)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(BadInput, match="go round"):
        CloudObject.from_path(COG, tmp_path / "a.tif").preprocess()


def test_get__a_damaged_tile(tmp_path):
    values = np.zeros((64, 64, 1), np.uint8)
    co = write(tmp_path / "a.tif", values, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        (at,) = file.pages[0].dataoffsets
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + 4] = bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    with warnings.catch_warnings(action="ignore"):
        (part,) = co.preprocess().partition(grid_partition_strategy, n_splits=1)
    with pytest.raises(BadInput, match=f"byte {at}"):
        part.get()


LERC = DATA / "cases/more/cog-lerc/lerc.tif"


def read_image(path, n=1):
    """Return the bands of an image, from one window or several."""
    with warnings.catch_warnings(action="ignore"):
        co = CloudObject.from_path(COG, path, metadata=f"{path}.made").preprocess()
    slices = co.partition(grid_partition_strategy, n_splits=n)
    return put_together(slices, tuple(co.attributes["levels"][0]["shape"]))


def test_read__lerc(tmp_path):
    shutil.copy(LERC, tmp_path)
    values = read_image(tmp_path / "lerc.tif")
    assert (values.dtype, values.shape) == (np.float32, (1, 96, 96))
    assert values[0, 50, 50] == np.float32(193.10068)
    assert np.count_nonzero(values == -9999) == 400
    total = values[values != -9999].sum(dtype=np.float64)
    assert total == pytest.approx(1802018.1, abs=0.05)


IMAGES = {
    "floats": np.linspace(-5, 900, 90 * 70).reshape(90, 70).astype(np.float32),
    "colours": np.random.default_rng(1).integers(0, 256, (90, 70, 3)).astype(np.uint8),
    "heights": np.random.default_rng(2).integers(-400, 9000, (90, 70)).astype(np.int16),
}
PACKINGS = [("lerc", {"compression": within}) for within in (None, "deflate", "zstd")]
PACKINGS += [(name, None) for name in ("jpegxl", "jpeg2000", "webp", "lzma", "zstd")]


@pytest.mark.parametrize(("packing", "more"), PACKINGS)
@pytest.mark.parametrize("image", IMAGES)
def test_read__as_tifffile_does(image, packing, more, tmp_path):
    values, path = IMAGES[image], tmp_path / "a.tif"
    kind = "rgb" if image == "colours" else "minisblack"
    if packing == "webp" and image != "colours":
        return  # it has colours alone
    if packing == "jpeg2000" and image != "colours":
        values = np.abs(values).astype(np.uint16)
    if packing == "jpegxl" and image == "heights":
        values = values.astype(np.uint16)
    options = {"compression": packing, "compressionargs": more, "tile": (32, 32)}
    tifffile.imwrite(path, values, photometric=kind, **options)
    found = read_image(path, 2)
    expected = tifffile.imread(path)
    found = np.moveaxis(found, 0, 2) if expected.ndim == 3 else found[0]
    npt.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 5, 7, 9, 10, 12, 14, 15])
@pytest.mark.parametrize("form", [{"tile": (32, 16)}, {"rowsperstrip": 7}, {}])
def test_read__values_of_few_bits(bits, form, tmp_path):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (61, 53))
    values = values.astype(np.uint8 if bits < 9 else np.uint16)
    path = tmp_path / "a.tif"
    if bits == 1:
        tifffile.imwrite(path, values.astype(bool), **form)
    else:
        tifffile.imwrite(path, values, bitspersample=bits, **form)
    found = read_image(path)
    assert found.dtype == values.dtype
    npt.assert_array_equal(found[0], values)


def test_read__bits_in_the_other_order(tmp_path):
    values = np.random.default_rng(1).integers(0, 2, (40, 33)).astype(bool)
    tifffile.imwrite(tmp_path / "a.tif", values, rowsperstrip=40)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        (at,), (size,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + size] = data[at : at + size].translate(REVERSED)
    (tmp_path / "a.tif").write_bytes(data)
    assert (read_image(tmp_path / "a.tif")[0] != values).any()
    extra = [(266, "H", 1, 2, True)]
    tifffile.imwrite(tmp_path / "b.tif", values, rowsperstrip=40, extratags=extra)
    expected = tifffile.imread(tmp_path / "b.tif")
    npt.assert_array_equal(read_image(tmp_path / "b.tif")[0], expected)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        (259, 4, "compression 4, CCITT fax 4, is not read"),
        (259, 34661, "compression 34661, JBIG, is not read"),
        (259, 9999, "compression 9999, of a kind that is not known, is not read"),
        (258, 24, r"values of bits \[24\] and sample format \[1\]: expected one type"),
        (317, 34892, "predictor 34892 of values of 16 bits is not read"),
    ],
)
def test_preprocess__names_what_is_not_read(tag, value, said, tmp_path):
    values = np.zeros((64, 64), np.uint16)
    options = {"tile": (32, 32), "compression": "zlib", "predictor": 2}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags[tag].overwrite(value)
    with pytest.raises(BadInput, match=rf"a\.tif: .*{said}"):
        CloudObject.from_path(COG, tmp_path / "a.tif").preprocess()
