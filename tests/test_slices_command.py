"""``hpc-connector slices``: what people see, and one line for what is wrong."""

import gzip
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import laspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.commands import slices as command
from hpc_connector.commands.main import main
from hpc_connector.report.slices import say_bytes
from hpc_connector.slices import CloudObject, data_slice, gzip_points, verify
from hpc_connector.slices.data_slice import find_format
from hpc_connector.slices.formats import plain
from hpc_connector.storage import ranges
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_version
from hpc_connector.storage.ranges import fetch_all, fetch_together
from hpc_connector.storage.stores import open_store
from s3 import ACCESS, BUCKET, find_port, make_client, serve_faults
from slice_checks import pack

DATA = Path(__file__).parent / "data"
VCF = DATA / "slices/vcf/exome_trios.vcf.gz"
FILES = {
    "vcf": VCF,
    "fastq": DATA / "slices/fastq/test.fq.gz",
    "fasta": DATA / "slices/fasta/test.fa.gz",
    "imzml": DATA / "imzml/Example_Processed.imzML",
    "laz": DATA / "slices/las/autzen_trim.laz",
    "copc": DATA / "slices/copc/simple.copc.laz",
    "cog": DATA / "slices/cog/cogeo.tif",
}
PROVEN = {
    "imzml": "9 of 9 spectra",
    "laz": "110,000 of 110,000 points",
    "copc": "1,065 of 1,065 points",
    "cog": "1,048,576 of 1,048,576 pixels",
}


