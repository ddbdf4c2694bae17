"""Slices of LAS and LAZ: each point once, by their number and by where they lie."""

import io
import os

import laspy
import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats import las
from hpc_connector.slices.formats.las import (
    LAS,
    LiDARPointCloud,
    partition_num_points,
    square_split_strategy,
)
from slicing import COUNTS, DATA, count_traffic, open_copy, travel

SIMPLE = DATA / "slices" / "las" / "simple.las"
AUTZEN = DATA / "slices" / "las" / "autzen_trim.laz"
HEAD_BYTES = {SIMPLE: 227, AUTZEN: 2144}


def get_records(clouds):
    return np.concatenate([cloud.points.array for cloud in clouds])


def get_whole(path):
    return laspy.read(path).points.array


def check_points(path, folder, counts):
    co = open_copy(LAS, path, folder)
    for n in counts:
        slices = co.partition(partition_num_points, num_chunks=n)
        clouds = [travel(part).get() for part in slices]
        sizes = [len(cloud) for cloud in clouds]
        assert len(slices) == n
        assert max(sizes) - min(sizes) <= 1
        npt.assert_array_equal(get_records(clouds), get_whole(path))


def test_partition_num_points__of_las(tmp_path):
    check_points(SIMPLE, tmp_path, COUNTS)


def test_partition_num_points__of_laz(tmp_path):
    check_points(AUTZEN, tmp_path, [1, 2, 3, 7, 8])


def test_partition_num_points__many_of_laz(tmp_path):
    co = open_copy(LAS, AUTZEN, tmp_path)
    whole = get_whole(AUTZEN)
    slices = co.partition(partition_num_points, num_chunks=64)
    ends = [part.facts["points"] for part in slices]
    assert [b for _, b in ends[:-1]] == [a for a, _ in ends[1:]]
    for k in (0, 29, 63):
        first, last = ends[k]
        got = travel(slices[k]).get().points.array
        npt.assert_array_equal(got, whole[first:last])


def sort_points(records):
    return records[np.lexsort([records[name] for name in ("gps_time", "Z", "Y", "X")])]


def check_squares(path, folder, counts):
    co = open_copy(LiDARPointCloud, path, folder)
    whole = laspy.read(path)
    for n in counts:
        slices = co.partition(square_split_strategy, num_chunks=n)
        clouds = [travel(part).get() for part in slices]
        assert len(slices) == n
        npt.assert_array_equal(
            sort_points(get_records(clouds)), sort_points(whole.points.array)
        )
        for cloud, part in zip(clouds, slices, strict=True):
            assert_within(cloud, part.facts["square"])


def assert_within(cloud, square):
    """Make sure that points are within the bounds of a rectangle."""
    for axis, values in (("column", cloud.x), ("row", cloud.y)):
        k, n = square[axis], square[f"n_{axis}s"]
        number = 0 if axis == "column" else 1
        low, high = square["lowest"][number], square["highest"][number]
        edges = np.linspace(low, high, n + 1)[k : k + 2]
        values = np.asarray(values)
        assert ((edges[0] - 1e-6 <= values) & (values <= edges[1] + 1e-6)).all()


def test_square_split__every_point_once_of_las(tmp_path):
    check_squares(SIMPLE, tmp_path, COUNTS)


def test_square_split__every_point_once_of_laz(tmp_path):
    check_squares(AUTZEN, tmp_path, [1, 3, 8])


def test_square_split__points_on_an_edge_are_in_one(tmp_path):
    header = laspy.LasHeader(version="1.2", point_format=0)
    header.scales = [1, 1, 1]
    cloud = laspy.LasData(header)
    x, y = np.meshgrid(np.arange(9), np.arange(9))
    cloud.x, cloud.y, cloud.z = x.ravel(), y.ravel(), np.zeros(81)
    cloud.write(tmp_path / "grid.las")
    co = CloudObject.from_path(LiDARPointCloud, tmp_path / "grid.las").preprocess()
    slices = co.partition(square_split_strategy, num_chunks=16)
    sizes = [len(part.get()) for part in slices]
    assert sizes == [4, 4, 4, 6] * 3 + [6, 6, 6, 9]  # the last ones are closed
    for strategy in (square_split_strategy, partition_num_points):
        slices = co.partition(strategy, num_chunks=100)
        assert sum(len(part.get()) for part in slices) == 81


@pytest.mark.parametrize("highest_x", [637_000, 0])
def test_square_split__bounds_of_the_header_may_be_wrong(highest_x, tmp_path):
    data = bytearray(SIMPLE.read_bytes())
    data[179:187] = np.float64(highest_x).tobytes()
    (tmp_path / "a.las").write_bytes(data)
    co = CloudObject.from_path(LiDARPointCloud, tmp_path / "a.las").preprocess()
    slices = co.partition(square_split_strategy, num_chunks=8)
    assert sum(len(part.get()) for part in slices) == 1065


def test_preprocess__on_all_cores_makes_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(las, "TASK_BYTES", 100_000)
    co = open_copy(LiDARPointCloud, AUTZEN, tmp_path)
    blocks = co.index.arrays["blocks"].tobytes()
    co.preprocess("local", force=True)  # after obstore has run in this process
    assert co.index.arrays["blocks"].tobytes() == blocks


