"""What the slices of every format must do, on a real S3 server and a slow, faulty one.

The order of records, headers, empty slices and odd text are in the tests of each
format.
"""

import hashlib
import os
import pickle
import subprocess
import sys

import cloudpickle
import numpy as np
import pysam
import pytest
import tifffile

import imzml
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import MAX_BLOCK_BYTES
from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.storage import ranges
from hpc_connector.storage.ranges import plan_requests
from hpc_connector.storage.stores import open_store
from s3 import ACCESS, BUCKET, make_client, serve_hadro
from slice_checks import pack
from slice_objects import CASES
from slicing import count_traffic
from test_slices_fastq import make_fastq

N = 8
# Where there are checksums: a byte that changes in the others is seen by the ETag alone
TEXT = ("lines", "csv", "vcf", "fasta")  # which may end anywhere
PACKED = ["vcf.gz", "vcf.gz alone", "bcf"]
PACKED += ["fastq.gz", "fastq.bgz", "fasta.gz", "fasta.bgz"]

READ_ALL = """
import datetime, hashlib, pickle, sys, time
class OtherDay(datetime.date):
    today = classmethod(lambda kind: kind(2031, 5, 17))
datetime.date, time.time = OtherDay, lambda: 1_936_000_000.0
for part in pickle.load(open(sys.argv[1], "rb")):
    print(hashlib.sha256(part.read_bytes()).hexdigest())
"""

PREPROCESS = """
import sys
from mpi4py import MPI
from hpc_connector.slices import CloudObject
from hpc_connector.slices.data_slice import find_format
for name, uri in zip(sys.argv[1::2], sys.argv[2::2]):
    MPI.COMM_WORLD.Barrier()
    co = CloudObject.from_path(find_format(name), uri).preprocess()
    seen = MPI.COMM_WORLD.gather((co.index_version.etag, co.index_bytes))
    if MPI.COMM_WORLD.rank == 0:
        print(len(set(seen)))
"""


