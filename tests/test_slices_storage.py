"""Objects in a real S3 server, and behind a server that makes faults."""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject, DataSlice, Format
from hpc_connector.slices.formats.vcf_gzip import VCFGZip, partition_num_chunks
from hpc_connector.slices.index import Index, decode_index, encode_index
from hpc_connector.storage import ranges, stores
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_version
from hpc_connector.storage.ranges import assemble, fetch, plan_requests
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import make_source, open_store
from hpc_connector.storage.traffic import traffic
from s3 import ACCESS, BUCKET, make_client, serve_faults

DATA = Path(__file__).parent / "data"
VCF = DATA / "slices/vcf/exome_trios.vcf.gz"
TEXT = bytes(range(256)) * 400


@pytest.fixture
def uri(s3_endpoint, request):
    """Return a VCF object of the test's own, with its .tbi."""
    key = f"{request.node.name}.vcf.gz"
    client = make_client(s3_endpoint)
    client.upload_file(str(VCF), BUCKET, key)
    client.upload_file(f"{VCF}.tbi", BUCKET, f"{key}.tbi")
    return f"s3://{BUCKET}/{key}"


def count(work):
    """Return what work gives, and the requests and bytes it took."""
    before = traffic.requests, traffic.n_bytes
    found = work()
    after = traffic.requests, traffic.n_bytes
    return found, after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 64, 1000])
def test_slices__together_are_the_object(uri, n):
    co = CloudObject.from_path(VCFGZip, uri).preprocess()
    slices, requests, _ = count(
        lambda: co.partition(partition_num_chunks, num_chunks=n)
    )
    assert requests == 0
    assert len(slices) == n
    whole = gzip.decompress(VCF.read_bytes())
    assert VCFGZip.join([part.get() for part in slices]) == whole


def test_preprocess__reads_no_byte_of_the_object(uri):
    co = CloudObject.from_path(VCFGZip, uri)
    _, _, n_bytes = count(co.preprocess)
    assert n_bytes < 2000 < co.size


def test_preprocess__again_only_looks(uri):
    CloudObject.from_path(VCFGZip, uri).preprocess()
    again = CloudObject.from_path(VCFGZip, uri)
    _, requests, n_bytes = count(again.preprocess)
    assert (requests, n_bytes) == (2, len(again.index_bytes))
    _, requests, _ = count(lambda: again.preprocess(force=True))
    assert requests >= 2


def test_preprocess__of_two_at_once_has_one_winner(uri):
    with ThreadPoolExecutor(8) as pool:
        objects = [CloudObject.from_path(VCFGZip, uri) for _ in range(8)]
        made = list(pool.map(lambda co: co.preprocess().index_bytes, objects))
    assert len(set(made)) == 1


def test_slice__of_a_changed_object_is_refused(uri, s3_endpoint):
    co = CloudObject.from_path(VCFGZip, uri).preprocess()
    part = co.partition(partition_num_chunks, num_chunks=2)[1]
    key = uri.rpartition("/")[2]
    make_client(s3_endpoint).put_object(
        Bucket=BUCKET, Key=key, Body=VCF.read_bytes()[:-1]
    )
    with pytest.raises(BadInput, match="has changed since it was indexed"):
        part.get()
    changed = CloudObject.from_path(VCFGZip, uri)
    assert not changed.is_preprocessed()
    with pytest.raises(BadInput, match="no index of its present version"):
        changed.partition(partition_num_chunks, num_chunks=2)


def test_slice__travels_small_and_without_credentials(uri, s3_endpoint, tmp_path):
    config = {"endpoint_url": s3_endpoint, "region_name": "us-east-1"}
    co = CloudObject.from_path(VCFGZip, uri, storage_config=config).preprocess()
    part = co.partition(partition_num_chunks, num_chunks=8)[3]
    packed = pickle.dumps(part)
    assert len(packed) < 2000
    assert not any(secret.encode() in packed for secret in ACCESS.values())
    assert DataSlice.from_json(part.to_json()) == part
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get(), end='')"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], input=packed, capture_output=True, check=True
    )
    assert elsewhere.stdout.decode() == part.get()


