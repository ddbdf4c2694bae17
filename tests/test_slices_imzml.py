"""Slices of imzML: each spectrum once, in both modes, whatever the order of arrays."""

import itertools
import os
import re
import warnings

import numpy as np
import numpy.testing as npt
import pytest
from pyimzml.ImzMLParser import ImzMLParser

import imzml
from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.imzml import (
    ImzML,
    partition_boxes,
    partition_chunks_strategy,
    partition_num_spectra,
    square_split_strategy,
)
from slicing import COUNTS, DATA, count_traffic, open_copy, travel

FILES = ["Example_Continuous", "Example_Processed", "Untreated_3_434_tiny"]


def open_dataset(name, folder):
    path = DATA / "imzml" / f"{name}.imzML"
    return open_copy(ImzML, path, folder, [path.with_suffix(".ibd")])


def read_naive(path):
    with warnings.catch_warnings(action="ignore"), ImzMLParser(str(path)) as parser:
        places = enumerate(parser.coordinates)
        return [(x, y, *parser.getspectrum(k)) for k, (x, y, _) in places]


def assert_same(found, expected):
    assert [s[:2] for s in found] == [s[:2] for s in expected]
    for got, wanted in zip(found, expected, strict=True):
        npt.assert_array_equal(got[2], wanted[2])
        npt.assert_array_equal(got[3], wanted[3])