def run(capsys, *words):
    """Return the exit code of a command, and what it wrote."""
    code = main(["slices", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("name", FILES)
def test_verify__says_what_it_proves(name, capsys, tmp_path):
    words = ["verify", FILES[name], "--metadata", tmp_path, "--slices", "5"]
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert PROVEN.get(name, "slices are the object") in said
    found = json.loads(run(capsys, *words, "--json")[1])
    assert found["same"]


@pytest.mark.parametrize("name", PROVEN)
def test_verify__finds_a_lost_slice(name, capsys, tmp_path, monkeypatch):
    strategy = next(
        names[1]
        for ends, names in command.FORMATS.items()
        if str(FILES[name]).lower().endswith(ends)
    )
    module, _, function = f"{command.PACKAGE}.{strategy}".partition(":")
    whole = getattr(sys.modules[module], function)
    monkeypatch.setattr(sys.modules[module], function, lambda co, n: whole(co, n)[:-1])
    words = ["verify", FILES[name], "--metadata", tmp_path, "--slices", "2"]
    code, said, _ = run(capsys, *words)
    assert code == 1
    assert "NOT the object" in said


def test_verify__holds_one_slice_at_a_time(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.txt", "plain", b"abcdefg\n" * (1 << 20))
    monkeypatch.setattr(plain, "CHUNK_BYTES", 1 << 16)
    co = CloudObject.from_path(
        find_format("hpc_connector.slices.formats.text:Lines"), path
    )
    held = []
    fetch = fetch_together

    def watch(wanted):
        held.append(sum(b - a for _, _, ranges in wanted for a, b in ranges))
        return fetch(wanted)

    monkeypatch.setattr(data_slice, "fetch_together", watch)
    cut = find_format("hpc_connector.slices.formats.text:partition_num_chunks")
    slices = co.preprocess().partition(cut, num_chunks=64)
    same, said = verify.verify_slices(co, slices)
    assert (same, said) == (True, "are the object: 1,048,576 lines")
    assert max(held) < co.size // 64 + 1000
    same, said = verify.verify_slices(co, slices[:-1])
    assert not same
    assert f"differ from byte {co.size * 63 // 64:,}" in said


cuts = st.lists(st.integers(0, 40), max_size=6)


@given(st.binary(max_size=40), st.binary(max_size=40), cuts, cuts, st.booleans())
def test_find_difference__is_where_the_whole_differs(one, other, left, right, is_same):
    other = one if is_same else other

    def stream(data, places):
        ends = sorted([0, *places, 40])
        return iter([data[a:b] for a, b in itertools.pairwise(ends)])

    pairs = itertools.zip_longest(one, other)
    expected = next((n for n, (a, b) in enumerate(pairs) if a != b), None)
    assert verify.find_difference(stream(one, left), stream(other, right)) == expected


@pytest.mark.parametrize("kind", ["plain", "gzip", "members", "bgzip"])
def test_read_text__is_the_text(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "CHUNK_BYTES", 1009)
    text = os.urandom(1 << 14) + bytes(1 << 15)
    source = Source(str(pack(tmp_path / "a", kind, text)))
    body = plain.read_text(source, get_version(source))
    assert b"".join(body) == text


@pytest.mark.parametrize("name", FILES)
def test_list__draws_each_slice(name, capsys, tmp_path):
    words = ["list", FILES[name], "--metadata", tmp_path, "--slices", "3", "--json"]
    code, said, _ = run(capsys, *words, "--svg", tmp_path / "a.svg")
    assert code == 0
    listed = json.loads(said)
    assert listed["bytes"] == FILES[name].stat().st_size
    root = ET.fromstring((tmp_path / "a.svg").read_text())
    bars = [e for e in root.iter() if e.get("class") == "slice"]
    filled = [one for one in listed["slices"] if one["span"][1]]
    assert len(bars) == len(filled) > 0
    for bar, one in zip(bars, filled, strict=True):
        assert f"slice {one['number']}:" in bar[0].text
        assert f"reads {one['bytes']:,}" in bar[0].text
    width = float(root.get("width"))
    assert all(float(b.get("x")) + float(b.get("width")) < width for b in bars)


@pytest.mark.parametrize("n", [1, 64, 3000])
def test_list__a_picture_of_any_number(n, capsys, tmp_path):
    words = ["list", FILES["fasta"], "--metadata", tmp_path, "--slices", n]
    assert run(capsys, *words, "--svg", tmp_path / "a.svg")[0] == 0
    picture = (tmp_path / "a.svg").read_text()
    assert ("the first 2,000 are shown" in picture) == (n > 2000)
    assert float(ET.fromstring(picture).get("height")) < 6200


def test_say_bytes__in_three_digits():
    numbers = [0, 999, 1000, 123_456, 10**9, 10**16]
    said = ["0 bytes", "999 bytes", "1 KB", "123 KB", "1 GB", "1e+04 TB"]
    assert list(map(say_bytes, numbers)) == said


def test_index__as_json(capsys, tmp_path):
    words = ["index", VCF, "--metadata", tmp_path, "--json"]
    found = json.loads(run(capsys, *words)[1])
    assert found["made"]
    assert found["bytes"] == VCF.stat().st_size
    assert Path(found["index_url"]).stat().st_size == found["index_bytes"]
    assert not json.loads(run(capsys, *words)[1])["made"]


@pytest.mark.parametrize("name", FILES)
def test_get__writes_what_its_program_reads(name, capsysbinary, tmp_path):
    out = tmp_path / "out"
    words = ["get", FILES[name], "--metadata", tmp_path, "--slices", 1, "--out", out]
    assert main(["slices", *map(str, words)]) == 0
    data = out.read_bytes()
    assert main(["slices", *map(str, words[:-2])]) == 0
    assert capsysbinary.readouterr().out == data
    if name in ("vcf", "fastq", "fasta"):
        assert data == gzip.decompress(FILES[name].read_bytes())
    elif name in ("laz", "copc"):
        assert laspy.read(io.BytesIO(data)).header.point_count > 1000
    elif name == "cog":
        assert np.load(out).shape == (3, 1024, 1024)
    else:
        assert len({row.rsplit(b"\t", 2)[0] for row in data.splitlines()[1:]}) == 9


def test_get__into_a_pipe_that_closes(tmp_path):
    words = [f"slices get {VCF} --slices 1 --metadata {tmp_path}", "| head -c 100"]
    code = "from hpc_connector.commands.main import main; import sys; sys.exit(main())"
    line = f"set -o pipefail; {sys.executable} -c '{code}' {' '.join(words)}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("##fileformat=VCF")


def test_progress__of_a_long_object(capsys, tmp_path, monkeypatch):
    path = shutil.copy(FILES["fastq"], tmp_path)
    fetch = fetch_all
    monkeypatch.setattr(ranges, "fetch_all", lambda r: (time.sleep(0.06), fetch(r))[1])
    monkeypatch.setattr(gzip_points, "CHUNK_BYTES", 1 << 13)
    monkeypatch.setattr(command, "MEGABYTE", 1 << 10)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(command, "WATCH_S", 0.001)
    assert main(["slices", "index", str(path), "--force"]) == 0
    shown = capsys.readouterr().err
    assert re.search(r"\d+ of \d+ MB, [\d.]+/s, \d+ s left", shown)
    assert shown.endswith("\033[K")
    assert main(["slices", "index", str(path), "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def fresh(monkeypatch):
    """Return a patch of the environment, which new stores see."""
    open_store.cache_clear()
    yield monkeypatch
    open_store.cache_clear()


def get_line(capsys, *words):
    """Return the one line that a command says before it ends with code 2."""
    code, said, told = run(capsys, *words)
    assert (code, said) == (2, "")
    (line,) = told.splitlines()
    return line


@pytest.mark.parametrize("what", ["index", "list", "get", "verify"])
def test_command__behind_http(what, capsys, tmp_path):
    with serve_faults(FILES["fastq"].read_bytes()) as server:
        words = [what, server.uri, "--format", "FASTQGZip"]
        line = get_line(capsys, *words)
        assert "cannot be written: expected a folder or bucket for the index" in line
        assert main(["slices", *words, "--metadata", str(tmp_path)]) == 0


@pytest.mark.parametrize("what", ["index", "list", "get", "verify"])
def test_command__no_such_object(what, capsys, s3_endpoint):
    line = get_line(capsys, what, f"s3://{BUCKET}/none.vcf.gz")
    assert line.endswith(f"s3://{BUCKET}/none.vcf.gz: no such object")


def test_command__wrong_credentials(capsys, s3_endpoint, fresh):
    make_client(s3_endpoint).upload_file(str(VCF), BUCKET, "wrong.vcf.gz")
    for name in ACCESS:
        fresh.setenv(name, "nobody")
    line = get_line(capsys, "index", f"s3://{BUCKET}/wrong.vcf.gz")
    assert "wrong.vcf.gz: access is denied: expected other credentials" in line


def test_command__no_credentials(capsys, fresh, tmp_path):
    for name in ACCESS:
        fresh.delenv(name, raising=False)
    fresh.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fresh.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    fresh.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    line = get_line(capsys, "index", "s3://bucket/a.vcf.gz")
    assert "s3://bucket: no credentials: expected AWS_ACCESS_KEY_ID" in line
    fresh.setenv("AWS_PROFILE", "absent")
    assert "absent" in get_line(capsys, "index", "s3://bucket/a.vcf.gz")


@pytest.mark.parametrize("code", [401, 403])
def test_command__access_denied(code, capsys, tmp_path):
    with serve_faults(b"", status=code) as server:
        line = get_line(capsys, "index", server.uri, "--format", "CSV")
    assert ("access is denied" if code == 403 else "are not accepted") in line


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_command__endpoint_is_down(scheme, capsys, fresh):
    for name, value in ACCESS.items():
        fresh.setenv(name, value)
    nobody = f"http://127.0.0.1:{find_port()}"
    uri = "s3://bucket/a.vcf.gz" if scheme == "s3" else f"{nobody}/a.vcf.gz"
    line = get_line(capsys, "index", uri, "--endpoint-url", nobody)
    assert f"{uri}: its server does not answer" in line
    assert "after 4 retries" in line


def test_command__endpoint_goes_before_that_of_the_environment(capsys, fresh):
    for name, value in (ACCESS | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}).items():
        fresh.setenv(name, value)
    nobody = f"http://127.0.0.1:{find_port()}"
    line = get_line(capsys, "index", "s3://b/a.vcf.gz", "--endpoint-url", nobody)
    assert nobody in line


def test_command__index_of_another_version(capsys, tmp_path):
    run(capsys, "index", VCF, "--metadata", tmp_path)
    (path,) = (found for found in tmp_path.rglob("VCFGZip-*") if found.is_file())
    data = path.read_bytes()
    for changed, said in (
        (
            data.replace(b'"format_version":1', b'"format_version":2'),
            "format_version 2",
        ),
        (data.replace(b"VCFGZip-3", b"VCFGZip-1"), "kind 'VCFGZip-1'"),
        (data[:-1], "is cut"),
        (b"no index", "is not an index"),
    ):
        path.write_bytes(changed)
        line = get_line(capsys, "list", VCF, "--metadata", tmp_path)
        assert str(path) in line
        assert said in line
        assert "expected" in line or "not an index" in line
    line = get_line(capsys, "index", VCF, "--metadata", tmp_path, "--force")
    assert "not written over" in line  # which may be an object of somebody's
    path.write_bytes(data[:-1])
    assert run(capsys, "index", VCF, "--metadata", tmp_path, "--force")[0] == 0
    assert run(capsys, "list", VCF, "--metadata", tmp_path)[0] == 0


WRONG = [
    *itertools.product(["VCFGZip", "BCF"], ["fastq", "laz", "cog", "imzml"]),
    *itertools.product(["FASTQGZip"], ["imzml", "laz", "cog"]),
    *itertools.product(["FASTA"], ["imzml", "vcf", "fastq"]),
    *itertools.product(["VCF", "CSV", "Lines"], ["vcf", "fastq"]),
    *itertools.product(["VCF"], ["imzml", "laz"]),
    *itertools.product(["ImzML"], ["vcf", "fasta", "cog"]),
    *itertools.product(["LAS", "COPC"], ["vcf", "imzml", "cog"]),
    ("COPC", "laz"),
    *itertools.product(["COG"], ["vcf", "imzml", "laz"]),
]


@pytest.mark.parametrize(("format", "name"), WRONG)
def test_command__a_format_that_is_not_that_of_the_content(
    format, name, capsys, tmp_path
):
    path = shutil.copy(FILES[name], tmp_path)
    (tmp_path / Path(path).with_suffix(".ibd").name).write_bytes(bytes(99))
    line = get_line(capsys, "verify", path, "--format", format)
    assert Path(path).stem in line


@pytest.mark.parametrize("format", ["Nothing", "nowhere:Lines", "tests:", "json:dumps"])
def test_command__no_such_format(format, capsys):
    assert "format" in get_line(capsys, "index", VCF, "--format", format)


def test_command__a_format_of_a_third_party(capsys, tmp_path):
    (tmp_path / "a.lines").write_bytes(b"a\nb\nc\nd\n" * 999)
    words = [tmp_path / "a.lines", "--format", "third_party:Lines", "--slices", 3]
    code, said, _ = run(capsys, "verify", *words)
    assert code == 0
    assert said.startswith("3 slices are the object")