def test_index__may_lie_elsewhere(uri, tmp_path):
    co = CloudObject.from_path(VCFGZip, uri, metadata=str(tmp_path)).preprocess()
    assert co.index_source.uri.startswith(str(tmp_path))
    assert CloudObject.from_path(VCFGZip, uri, metadata=str(tmp_path)).is_preprocessed()
    assert not CloudObject.from_path(VCFGZip, uri).is_preprocessed()


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (f"s3://{BUCKET}/none.vcf.gz", "no such object"),
        ("s3://nobucket/none.vcf.gz", "no such object"),
        ("gopher://x/y", "expected s3://bucket/key"),
        ("s3://bucket", "expected s3://bucket/key"),
    ],
)
def test_object__that_is_not_there(s3_endpoint, there, message):
    with pytest.raises(BadInput, match=message):
        CloudObject.from_path(VCFGZip, there).preprocess()


def test_object__with_wrong_credentials(uri, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    open_store.cache_clear()
    try:
        with pytest.raises(BadInput, match="access is denied"):
            CloudObject.from_path(VCFGZip, uri).preprocess()
    finally:
        open_store.cache_clear()


def test_object__of_the_server_that_its_settings_name(uri, s3_endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    config = {"endpoint_url": s3_endpoint}
    assert CloudObject.from_path(VCFGZip, uri, config).size == VCF.stat().st_size


def test_make_source__takes_no_credentials():
    with pytest.raises(BadInput, match="expected credentials from the environment"):
        make_source("s3://b/k", {"aws_secret_access_key": "x"})


@pytest.mark.parametrize("fault", ["503", "short", "whole", "other", "stall"])
def test_fetch__tries_again_what_is_wrong(fault, monkeypatch):
    monkeypatch.setattr(stores, "TIMEOUT", "3s")
    with serve_faults(TEXT, [fault, fault]) as server:
        source = Source(server.uri)
        version = get_version(source)
        (data,) = fetch(source, version, [(1000, 5000)])
    assert data == TEXT[1000:5000]


@pytest.mark.parametrize("fault", ["short", "whole", "other"])
def test_fetch__gives_up_rather_than_take_what_is_wrong(fault):
    with serve_faults(TEXT, [fault] * 40) as server:
        source = Source(server.uri)
        version = get_version(source)
        with pytest.raises(BadInput, match="bytes 1000 to 5000"):
            fetch(source, version, [(1000, 5000)])


def test_fetch__of_a_changed_object_behind_http():
    with serve_faults(TEXT) as server:
        source = Source(server.uri)
        version = get_version(source)
        server.etag = '"v2"'
        with pytest.raises(BadInput, match="has changed"):
            fetch(source, version, [(1000, 5000)])


PAIRS = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)).map(sorted))


@given(PAIRS, st.integers(0, 100), st.integers(1, 300))
def test_fetch__gives_any_ranges(tmp_path_factory, wanted, near, most):
    path = tmp_path_factory.getbasetemp() / "ranges.bin"
    path.write_bytes(TEXT[:1000])
    source = Source(str(path))
    wanted = [tuple(pair) for pair in wanted]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "NEAR_BYTES", near)
        patch.setattr(ranges, "MOST_BYTES", most)
        requests = plan_requests(wanted)
        found = fetch(source, get_version(source), wanted)
    assert found == [TEXT[first:last] for first, last in wanted]
    assert all(last - first <= most for first, last in requests)


