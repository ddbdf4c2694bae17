"""FASTQ.gz by slices: every read once, in order, to the byte."""

import bz2
import gzip
import itertools
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.slices.formats import packed_text as slices_text
from hpc_connector.slices.formats.fastq_gzip import (
    FASTQGZip,
    partition_num_chunks,
    partition_reads_batches,
    partition_sequences_per_chunk,
)
from hpc_connector.slices.formats.packed_text import make_slice, read_spans
from hpc_connector.slices.gzip_points import inflate_from, thin
from hpc_connector.storage.ranges import fetch
from slice_checks import KINDS, check_partition, measure_most_bytes, open_indexed, pack

DATA = Path(__file__).parent / "data" / "slices" / "fastq"
FILES = {"reads_1.fq.gz": 2500, "test.fq.gz": 800}
PACKED = [kind for kind in KINDS if kind != "plain"]
NUMBERS = (1, 2, 3, 7, 8, 64)


def make_fastq(n_reads: int, length: int = 150) -> bytes:
    """Return reads of a seed, with qualities of few values, as of sequencers."""
    rng = np.random.default_rng(20261125)
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (n_reads, length))]
    quality = np.frombuffer(b"FFFFFF:,#", np.uint8)[
        rng.integers(0, 9, (n_reads, length))
    ]
    return b"".join(
        b"@run:1:%d:%d\n%s\n+\n%s\n" % (n, n * 7919 % 9973, s.tobytes(), q.tobytes())
        for n, (s, q) in enumerate(zip(bases, quality, strict=True))
    )


@pytest.fixture(scope="module")
def text() -> bytes:
    return make_fastq(70_000)


@pytest.fixture(scope="module", params=PACKED)
def large(request, text, tmp_path_factory):
    path = tmp_path_factory.mktemp("fastq") / f"{request.param}.fq.gz"
    return open_indexed(FASTQGZip, pack(path, request.param, text))