@pytest.mark.parametrize(("version", "number"), [("1.2", 1), ("1.4", 7)])
@pytest.mark.parametrize("is_stream", [False, True])
def test_partition__forms_of_laz(version, number, is_stream, tmp_path):
    header = laspy.LasHeader(version=version, point_format=number)
    header.add_extra_dim(laspy.ExtraBytesParams("own", "f4"))
    header.scales = [0.01, 0.01, 0.01]
    cloud, n = laspy.LasData(header), 120_000
    cloud.x, cloud.y, cloud.own = np.random.default_rng(1).uniform(-50, 50, (3, n))
    cloud.write(tmp_path / "a.laz")
    if is_stream:  # whose chunk table is found from the end
        data = bytearray((tmp_path / "a.laz").read_bytes())
        at = int.from_bytes(data[96:100], "little")
        data += data[at : at + 8]
        data[at : at + 8] = b"\xff" * 8
        (tmp_path / "a.laz").write_bytes(data)
    co = CloudObject.from_path(LAS, tmp_path / "a.laz").preprocess()
    slices = co.partition(partition_num_points, num_chunks=4)
    clouds = [part.get() for part in slices]
    npt.assert_array_equal(get_records(clouds), cloud.points.array)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize("format", [LAS, LiDARPointCloud])
def test_partition__a_cloud_without_points(name, format, tmp_path):
    laspy.LasData(laspy.LasHeader()).write(tmp_path / name)
    co = CloudObject.from_path(format, tmp_path / name).preprocess()
    for strategy in (partition_num_points, square_split_strategy):
        slices = co.partition(strategy, num_chunks=3)
        assert [len(part.get()) for part in slices] == [0, 0, 0]


def test_preprocess__bounds_that_are_no_numbers(tmp_path):
    data = bytearray(SIMPLE.read_bytes())
    data[179:187] = np.float64("nan").tobytes()
    (tmp_path / "a.las").write_bytes(data)
    with pytest.raises(BadInput, match="no numbers"):
        CloudObject.from_path(LAS, tmp_path / "a.las").preprocess()


def test_square_split__without_bounds_is_the_same(tmp_path):
    counts = []
    for format in (LAS, LiDARPointCloud):
        co = open_copy(format, AUTZEN, tmp_path)
        slices = co.partition(square_split_strategy, num_chunks=3)
        counts.append([len(part.get()) for part in slices])
    assert counts[0] == counts[1]


def test_preprocess__reads_header_and_chunk_table_only(tmp_path):
    path = tmp_path / "a.laz"
    path.write_bytes(AUTZEN.read_bytes())
    co = CloudObject.from_path(LAS, path)
    _, _, n_bytes = count_traffic(co.preprocess)
    assert n_bytes < 70_000


@pytest.mark.parametrize("path", [SIMPLE, AUTZEN], ids=["las", "laz"])
def test_get__bytes_are_those_of_its_blocks(path, tmp_path):
    co = open_copy(LAS, path, tmp_path)
    blocks = 0 if path == SIMPLE else 2 * 283_499
    for part in co.partition(partition_num_points, num_chunks=8):
        cloud, requests, n_bytes = count_traffic(part.get)
        index = sum(b - a for a, b in part.index_ranges)
        points = len(cloud) * cloud.point_format.size
        assert n_bytes <= HEAD_BYTES[path] + index + (blocks or points)
        assert requests <= 3


def test_partition__again_reads_no_data(tmp_path):
    co = open_copy(LiDARPointCloud, SIMPLE, tmp_path)
    co.partition(partition_num_points, num_chunks=2)
    for strategy in (partition_num_points, square_split_strategy):
        _, requests, n_bytes = count_traffic(co.partition, strategy, num_chunks=7)
        assert (requests, n_bytes) == (0, 0)


def test_get__can_be_written(tmp_path):
    co = open_copy(LAS, AUTZEN, tmp_path)
    part = co.partition(partition_num_points, num_chunks=8)[3]
    stream = io.BytesIO()
    part.get().write(stream, do_compress=True)
    stream.seek(0)
    again = laspy.read(stream)
    npt.assert_array_equal(again.points.array, part.get().points.array)
    assert len(again.header.vlrs.get("GeoKeyDirectoryVlr")) == 1


def test_get__a_changed_object_is_refused(tmp_path):
    co = open_copy(LAS, SIMPLE, tmp_path)
    (part,) = co.partition(partition_num_points, num_chunks=1)
    os.utime(tmp_path / SIMPLE.name, (1, 1))
    with pytest.raises(BadInput, match="changed since it was indexed"):
        part.get()
    assert not CloudObject.from_path(LAS, tmp_path / SIMPLE.name).is_preprocessed()


@pytest.mark.parametrize("path", [SIMPLE, AUTZEN], ids=["las", "laz"])
@pytest.mark.parametrize("n_bytes", [3, 100, 230, 2150, 20_000])
def test_preprocess__a_cut_file(path, n_bytes, tmp_path):
    (tmp_path / "a.laz").write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(BadInput, match=r"a\.laz"):
        CloudObject.from_path(LAS, tmp_path / "a.laz").preprocess()


@pytest.mark.parametrize(
    ("at", "value", "problem"),
    [
        (100, 1 << 31, "records before byte"),
        (603_333 + 4, 1 << 31, "expected a chunk table"),
    ],
    ids=["records", "chunks"],
)
def test_preprocess__absurd_numbers(at, value, problem, tmp_path):
    data = bytearray(AUTZEN.read_bytes())
    data[at : at + 4] = value.to_bytes(4, "little")
    (tmp_path / "a.laz").write_bytes(data)
    with pytest.raises(BadInput, match=problem):
        CloudObject.from_path(LAS, tmp_path / "a.laz").preprocess()