def get_hash(part):
    return hashlib.sha256(part.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Return the path of the object of each case."""
    folder = tmp_path_factory.mktemp("objects")
    found = {}
    for name, case in CASES.items():
        place = folder / BUCKET / name.replace(" ", "-")
        place.mkdir(parents=True)
        found[name] = case.write(place)
    return found


@pytest.fixture(params=CASES)
def name(request):
    return request.param


@pytest.fixture
def put(paths, s3_endpoint, request):
    """Return a function that uploads an object of this test; it gives its address."""
    client, test = make_client(s3_endpoint), request.node.originalname

    def put(name):
        path = paths[name]
        for found in path.parent.iterdir():
            key = f"{test}/{path.parent.name}/{found.name}"
            client.upload_file(str(found), BUCKET, key)
        return f"s3://{BUCKET}/{test}/{path.parent.name}/{path.name}"

    return put


def open_object(name, uri, **options):
    return CloudObject.from_path(CASES[name].find(), uri, **options)


def test_index__is_made_once_and_cut_without_a_request(name, put):
    uri = put(name)
    first = open_object(name, uri).preprocess()
    again = open_object(name, uri)
    _, requests, n_bytes = count_traffic(again.preprocess)
    assert requests == 2  # HEAD of the object, GET of the index
    assert n_bytes == len(first.index_bytes)
    for n in (1, 3, N, 64):
        _, requests, n_bytes = count_traffic(CASES[name].cut, again, n)
        assert (requests, n_bytes) == (0, 0)
    _, requests, n_bytes = count_traffic(again.preprocess, force=True)
    assert requests > 1
    assert n_bytes > 0


def test_slice__travels_in_2_kb_and_without_credentials(name, put, s3_endpoint):
    config = {"endpoint_url": s3_endpoint, "region_name": "us-east-1"}
    co = open_object(name, put(name), storage_config=config).preprocess()
    for part in CASES[name].cut(co, N):
        texts = part.to_json().encode(), pickle.dumps(part), cloudpickle.dumps(part)
        assert max(map(len, texts)) < 2048
        assert not any(
            value.encode() in text for value in ACCESS.values() for text in texts
        )
        assert DataSlice.from_json(texts[0].decode()) == part
        assert pickle.loads(texts[1]) == cloudpickle.loads(texts[2]) == part


def test_slice__gives_the_same_in_another_process_on_another_day(put, tmp_path):
    slices = []
    for name in CASES:
        slices += CASES[name].cut(open_object(name, put(name)).preprocess(), 3)
    (tmp_path / "slices").write_bytes(pickle.dumps(slices))
    command = [sys.executable, "-c", READ_ALL, str(tmp_path / "slices")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [get_hash(part) for part in slices]


@pytest.mark.parametrize(
    ("name", "ending"),
    [*((name, "") for name in CASES), ("imzml", ".ibd"), ("imzml continuous", ".ibd")],
)
def test_slice__of_an_object_that_changed_is_refused(name, ending, put, s3_endpoint):
    is_imzml = name.startswith("imzml")
    uri = put(name)
    parts = CASES[name].cut(open_object(name, uri).preprocess(), N)
    key = uri.removeprefix(f"s3://{BUCKET}/")
    changed = key.replace(".imzML", ending) if ending else key
    client = make_client(s3_endpoint)
    data = bytearray(client.get_object(Bucket=BUCKET, Key=changed)["Body"].read())
    data[-40] ^= 1  # of the same size, right after
    client.put_object(Bucket=BUCKET, Key=changed, Body=bytes(data))
    if ending or not is_imzml:
        for part in (part for part in parts if part.n_bytes):
            with pytest.raises(BadInput, match="has changed since it was indexed"):
                part.get()
    if not ending:
        again = open_object(name, uri)
        assert not again.is_preprocessed()
        with pytest.raises(BadInput, match="no index of its present version"):
            CASES[name].cut(again, N)


def test_slice__takes_few_requests(name, put):
    case = CASES[name]
    for part in case.cut(open_object(name, put(name)).preprocess(), N):
        planned = plan_requests(part.ranges)
        planned += plan_requests(part.index_ranges)
        rows = case.by_rows and bool(part.index_ranges)  # and then, what they say
        rows += name == "imzml continuous"  # m/z, which all share, are elsewhere
        _, requests, n_bytes = count_traffic(part.get)
        assert requests <= len(planned) + rows
        assert len(planned) <= 2 + bool(part.index_ranges)
        around = 2 * ranges.NEAR_BYTES
        own = sum(b - a for a, b in part.index_ranges) + part.n_bytes
        assert n_bytes <= own + around


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("name", [name for name in CASES if name not in TEXT])
def test_preprocess__of_what_is_cut_names_it(name, kept, tmp_path):
    path = CASES[name].write(tmp_path)
    cut = path.with_suffix(".ibd") if name.startswith("imzml") else path
    data = cut.read_bytes()
    cut.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(BadInput, match=rf"{cut.name}\b.*(cut|byte \d+)"):  # noqa: PT012
        for part in CASES[name].cut(open_object(name, path).preprocess(), N):
            part.get()


@pytest.mark.parametrize("name", PACKED)
def test_get__of_a_corrupt_object_names_it_and_where(name, tmp_path):
    path = CASES[name].write(tmp_path)
    data = bytearray(path.read_bytes())
    at = len(data) * 2 // 3
    data[at : at + 9] = bytes(b ^ 0x55 for b in data[at : at + 9])
    path.write_bytes(data)
    with pytest.raises(BadInput, match=rf"{path.name}.*byte") as caught:  # noqa: PT012
        for part in CASES[name].cut(open_object(name, path).preprocess(), N):
            part.get()
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def faulty(paths):
    """Give the address of a store that waits, and refuses a third of the requests."""
    folder = next(iter(paths.values())).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        for key, value in ACCESS.items():
            patch.setenv(key, value)
        open_store.cache_clear()
        with serve_hadro(folder, latency_ms=10, error_rate=0.3) as endpoint:
            yield endpoint
    open_store.cache_clear()


def test_get__from_a_store_that_waits_and_refuses(name, paths, faulty, tmp_path):
    path, options = paths[name], {"metadata": str(tmp_path)}
    uri = f"s3://{BUCKET}/{path.parent.name}/{path.name}"
    options["storage_config"] = {"endpoint_url": faulty}
    far = CASES[name].cut(open_object(name, uri, **options).preprocess(), 3)
    there = open_object(name, path, metadata=str(tmp_path)).preprocess()
    near = CASES[name].cut(there, 3)
    assert [get_hash(part) for part in far] == [get_hash(part) for part in near]


def test_preprocess__of_two_ranks_at_once_has_one_winner(put):
    words = []
    for name, case in CASES.items():
        words += [case.find().name, put(name)]
    command = ["mpirun", "-n", "2", sys.executable, "-c", PREPROCESS, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1"] * len(CASES)


def make_text(kind):
    """Return lines that look like a format, 4 MB, of a seed."""
    rng = np.random.default_rng(5)
    if kind == "fastq":
        return make_fastq(12_000)
    rows = [rng.bytes(int(n)).hex() for n in rng.integers(10, 90, 40_000)]
    if kind == "fasta":
        return "".join(f">s{n}\n{row}\n" for n, row in enumerate(rows)).encode()
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
    return (head + "".join(f"1\t{n}\t{r}\tA\tC\n" for n, r in enumerate(rows))).encode()


BALANCED = {
    **dict.fromkeys(("vcf", "csv", "vcf.gz alone"), "vcf"),
    **dict.fromkeys(("lines", "fasta", "fasta.gz", "fasta.bgz"), "fasta"),
    **dict.fromkeys(("fastq.gz", "fastq.bgz"), "fastq"),
}


@pytest.mark.parametrize("name", BALANCED)
def test_partition__slices_are_within_a_tenth(name, paths, tmp_path):
    case, text = CASES[name], make_text(BALANCED[name])
    path = tmp_path / paths[name].name
    pack(path, "bgzip" if name == "vcf.gz alone" else case.made, text)
    co = open_object(name, path).preprocess()
    for n in (2, 3, 7, 8):
        parts = case.cut(co, n)
        sizes = [len(part.read_bytes()) for part in parts]
        block = MAX_BLOCK_BYTES if name == "vcf.gz alone" else 0  # it is cut there
        assert max(sizes) < 1.1 * min(sizes) + block
        assert co.format.join([part.get() for part in parts]) == text


@pytest.mark.parametrize("n", [2, 3, 7, 8])
def test_partition__arrays_are_balanced(n, paths, tmp_path):
    imzml.write_imzml(
        tmp_path / "a.imzML",
        [
            (k % 20 + 1, k // 20 + 1, np.arange(1.0, 90 + k % 9), np.ones(89 + k % 9))
            for k in range(400)
        ],
    )
    co = open_object("imzml", tmp_path / "a.imzML").preprocess()
    sizes = [part.n_bytes for part in CASES["imzml"].cut(co, n)]
    assert max(sizes) < 1.1 * min(sizes)
    for name in ("las", "laz"):
        co = open_object(name, paths[name], metadata=str(tmp_path)).preprocess()
        sizes = [len(part.get().points) for part in CASES[name].cut(co, n)]
        assert max(sizes) - min(sizes) <= 1
    values = np.zeros((16 * 24, 16 * 24), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(16, 16))
    co = open_object("cog", tmp_path / "a.tif").preprocess()
    sizes = np.array([part.get().shape for part in CASES["cog"].cut(co, n)])
    assert (sizes.max(0) - sizes.min(0) <= 16).all()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
@pytest.mark.parametrize("name", ["vcf.gz alone", "vcf.gz"])
def test_vcf_gzip__odd_text_survives_any_cut(name, last, end, tmp_path):
    head = f"##fileformat=VCFv4.3{end}##contig=<ID=1>{end}##x=é{end}"
    head += f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO{end}"
    rows = [
        f"1\t{n * 1000 + 1}\té漢{n}\tA\tC\t.\t.\tX={'🧬' * (n % 60)}"
        for n in range(4000)
    ]
    text = (head + end.join(rows) + (end if last else "")).encode()
    path = pack(tmp_path / "a.vcf.gz", "bgzip", text)
    if name == "vcf.gz":
        pysam.tabix_index(str(path), preset="vcf")
    co = open_object(name, path).preprocess()
    for n in (1, 2, 3, 7, 8, 64):
        assert co.format.join(p.get() for p in CASES[name].cut(co, n)) == text