@pytest.fixture
def copy(tmp_path):
    def make(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes((DATA / name).read_bytes())
        return path

    return make


@pytest.mark.parametrize("name", FILES)
def test_partition__real_reads_once_in_order(copy, name):
    path = copy(name)
    body = gzip.decompress(path.read_bytes())
    co = open_indexed(FASTQGZip, path)
    assert co.attributes["n_reads"] == FILES[name]
    numbers = NUMBERS if FILES[name] > 1000 else (*NUMBERS, FILES[name] + 5)
    check_partition(co, partition_reads_batches, "num_batches", numbers, body)
    check_partition(co, partition_num_chunks, "num_chunks", NUMBERS, body)
    numbers = (77, 100, FILES[name], FILES[name] + 1)
    check_partition(co, partition_sequences_per_chunk, "seq_per_chunk", numbers, body)


def test_partition__lines_of_whole_reads(copy):
    co = open_indexed(FASTQGZip, copy("test.fq.gz"))
    parts = co.partition(partition_reads_batches, num_batches=3)
    assert [len(part.get()) for part in parts] == [4 * 266, 4 * 267, 4 * 267]
    parts = co.partition(partition_sequences_per_chunk, seq_per_chunk=300)
    assert [len(part.get()) for part in parts] == [1200, 1200, 800]
    parts = co.partition(
        partition_sequences_per_chunk, seq_per_chunk=300, strategy="merge"
    )
    assert [len(part.get()) for part in parts] == [1200, 2000]


def test_to_file__lines(copy, tmp_path):
    path = copy("test.fq.gz")
    (part,) = open_indexed(FASTQGZip, path).partition(
        partition_reads_batches, num_batches=1
    )
    body = gzip.decompress(path.read_bytes())
    assert part.to_file(tmp_path / "out.fq").read_bytes() == body
    assert part.open().read() == body


def test_partition__large(large, text):
    numbers = (1, 3, 8)
    check_partition(large, partition_reads_batches, "num_batches", numbers, text)
    parts = large.partition(partition_num_chunks, num_chunks=8)
    assert FASTQGZip.join([part.get() for part in parts]) == text
    sizes = [part.n_bytes for part in parts]
    assert max(sizes) < 1.25 * min(sizes)


def test_partition__bytes_of_a_slice(large):
    parts = large.partition(partition_reads_batches, num_batches=8)
    assert measure_most_bytes(parts) <= 1.05 * large.size / 8 + 100_000


def test_make_index__small_in_large_objects(text, tmp_path, monkeypatch):
    monkeypatch.setattr(slices_text, "get_spacing", lambda *_: slices_text.MOST_SPACING)
    monkeypatch.setattr(slices_text, "get_step", lambda _: 256 << 10)
    co = open_indexed(FASTQGZip, pack(tmp_path / "a.fq.gz", "gzip", text))
    assert len(co.index.arrays["points"]) > 2
    assert len(co.index_bytes) <= 0.004 * co.size
    check_partition(co, partition_reads_batches, "num_batches", (7,), text)


def test_make_slice__at_every_point(text, tmp_path):
    co = open_indexed(FASTQGZip, pack(tmp_path / "a.fq.gz", "members", text))
    points = co.index.arrays["points"]
    assert set(points[:, 1]) == set(range(8))  # every number of bits
    for at in map(int, points[:-1, 2]):
        for first in (max(at - 1, 0), at, min(at + 777, len(text) - 1)):
            last = min(first + 5000, len(text))
            part = make_slice(co, [(first, last)])
            pieces = fetch(part.source, part.version, part.ranges)
            pieces += fetch(part.index, part.index_version, part.index_ranges)
            assert read_spans(part, pieces) == [text[first:last]]


def test_make_index__parallel_bgzip(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.fq.gz", "bgzip", make_fastq(6000))
    whole = open_indexed(FASTQGZip, path).index
    for chunk_bytes in (10_007, 65_537, 1 << 18):
        monkeypatch.setattr(slices_text, "CHUNK_BYTES", chunk_bytes)
        co = open_indexed(FASTQGZip, path).preprocess(force=True)
        assert co.index.facts == whole.facts
        for name, array in whole.arrays.items():
            npt.assert_array_equal(co.index.arrays[name], array)


line = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=9)


@settings(max_examples=40, deadline=None)
@given(
    reads=st.lists(st.tuples(line, line, line, line), max_size=12),
    kind=st.sampled_from(PACKED),
    end=st.sampled_from(["\n", "\r\n"]),
    is_open=st.booleans(),
)
def test_partition__made_reads(reads, kind, end, is_open):
    made = "".join(f"@{a}{end}{b}{end}+{c}{end}@{d}{end}" for a, b, c, d in reads)
    body = made.removesuffix(end if is_open else "").encode()
    with tempfile.TemporaryDirectory() as folder:
        co = open_indexed(FASTQGZip, pack(Path(folder) / "a.fq.gz", kind, body))
        assert co.attributes["n_reads"] == len(reads)
        numbers = (1, 2, 3, len(reads) + 1)
        check_partition(co, partition_reads_batches, "num_batches", numbers, body)
        check_partition(co, partition_num_chunks, "num_chunks", numbers, body)


def test_get__bytes_that_are_no_utf8(tmp_path):
    body = b"@a\xff\nAC\n+\nF\xe9\n"
    co = open_indexed(FASTQGZip, pack(tmp_path / "a.fq.gz", "gzip", body))
    check_partition(co, partition_reads_batches, "num_batches", (1, 2), body)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-3], "cut at byte"),
        (lambda data: data[: len(data) // 2], "cut at byte"),
        (lambda data: data[:10], "cut at byte 10"),
        (lambda data: data[:-8] + b"1234" + data[-4:], "corrupt"),
        (lambda data: data[:9000] + bytes(9) + data[9009:], "after byte .*: corrupt"),
        (lambda data: data + b"no gzip, but a long text", "after byte .*: corrupt"),
        (lambda data: data + data[:15], "cut at byte"),
        (lambda data: gzip.decompress(data), "byte 0: expected gzip"),
    ],
)
def test_make_index__damaged_gzip(copy, damage, told):
    path = copy("test.fq.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"test.fq.gz.*{told}"):
        open_indexed(FASTQGZip, path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-2000], "byte .*: the bgzip block is cut"),
        (lambda data: data[:9000] + bytes(9) + data[9009:], "byte 0"),
        (lambda data: data[:-28] + b"text" + data[-28:], "byte .*: expected the start"),
    ],
)
def test_make_index__damaged_bgzip(tmp_path, damage, told):
    path = pack(tmp_path / "a.fq.gz", "bgzip", make_fastq(500))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"a.fq.gz.*{told}"):
        open_indexed(FASTQGZip, path)


