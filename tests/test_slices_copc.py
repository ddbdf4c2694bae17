"""Slices of COPC: each point once, from the nodes that meet a rectangle."""

import os
import struct

import laspy
import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.copc import (
    COPC,
    partition_num_points,
    square_split_strategy,
)
from hpc_connector.storage import ranges
from slicing import COUNTS, DATA, count_traffic, open_copy, travel

SIMPLE = DATA / "slices" / "copc" / "simple.copc.laz"
ROOT = 429 + 40  # byte where the place of the first page stands


def sort_points(records):
    return records[np.lexsort([records[name] for name in ("gps_time", "Z", "Y", "X")])]


def get_records(slices):
    return np.concatenate([travel(part).get().points.array for part in slices])


def write_copc(path, change):
    data = bytearray(SIMPLE.read_bytes())
    change(data)
    path.write_bytes(data)
    return CloudObject.from_path(COPC, path)


@pytest.mark.parametrize("strategy", [partition_num_points, square_split_strategy])
@pytest.mark.parametrize("n", COUNTS)
def test_partition__every_point_once(strategy, n, tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    slices = co.partition(strategy, num_chunks=n)
    whole = laspy.read(SIMPLE).points.array
    assert len(slices) == n
    npt.assert_array_equal(sort_points(get_records(slices)), sort_points(whole))


def test_partition_num_points__more_than_there_are(tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    slices = co.partition(partition_num_points, num_chunks=1100)[::50]
    assert {len(part.get()) for part in slices} == {0, 1}


def test_square_split__agrees_with_laspy(tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    with laspy.CopcReader.open(SIMPLE) as reader:
        low, high = reader.header.mins[:2], reader.header.maxs[:2]
        middle = (low + high) / 2
        bounds = laspy.copc.Bounds(low, middle)
        expected = reader.query(bounds).array
    part = co.partition(square_split_strategy, num_chunks=4)[0]
    npt.assert_array_equal(sort_points(get_records([part])), sort_points(expected))


def test_square_split__reads_the_nodes_that_meet_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "NEAR_BYTES", 0)
    co = open_copy(COPC, SIMPLE, tmp_path)
    slices = co.partition(square_split_strategy, num_chunks=64)
    assert min(part.n_bytes for part in slices) < 0.2 * co.size
    for part in slices[::9]:
        _, _, n_bytes = count_traffic(part.get)
        assert n_bytes == part.n_bytes + sum(b - a for a, b in part.index_ranges)


def test_get__asks_three_times(tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    for part in co.partition(square_split_strategy, num_chunks=7):
        assert count_traffic(part.get)[1] == 3  # header, rows of the index, nodes


def test_partition__again_reads_no_data(tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    co.partition(square_split_strategy, num_chunks=2)
    _, requests, n_bytes = count_traffic(
        co.partition, square_split_strategy, num_chunks=7
    )
    assert (requests, n_bytes) == (0, 0)


def test_get__a_changed_object_is_refused(tmp_path):
    co = open_copy(COPC, SIMPLE, tmp_path)
    part = co.partition(square_split_strategy, num_chunks=3)[1]
    os.utime(tmp_path / SIMPLE.name, (1, 1))
    with pytest.raises(BadInput, match="changed since it was indexed"):
        part.get()


def test_preprocess__hierarchy_of_two_pages(tmp_path):
    def split(data):
        root, size = struct.unpack_from("<2Q", data, ROOT)
        entries, half = data[root : root + size], 32 * 20
        link = struct.pack("<4iQ2i", 1, 0, 0, 0, len(data), size - half, -1)
        data += entries[half:]
        struct.pack_into("<2Q", data, ROOT, len(data), half + 32)
        data += entries[:half] + link

    co = write_copc(tmp_path / "a.copc.laz", split).preprocess()
    slices = co.partition(square_split_strategy, num_chunks=3)
    assert len(get_records(slices)) == 1065


def put(form, at, *values):
    return lambda data: struct.pack_into(form, data, at, *values)


def loop(data):
    root, size = struct.unpack_from("<2Q", data, ROOT)
    struct.pack_into("<Q2i", data, root + 16, root, size, -1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put("4s", 377, b"none"), "expected COPC"),
        (put("<Q", ROOT, 1 << 40), "expected a page"),
        (put("<Q", ROOT + 8, 33), "expected a page"),
        (put("<Q", ROOT + 8, 32), "points in its blocks"),
        (loop, "expected a page"),
    ],
    ids=["las", "outside", "odd", "short", "loop"],
)
def test_preprocess__a_damaged_hierarchy(change, problem, tmp_path):
    co = write_copc(tmp_path / "a.copc.laz", change)
    with pytest.raises(BadInput, match=problem):
        co.preprocess()