def test_fetch__refuses_bytes_that_are_not_there(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    source = Source(str(tmp_path / "a"))
    with pytest.raises(BadInput, match="bytes 1 to 4 of 3"):
        fetch(source, get_version(source), [(1, 4)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "is cut"),
        (lambda data: data[:20], "is not an index"),
        (lambda data: b"", "is not an index"),
        (lambda data: data.replace(b'"format_version":1', b'"format_version":9'), "9"),
        (lambda data: data.replace(b'"size":7', b'"size":8'), "size"),
    ],
)
def test_decode_index__refuses(change, message):
    version = Version(7, "tag")
    index = Index({"a": 1}, {"x": __import__("numpy").arange(5)})
    data = encode_index(index, "K-1", version)
    assert decode_index(data, "K-1", version, "it").arrays["x"].tolist() == [*range(5)]
    with pytest.raises(BadInput, match=message):
        decode_index(change(data), "K-1", version, "it")


def make_lines_index(source, version, map_chunks):
    """Make the index of a format of a third party: where its lines begin."""
    (data,) = fetch(source, version, [(0, version.size)])
    return Index({"lines": data.count(b"\n")})


def read_lines(part, pieces):
    return pieces[0].splitlines()


Lines = Format("test_slices_storage:Lines", 1, make_lines_index, read_lines)


def by_halves(co):
    middle = co.size // 2
    return [co.make_slice([(0, middle)]), co.make_slice([(middle, co.size)])]


def test_format__of_a_third_party(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a\nb\nc\nd\n")
    co = CloudObject.from_path(Lines, str(path)).preprocess()
    assert co.attributes == {"lines": 4}
    first, second = pickle.loads(pickle.dumps(co.partition(by_halves)))
    assert (first.get(), second.get()) == ([b"a", b"b"], [b"c", b"d"])


def test_command__indexes_lists_gets_and_verifies(uri, capsys, tmp_path):
    assert main(["slices", "index", uri]) == 0
    assert "made in" in capsys.readouterr().out
    assert main(["slices", "index", uri]) == 0
    assert "was there" in capsys.readouterr().out
    assert main(["slices", "list", uri, "--slices", "3", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["bytes"] for one in listed["slices"]] == [
        DataSlice.from_json(json.dumps(one["slice"])).n_bytes
        for one in listed["slices"]
    ]
    out = str(tmp_path / "slice.vcf")
    assert main(["slices", "get", uri, "--slices", "3", "--out", out]) == 0
    assert Path(out).read_text().startswith("##fileformat=VCF")
    assert main(["slices", "verify", uri, "--slices", "5"]) == 0
    assert "5 slices are the object" in capsys.readouterr().out


def test_command__verify_finds_what_is_lost(tmp_path, capsys, monkeypatch):
    path = shutil.copy(VCF, tmp_path)
    from hpc_connector.slices.formats import vcf_gzip

    complete = vcf_gzip.partition_num_chunks
    monkeypatch.setattr(
        vcf_gzip, "partition_num_chunks", lambda co, num_chunks: complete(co, 4)[:3]
    )
    assert main(["slices", "verify", os.fspath(path)]) == 1
    assert "NOT the object" in capsys.readouterr().out


PLACES = st.integers(0, len(TEXT))


@given(st.lists(st.tuples(PLACES, PLACES).map(sorted)), st.sampled_from([9, 1000]))
def test_assemble__gives_the_ranges_from_the_answers(pairs, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "NEAR_BYTES", 50)
        patch.setattr(ranges, "MOST_BYTES", most * 100)
        requests = plan_requests(pairs)
    held = {(a, b): TEXT[a:b] for a, b in requests}
    for first, last in pairs:
        assert assemble((first, last), requests, held) == TEXT[first:last]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "x.unknown"], "expected --format"),
        (["index", "nowhere.vcf.gz"], "no such object"),
        (["get", str(VCF), "--number", "99"], "expected 0 to 7"),
    ],
)
def test_command__bad_input_is_one_line(words, message, capsys, tmp_path):
    assert main(["slices", *words, "--metadata", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