def test_make_index__lines_that_are_no_reads(tmp_path):
    path = pack(tmp_path / "a.fq.gz", "gzip", b"@a\nAC\n+\nFF\n@b\n")
    with pytest.raises(BadInput, match="5 lines, expected 4 for each read"):
        open_indexed(FASTQGZip, path)
    path = pack(tmp_path / "b.fq.gz", "gzip", b"a\nAC\n+\nFF\n")
    (part,) = open_indexed(FASTQGZip, path).partition(
        partition_reads_batches, num_batches=1
    )
    with pytest.raises(BadInput, match="expected '@'"):
        part.get()


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (partition_reads_batches, {"num_batches": 0}),
        (partition_num_chunks, {"num_chunks": -1}),
        (partition_sequences_per_chunk, {"seq_per_chunk": 0}),
        (partition_sequences_per_chunk, {"seq_per_chunk": 1, "strategy": "cut"}),
    ],
)
def test_partition__bad_options(copy, strategy, options):
    co = open_indexed(FASTQGZip, copy("test.fq.gz"))
    with pytest.raises(BadInput, match="expected"):
        co.partition(strategy, **options)


def test_get__index_made_anew(copy):
    co = open_indexed(FASTQGZip, copy("test.fq.gz"))
    (old,) = co.partition(partition_reads_batches, num_batches=1)
    co.preprocess(force=True)
    (new,) = co.partition(partition_reads_batches, num_batches=1)
    assert new.index_version != old.index_version
    assert len(new.get()) == 3200


@pytest.mark.parametrize("level", [1, 6, 9])
def test_thin__loses_no_byte_that_is_copied(level, tmp_path):
    text = make_fastq(15_000)
    path = tmp_path / "a.fq.gz"
    path.write_bytes(gzip.compress(text, level))
    co = open_indexed(FASTQGZip, path)
    points, windows = co.index.arrays["points"], co.index.arrays["windows"].tobytes()
    data = path.read_bytes()
    n_zeros = []
    for (byte, bits, at, first), (*_, last) in itertools.pairwise(points.tolist()):
        window = bz2.decompress(windows[first:last]) if first < last else b""
        n_zeros.append(window.count(0))
        n_text = min(300_000, len(text) - at)  # far beyond what copies from the window
        got = inflate_from(
            data[byte - (bits > 0) :], bits, windows[first:last], n_text, ""
        )
        assert got[:n_text] == text[at : at + n_text]
    assert max(n_zeros) > 1000


def test_thin__keeps_all_where_data_are_short():
    window = os.urandom(1 << 15)
    packer = zlib.compressobj(6, wbits=-15, zdict=window)
    data = packer.compress(window[1000:9000]) + packer.compress(os.urandom(40_000))
    data += packer.flush()
    assert thin(window, data[:20_000], 0) == window
    kept = np.frombuffer(thin(window, data, 0), np.uint8)
    assert kept[1000:8990].tobytes() == window[1000:8990]
    assert not kept[:999].any()