def write_shuffled(path, n=40, **options):
    """Write spectra whose arrays are in the file in another order."""
    rng = np.random.default_rng(5)
    mz = np.sort(rng.uniform(100, 900, 50))
    spectra = [
        (k % 8 + 1, k // 8 + 1, mz, rng.uniform(1, 9, 50).astype("f4"))
        for k in range(n)
    ]
    imzml.write_imzml(path, spectra, **options)
    text = path.read_text()
    parts = re.split(r"(<spectrum .*?</spectrum>)", text)
    order = rng.permutation(n)
    path.write_text(
        "".join(
            parts[2 * order[k // 2] + 1] if k % 2 else parts[k]
            for k in range(len(parts))
        )
    )
    return [spectra[k] for k in order]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "strategy",
    [partition_chunks_strategy, partition_num_spectra],
)
def test_partition__every_spectrum_once_in_order(name, strategy, tmp_path):
    co = open_dataset(name, tmp_path)
    expected = read_naive(tmp_path / f"{name}.imzML")
    for n in COUNTS:
        slices = co.partition(strategy, num_chunks=n)
        assert len(slices) == n
        got = [part.get() for part in map(travel, slices)]
        assert_same(list(itertools.chain(*got)), expected)


@pytest.mark.parametrize("mode", ["continuous", "processed"])
@pytest.mark.parametrize("is_zlib", [False, True])
def test_partition__arrays_in_another_order(mode, is_zlib, tmp_path):
    path = tmp_path / "a.imzML"
    expected = write_shuffled(path, mode=mode, is_zlib=is_zlib)
    co = CloudObject.from_path(ImzML, path).preprocess()
    for n in COUNTS:
        slices = co.partition(partition_chunks_strategy, num_chunks=n)
        got = [travel(part).get() for part in slices]
        assert_same(list(itertools.chain(*got)), expected)


@pytest.mark.parametrize("n", COUNTS)
def test_square_split__every_pixel_once(n, tmp_path):
    co = CloudObject.from_path(ImzML, tmp_path / "a.imzML")
    expected = write_shuffled(tmp_path / "a.imzML")
    slices = co.preprocess().partition(square_split_strategy, num_chunks=n)
    got = [s for part in slices for s in travel(part).get()]
    assert len(slices) == n
    key = {s[:2]: k for k, s in enumerate(expected)}
    assert_same(sorted(got, key=lambda s: key[s[:2]]), expected)


def test_partition_boxes__only_its_pixels(tmp_path):
    co = CloudObject.from_path(ImzML, tmp_path / "a.imzML")
    expected = write_shuffled(tmp_path / "a.imzML")
    box = ((2, 4), (3, 6))
    inside = [s for s in expected if 2 <= s[0] < 4 and 3 <= s[1] < 6]
    (part,) = co.preprocess().partition(partition_boxes, boxes=[box])
    assert len(inside) == 6
    assert_same(travel(part).get(), inside)
    assert part.n_bytes == 6 * 50 * (8 + 4)


def test_slice__is_small_whatever_the_size(tmp_path):
    n = 20_000
    spectra = [(k % 200 + 1, k // 200 + 1, [100.0, 200.0], [1, 2]) for k in range(n)]
    imzml.write_imzml(tmp_path / "a.imzML", spectra)
    co = CloudObject.from_path(ImzML, tmp_path / "a.imzML").preprocess()
    (part,) = co.partition(partition_boxes, boxes=[((50, 100), (20, 70))])
    assert len(travel(part).get()) == 50 * 50
    got, requests, _ = count_traffic(
        co.partition(partition_chunks_strategy, num_chunks=8)[3].get
    )
    assert len(got) == n // 8
    assert requests == 2


def test_get__shared_mz_is_fetched_once(tmp_path):
    co = open_dataset("Example_Continuous", tmp_path)
    slices = co.partition(partition_chunks_strategy, num_chunks=3)
    n_values = 8399
    for part in slices:
        got, _, n_bytes = count_traffic(part.get)
        index = sum(last - first for first, last in part.index_ranges)
        assert n_bytes - index <= n_values * 4 * (1 + len(got)) + 2 * (1 << 16)
        assert len({id(s[2]) for s in got}) == 1


def test_partition__again_reads_no_data(tmp_path):
    co = open_dataset("Example_Processed", tmp_path)
    co.partition(partition_chunks_strategy, num_chunks=2)
    for strategy in (partition_chunks_strategy, square_split_strategy):
        _, requests, n_bytes = count_traffic(co.partition, strategy, num_chunks=7)
        assert (requests, n_bytes) == (0, 0)


def test_partition__by_bytes(tmp_path):
    co = open_dataset("Example_Processed", tmp_path)
    slices = co.partition(partition_chunks_strategy, chunk_size=150_000)
    assert len(slices) == 5
    assert max(part.n_bytes for part in slices) < 150_000


@pytest.mark.parametrize("ending", [".ibd", ".imzML"])
def test_get__a_changed_object_is_refused(ending, tmp_path):
    co = open_dataset("Example_Processed", tmp_path)
    (part,) = co.partition(partition_chunks_strategy, num_chunks=1)
    path = tmp_path / f"Example_Processed{ending}"
    path.write_bytes(path.read_bytes())
    os.utime(path, (1, 1))
    if ending == ".ibd":
        with pytest.raises(BadInput, match="changed since it was indexed"):
            part.get()
    else:
        again = CloudObject.from_path(ImzML, path)
        assert not again.is_preprocessed()


def test_preprocess__another_or_a_cut_ibd(tmp_path):
    write_shuffled(tmp_path / "a.imzML")
    ibd = tmp_path / "a.ibd"
    data = ibd.read_bytes()
    for changed, problem in (
        (b"x" + data[1:], "has UUID"),
        (data[:-1], "is cut"),
        (None, "no such object"),
    ):
        ibd.unlink()
        if changed:
            ibd.write_bytes(changed)
        else:
            ibd.unlink(missing_ok=True)
        with pytest.raises(BadInput, match=problem):
            CloudObject.from_path(ImzML, tmp_path / "a.imzML").preprocess()


def test_partition__wrong_options(tmp_path):
    co = open_dataset("Example_Processed", tmp_path)
    for options in ({}, {"num_chunks": 0}, {"num_chunks": 1, "chunk_size": 1}):
        with pytest.raises(BadInput, match="expected"):
            co.partition(partition_chunks_strategy, **options)
