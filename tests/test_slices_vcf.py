"""VCF and BCF in bgzip, cut by the index of tabix, or by one pass."""

import dataclasses
import gzip
import itertools
import pickle
import shutil
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK, MAX_BLOCK_BYTES, TAIL_BYTES
from hpc_connector.loader.tabix import FIRST, read_tabix
from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.slices.formats import blocks, vcf_gzip
from hpc_connector.slices.formats.bcf import BCF
from hpc_connector.slices.formats.vcf_gzip import (
    VCFGZip,
    partition_chunk_size,
    partition_num_chunks,
    partition_regions,
)
from hpc_connector.storage import ranges
from hpc_connector.storage.traffic import traffic
from programs import overwrite

DATA = Path(__file__).parent / "data" / "slices" / "vcf"
NAMES = ("chr22.vcf.gz", "exome_trios.vcf.gz", "NA12878_30000.g.vcf.gz")
GVCF = NAMES[2]
NUMBERS = (1, 2, 3, 7, 8, 64, 40_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the files, and their records as BCF too."""
    folder = tmp_path_factory.mktemp("vcf")
    for path in DATA.glob("*.vcf.gz*"):
        shutil.copy(path, folder)
    for name in NAMES:
        target = str(folder / f"{name}.bcf")
        with pysam.VariantFile(str(DATA / name)) as found:
            found.header.contigs.add("absent")
            with pysam.VariantFile(target, "wb", header=found.header) as made:
                for record in found:
                    made.write(record)
        pysam.tabix_index(target, preset="bcf", force=True)
    return folder


@pytest.fixture
def open_object(folder, tmp_path):
    """Return a function that opens a copy of a file, with or without its index."""

    def open_object(name: str, *, has_index: bool = True) -> CloudObject:
        for path in folder.glob(f"{name}*"):
            if path.is_file() and (has_index or path.name == name):
                shutil.copy(path, tmp_path)
        if name.endswith(".gz"):
            (tmp_path / f"{name}.bcf").unlink(missing_ok=True)
            (tmp_path / f"{name}.bcf.csi").unlink(missing_ok=True)
        format = BCF if name.endswith(".bcf") else VCFGZip
        return CloudObject.from_path(format, tmp_path / name)

    return open_object


def split_header(data: bytes) -> tuple[bytes, bytes]:
    at = data.index(b"\n#CHROM")
    at = data.index(b"\n", at + 1) + 1
    return data[:at], data[at:]


def count(action) -> tuple[int, int]:
    before = traffic.requests, traffic.n_bytes
    action()
    after = traffic.requests, traffic.n_bytes
    return after[0] - before[0], after[1] - before[1]


def get_sites(path) -> list[str]:
    with pysam.VariantFile(str(path)) as file:
        return [str(record) for record in file]


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", NAMES)
def test_vcf_gzip__has_every_record_once(open_object, name, n, has_index):
    if n > 1000 and name != NAMES[0]:
        n = 200  # more than there are places
    co = open_object(name, has_index=has_index).preprocess()
    whole = gzip.decompress((DATA / name).read_bytes())
    header, body = split_header(whole)
    slices = co.partition(partition_num_chunks, num_chunks=min(n, 500))
    got = [part.get().encode() for part in slices]
    assert all(text.startswith(header) for text in got)
    assert b"".join(text.removeprefix(header) for text in got) == body
    assert VCFGZip.join([text.decode() for text in got]) == whole


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 64, 200])
@pytest.mark.parametrize("name", NAMES)
def test_bcf__has_every_record_once(open_object, tmp_path, name, n, has_index):
    co = open_object(f"{name}.bcf", has_index=has_index).preprocess()
    slices = co.partition(partition_num_chunks, num_chunks=n)
    got = [part.get() for part in slices]
    assert BCF.join(got) == gzip.decompress((tmp_path / f"{name}.bcf").read_bytes())
    if n in (3, 8):
        paths = [part.to_file(tmp_path / "part.bcf") for part in slices[:1]]
        for part in slices[1:]:
            paths.append(part.to_file(tmp_path / f"{len(paths)}.bcf"))
        sites = list(itertools.chain(*map(get_sites, paths)))
        assert sites == get_sites(tmp_path / f"{name}.bcf")
        pysam.tabix_index(str(paths[0]), preset="bcf", force=True)


@given(
    st.lists(st.integers(0, 50), min_size=1).map(sorted),
    st.lists(st.integers(-5, 60)).map(sorted),
)
def test_find_nearest__is_as_near_as_any(values, wanted):
    found = vcf_gzip.find_nearest(np.array(values, float), np.array(wanted, float))
    for number, value in zip(found, wanted, strict=True):
        assert abs(values[number] - value) == min(abs(v - value) for v in values)
    assert (np.diff(found) >= 0).all()


def test_partition_chunk_size__is_of_about_that_size(open_object):
    co = open_object(GVCF, has_index=False).preprocess()
    whole = gzip.decompress((DATA / GVCF).read_bytes())
    slices = co.partition(partition_chunk_size, chunk_size=50_000)
    assert len(slices) == -(-co.size // 50_000)
    assert max(part.n_bytes for part in slices) <= 50_000 + 3 * MAX_BLOCK_BYTES
    assert VCFGZip.join([part.get() for part in slices]) == whole
    with pytest.raises(BadInput, match="0: expected 1 or more"):
        co.partition(partition_chunk_size, chunk_size=0)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("ending", ["", ".bcf"])
def test_slice__needs_two_requests(open_object, ending, has_index, monkeypatch):
    monkeypatch.setattr(ranges, "NEAR_BYTES", 0)  # as in a large file
    co = open_object(GVCF + ending, has_index=has_index).preprocess()
    for n in (1, 8, 64):
        for part in co.partition(partition_num_chunks, num_chunks=n):
            requests, n_bytes = count(part.get)
            assert requests <= 2
            if not has_index:  # that of tabix has few places in so small a file
                assert n_bytes <= co.size / n + 2 * MAX_BLOCK_BYTES


@pytest.mark.parametrize("name", [GVCF, f"{GVCF}.bcf"])
def test_partition__reads_nothing(open_object, name):
    co = open_object(name).preprocess()
    assert co.is_preprocessed()
    for n in NUMBERS[:-1]:
        assert count(lambda n=n: co.partition(partition_num_chunks, num_chunks=n)) == (
            0,
            0,
        )
    regions = [("20", 0, 10**8), ("20", 60_000, 61_000)]
    assert count(lambda: co.partition(partition_regions, regions=regions)) == (0, 0)


def test_preprocess__reads_the_index_alone(open_object, tmp_path):
    co = open_object(GVCF)
    assert co.version.size > 0
    n_bytes = count(co.preprocess)[1]
    n_tabix = (tmp_path / f"{GVCF}.tbi").stat().st_size
    assert n_bytes == n_tabix + TAIL_BYTES  # whether it ends with one


@pytest.mark.parametrize("name", [GVCF, f"{GVCF}.bcf"])
def test_slice__travels(open_object, name):
    co = open_object(name).preprocess()
    slices = co.partition(partition_num_chunks, num_chunks=7)
    slices += co.partition(partition_regions, regions=[("20", 60_000, 61_000)])
    for part in slices:
        assert len(pickle.dumps(part)) < 2048
        assert pickle.loads(pickle.dumps(part)) == part
        assert DataSlice.from_json(part.to_json()) == part
        assert DataSlice.from_json(part.to_json()).get() == part.get()


@pytest.mark.parametrize("ending", ["", ".bcf"])
@pytest.mark.parametrize("name", NAMES)
def test_partition_regions__tile_a_contig(open_object, tmp_path, name, ending):
    path = tmp_path / f"{name}{ending}"
    co = open_object(path.name).preprocess()
    with pysam.VariantFile(str(path)) as file:
        sites = [(record.contig, record.start, str(record)) for record in file]
    records = [site[:2] for site in sites]
    contig = records[0][0]
    last = max(start for name, start in records if name == contig) + 1
    ends = [*np.linspace(0, last, 12).astype(int).tolist()]
    ends += [records[0][1], records[0][1] + 1, records[len(records) // 2][1], last]
    regions = [(contig, a, b) for a, b in itertools.pairwise(sorted(ends))]
    got = []
    for part in co.partition(partition_regions, regions=regions):
        got.append(get_sites(part.to_file(tmp_path / f"part{ending or '.vcf'}")))
    for found, (_, start, stop) in zip(got, regions, strict=True):
        assert found == [t for n, at, t in sites if n == contig and start <= at < stop]
    assert sum(map(len, got)) == sum(name == contig for name, _ in records)


@pytest.fixture(scope="module")
def long_records(tmp_path_factory):
    """Return records on three contigs, some of which reach over many bins."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("long") / "long.vcf"
    head = [
        "##fileformat=VCFv4.2",
        '##INFO=<ID=END,Number=1,Type=Integer,Description="">',
    ]
    head += [f"##contig=<ID={name},length=9000000>" for name in "abc"]
    lines = [*head, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for name in "abc":
        for at in np.sort(rng.integers(1, 2_000_000, 3000)):
            end = at + rng.choice([1, 9, 50_000, 400_000], p=[0.5, 0.4, 0.05, 0.05])
            noise = rng.bytes(60).hex()
            lines.append(f"{name}\t{at}\t{noise}\tA\t<X>\t.\t.\tEND={end}")
    path.write_text("\n".join([*lines, ""]))
    with pysam.VariantFile(str(path)) as file:
        sites = [(record.contig, record.start, str(record)) for record in file]
        with pysam.VariantFile(f"{path}.bcf", "wb", header=file.header) as made:
            file.reset()
            for record in file:
                made.write(record)
    pysam.tabix_index(f"{path}.bcf", preset="bcf")
    pysam.tabix_compress(str(path), f"{path}.gz")
    pysam.tabix_index(f"{path}.gz", preset="vcf")
    return path, sites


@pytest.mark.parametrize(("format", "ending"), [(VCFGZip, ".gz"), (BCF, ".bcf")])
def test_partition_regions__of_records_that_reach_far(long_records, format, ending):
    path, sites = long_records
    co = CloudObject.from_path(format, f"{path}{ending}").preprocess()
    rng = np.random.default_rng(2)
    bounds = np.sort(rng.integers(0, 2_000_000, (15, 2)), axis=1).tolist()
    bounds += [[start, start + 3000] for start in rng.integers(0, 2_000_000, 15)]
    regions = [(name, int(a), int(b)) for name in "abc" for a, b in bounds]
    slices = co.partition(partition_regions, regions=regions)
    for part, (name, start, stop) in zip(slices, regions, strict=True):
        found = get_sites(part.to_file(path.with_name(f"part{ending[-3:]}.vcf")))
        assert found == [t for n, at, t in sites if n == name and start <= at < stop]


@pytest.mark.parametrize("n_more", range(20))
def test_read_blocks__where_a_head_is_cut(long_records, n_more, monkeypatch):
    path, _ = long_records
    co = CloudObject.from_path(VCFGZip, f"{path}.gz")
    places = vcf_gzip.find_records(co.source, co.version)
    third = int(places[2]) >> 16
    monkeypatch.setattr(blocks, "CHUNK_BYTES", third + n_more)
    again = vcf_gzip.find_records(co.source, co.version)
    assert again.tolist() == places.tolist()


def test_find_records__refuses_a_record_that_is_cut(long_records, tmp_path):
    path, _ = long_records
    data = gzip.decompress(Path(f"{path}.bcf").read_bytes())
    for n_bytes in (len(data) - 5, 8, 100, len(data) - len(data) // 3):
        (tmp_path / "cut.bcf").write_bytes(blocks.deflate(data[:n_bytes]))
        with pytest.raises(BadInput, match=r"cut\.bcf is cut: its last record"):
            CloudObject.from_path(BCF, tmp_path / "cut.bcf").preprocess()


def test_partition_regions__reads_little(open_object, monkeypatch):
    monkeypatch.setattr(ranges, "NEAR_BYTES", 0)
    co = open_object(GVCF).preprocess()
    text = co.partition(partition_num_chunks, num_chunks=1)[0].get()
    middle = int(text.splitlines()[-15_000].split("\t")[1])
    (part,) = co.partition(partition_regions, regions=[("20", middle, middle + 100)])
    requests, n_bytes = count(part.get)
    assert requests <= 2
    assert n_bytes < co.size * 3 / 4  # of it a block to end the header


@pytest.mark.parametrize("ending", ["", ".bcf"])
def test_partition_regions__may_be_empty(open_object, ending):
    co = open_object(NAMES[0] + ending).preprocess()
    regions = [("chr22", 0, 1), ("chr22", 5, 5), ("chr22", 10**9, 2 * 10**9)]
    regions += [("absent", 0, 10**9)] if ending else []
    for part in co.partition(partition_regions, regions=regions):
        got = part.get()
        text = gzip.decompress(got).decode("latin-1") if ending else got
        assert "#CHROM" in text.splitlines()[-1] or text.endswith("\n\0")


def test_partition_regions__refuses(open_object):
    co = open_object(GVCF).preprocess()
    with pytest.raises(BadInput, match="contig 'chr20': expected such as 20"):
        co.partition(partition_regions, regions=[("chr20", 0, 1)])


def test_keep_region__refuses_a_record_without_a_position(open_object):
    co = open_object(GVCF).preprocess()
    (part,) = co.partition(partition_regions, regions=[("20", 0, 10**9)])
    for line in (b"20 1 .\n", b"20\tx\t.\n"):
        with pytest.raises(BadInput, match=r"g\.vcf\.gz: found .* a record of VCF"):
            vcf_gzip.keep_region(b"20\t1\t.\n" + line, part)


def test_partition_regions__needs_an_index(open_object):
    co = open_object(GVCF, has_index=False).preprocess()
    with pytest.raises(BadInput, match=r"expected a \.tbi or \.csi beside it"):
        co.partition(partition_regions, regions=[("20", 0, 1)])


@pytest.mark.parametrize("name", [NAMES[0], NAMES[1]])
def test_preprocess__refuses_a_truncated_index(open_object, tmp_path, name):
    co = open_object(name)
    (path,) = [*tmp_path.glob(f"{name}.tbi"), *tmp_path.glob(f"{name}.csi")]
    data = path.read_bytes()
    for n_bytes in range(1, len(data) - len(EMPTY_BLOCK), 5):
        path.write_bytes(data[:n_bytes])
        with pytest.raises(BadInput, match=rf"{path.name}, byte 0: the bgzip block"):
            co.preprocess(force=True)


@settings(max_examples=200)
@given(data=st.data())
def test_read_tabix__refuses_what_is_cut_or_corrupt(data):
    name = data.draw(st.sampled_from(["chr22.vcf.gz.csi", "exome_trios.vcf.gz.tbi"]))
    found = bytearray(gzip.decompress((DATA / name).read_bytes()))
    n_optional = 8  # the number of records without a place
    at = data.draw(st.integers(0, len(found) - n_optional - 1))
    if data.draw(st.booleans()):
        with pytest.raises(BadInput, match=r"\.gz\.\w+ is "):
            read_tabix(bytes(found[:at]), name)
    else:
        found[at] ^= data.draw(st.integers(1, 255))
        try:
            tabix = read_tabix(bytes(found), name)
        except BadInput:
            return
        assert tabix.chunks.shape[1] == 5


def test_read_tabix__agrees_with_the_pass(open_object):
    tabix = open_object(GVCF).preprocess().index.arrays
    chunks = tabix["chunks"]
    assert np.isin(chunks[:, FIRST], tabix["starts"]).all()
    passed = open_object(GVCF, has_index=False)
    starts = vcf_gzip.find_records(passed.source, passed.version)
    assert starts[0] == tabix["starts"][0]
    assert len(starts) > len(np.unique(starts >> np.uint64(16))) - 1


@pytest.mark.parametrize("other", [NAMES[0], NAMES[1], "empty"])
def test_slice__refuses_the_index_of_another_file(open_object, tmp_path, other):
    co = open_object(GVCF)
    target = tmp_path / f"{GVCF}.tbi"
    if other == "empty":
        target.write_bytes(b"")
    else:
        target.unlink()
        (source,) = [*DATA.glob(f"{other}.tbi"), *DATA.glob(f"{other}.csi")]
        shutil.copy(source, tmp_path / f"{GVCF}{source.suffix}")
    with pytest.raises(BadInput, match=r"g\.vcf\.gz.*(byte|bytes|is no) "):  # noqa: PT012
        for part in co.preprocess().partition(partition_num_chunks, num_chunks=2):
            part.get()


@pytest.mark.parametrize("shift", [-1, 1, 300])
@pytest.mark.parametrize("ending", ["", ".bcf"])
def test_slice__refuses_places_within_records(open_object, shift, ending):
    co = open_object(GVCF + ending).preprocess()
    starts, facts = co.index.arrays["starts"], co.index.facts
    place = int(starts[len(starts) // 2]) + shift
    ends = [(facts["first"], place)] + [(place, facts["end"])] * (not ending)
    for first, last in ends:
        bad = vcf_gzip.make_slice(co, first, last)
        with pytest.raises(BadInput, match=r"bytes \d+ to \d+: expected whole"):
            bad.get()


@pytest.mark.parametrize("shift", [-30, 30])
@pytest.mark.parametrize("ending", ["", ".bcf"])
def test_slice__refuses_another_header(open_object, shift, ending):
    co = open_object(GVCF + ending).preprocess()
    (part,) = co.partition(partition_num_chunks, num_chunks=1)
    header = part.facts["header"] + shift
    bad = dataclasses.replace(part, facts=part.facts | {"header": header})
    with pytest.raises(BadInput, match=r"g\.vcf\.gz(\.bcf)?, byte \d+: "):
        bad.get()


@pytest.mark.parametrize("name", [GVCF, f"{GVCF}.bcf"])
@pytest.mark.parametrize("has_index", [True, False])
def test_slices__refuse_a_truncated_file(open_object, tmp_path, name, has_index):
    co = open_object(name, has_index=has_index)
    data = (tmp_path / name).read_bytes()
    last_block = data.rindex(EMPTY_BLOCK[:4], 0, len(data) - len(EMPTY_BLOCK))
    for n_bytes in (
        len(data) - len(EMPTY_BLOCK) - 100,
        last_block,
        last_block + 9,
        len(data) // 2,
        20,
    ):
        (tmp_path / name).write_bytes(data[:n_bytes])
        co = CloudObject.from_path(co.format, tmp_path / name)
        with pytest.raises(BadInput, match=rf"{name}.* (byte|record)"):  # noqa: PT012
            for part in co.preprocess().partition(partition_num_chunks, num_chunks=4):
                part.get()


@pytest.mark.parametrize("name", [GVCF, f"{GVCF}.bcf"])
@pytest.mark.parametrize("has_index", [True, False])
def test_slices__refuse_a_corrupt_block(open_object, tmp_path, name, has_index):
    co = open_object(name, has_index=has_index)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=rf"{name}, byte \d+: "):  # noqa: PT012
        for part in co.preprocess().partition(partition_num_chunks, num_chunks=2):
            part.get()


@pytest.mark.parametrize("name", [GVCF, f"{GVCF}.bcf"])
def test_slice__of_an_object_that_changed_is_refused(open_object, tmp_path, name):
    slices = (
        open_object(name).preprocess().partition(partition_num_chunks, num_chunks=2)
    )
    data = bytearray((tmp_path / name).read_bytes())
    data[-40] ^= 1
    overwrite(tmp_path / name, data)
    with pytest.raises(BadInput, match=f"{name}: it has changed since it was indexed"):
        slices[1].get()


@pytest.mark.parametrize("format", [VCFGZip, BCF])
def test_preprocess__refuses_another_format(tmp_path, format):
    path = tmp_path / "object"
    shutil.copy(DATA / NAMES[0], path)
    if format is VCFGZip:
        path.write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(BadInput, match=r"object, byte 0: expected a (bgzip|BCF)"):
        CloudObject.from_path(format, path).preprocess()


@pytest.mark.parametrize("name", NAMES[:2])
def test_partition__of_a_file_without_records(tmp_path, name):
    header, _ = split_header(gzip.decompress((DATA / name).read_bytes()))
    path = tmp_path / "empty.vcf"
    path.write_bytes(header)
    pysam.tabix_compress(str(path), str(path) + ".gz")
    with pysam.VariantFile(str(path)) as found:
        pysam.VariantFile(str(tmp_path / "e.bcf"), "wb", header=found.header).close()
    co = CloudObject.from_path(VCFGZip, tmp_path / "empty.vcf.gz").preprocess()
    slices = co.partition(partition_num_chunks, num_chunks=3)
    assert [part.get().encode() for part in slices] == [header] * 3
    co = CloudObject.from_path(BCF, tmp_path / "e.bcf").preprocess()
    slices = co.partition(partition_num_chunks, num_chunks=3)
    assert get_sites(slices[2].to_file(tmp_path / "third.bcf")) == []
