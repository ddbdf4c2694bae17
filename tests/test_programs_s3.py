"""Both programs on objects in a real S3 server: the same bytes as from files."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from formats import make_cohort
from imzml import plant_lipids
from programs import assert_same, get_end, make_command
from s3 import BUCKET, make_client

COHORT = "--variants 400 --individuals 300 --heritability 0.3 --maf 0.4 --pure"
FORMATS = ("bgzip.vcf.gz", "gzip.vcf.gz", "a.vcf", "a.bcf", "bed.bed", "8.bgen")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, s3_endpoint):
    """Return a folder with a cohort in several formats, all in the bucket too."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, COHORT)
    upload(folder, s3_endpoint)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, s3_endpoint):
    """Return a folder with a dataset of spectra, in the bucket too."""
    folder = tmp_path_factory.mktemp("dataset")
    plant_lipids(folder)
    upload(folder, s3_endpoint)
    return folder


def upload(folder, endpoint):
    for path in folder.iterdir():
        make_client(endpoint).upload_file(str(path), BUCKET, path.name)


def run(ranks, program, *words):
    """Run a program; return its manifest."""
    command = make_command(ranks, *words, program=program)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = Path(words[words.index("--out") + 1])
    return json.loads((out / "manifest.json").read_text())


def check_traffic(record):
    """Check what the manifest says was fetched; return the bytes of the objects."""
    used = record["resources"]
    size = sum(one["bytes"] for one in record["inputs"] if "etag" in one)
    assert used["fetched_bytes"] > 1000
    assert used["fetch_requests"] >= 2
    assert used["avoided_bytes"] == max(size - used["fetched_bytes"], 0)
    return size


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_epistasis__same_bytes_from_s3(cohort, tmp_path, name, ranks):
    options = ["--labels", cohort / "labels.tsv", "--folds", "5", "--quiet", "--out"]
    run(1, "mdr_epistasis", cohort / name, *options, tmp_path / "files")
    objects = tmp_path / "objects"
    record = run(ranks, "mdr_epistasis", f"s3://{BUCKET}/{name}", *options, objects)
    assert_same(objects, tmp_path / "files")
    assert record["inputs"][0]["etag"]
    check_traffic(record)


@pytest.mark.parametrize(("ranks", "more"), [(1, []), (3, []), (3, ["--scratch"])])
def test_annotation__same_bytes_from_s3(dataset, tmp_path, ranks, more):
    options = ["--database", dataset / "lipids.tsv", "--instrument", "FTICR"]
    options += ["--quiet", "--pattern-cache", tmp_path / "cache", "--out"]
    run(1, "metabolite_annotation", dataset / "small.imzML", *options, tmp_path / "f")
    more = [*more, tmp_path] if more else []
    uri = f"s3://{BUCKET}/small.imzML"
    record = run(ranks, "metabolite_annotation", uri, *more, *options, tmp_path / "o")
    assert_same(tmp_path / "o", tmp_path / "f")
    size = check_traffic(record)
    fetched = record["resources"]["fetched_bytes"]
    assert fetched < (1.1 if more else 2.1) * size + 300_000


def test_epistasis__says_how_much_it_fetched(cohort, tmp_path):
    words = ["--labels", cohort / "labels.tsv", "--folds", "1", "--out", tmp_path / "o"]
    command = make_command(1, f"s3://{BUCKET}/bed.bed", *words)
    done = subprocess.run(command, capture_output=True, text=True)
    assert re.search(r"fetched 0\.\d of 0\.\d MB of the objects, in \d+", done.stderr)


@pytest.mark.parametrize("name", ["none.vcf.gz", "none.bed"])
def test_epistasis__objects_that_are_not_there(cohort, tmp_path, name):
    uri = f"s3://{BUCKET}/{name}"
    command = make_command(2, uri, "--out", tmp_path / "out")
    code, lines, _ = get_end(command)
    assert code == 2
    assert len(lines) == 1
    assert "no such object" in lines[0]


def test_epistasis__a_cut_object_is_one_line(cohort, tmp_path, s3_endpoint):
    data = (cohort / "bgzip.vcf.gz").read_bytes()[:-500]
    make_client(s3_endpoint).put_object(Bucket=BUCKET, Key="cut.vcf.gz", Body=data)
    options = ["--labels", cohort / "labels.tsv", "--out", tmp_path / "out"]
    code, lines, _ = get_end(make_command(3, f"s3://{BUCKET}/cut.vcf.gz", *options))
    assert code == 2
    assert len(lines) == 1
    assert "is cut" in lines[0]


def test_epistasis__resumes_only_the_same_object(cohort, tmp_path, s3_endpoint):
    client = make_client(s3_endpoint)
    for ending in ("bed", "bim", "fam"):
        client.upload_file(str(cohort / f"bed.{ending}"), BUCKET, f"changing.{ending}")
    words = [f"s3://{BUCKET}/changing.bed", "--out", tmp_path / "out", "--folds", "1"]
    run(1, "mdr_epistasis", *words)
    data = bytearray((cohort / "bed.bed").read_bytes())
    data[3] ^= 1
    client.put_object(Bucket=BUCKET, Key="changing.bed", Body=bytes(data))
    code, lines, _ = get_end(make_command(1, *words, "--resume"))
    assert code == 2
    assert "cannot be resumed" in lines[0]


def test_epistasis__companions_and_lists_are_objects(cohort, tmp_path, s3_endpoint):
    client = make_client(s3_endpoint)
    names = [line.split()[1] for line in (cohort / "bed.bim").read_text().splitlines()]
    (tmp_path / "list").write_bytes("\r\n".join(names[:99]).encode("utf-16"))
    client.upload_file(str(tmp_path / "list"), BUCKET, "list")
    keys = {"--fam": "people.fam", "--bim": "places.bim"}
    for option, key in keys.items():
        client.upload_file(str(cohort / f"bed.{option[2:]}"), BUCKET, key)
    client.upload_file(str(cohort / "bed.bed"), BUCKET, "alone.bed")
    keys |= {"--labels": "labels.tsv", "--variants": "list"}
    named = [word for o, key in keys.items() for word in (o, f"s3://{BUCKET}/{key}")]
    words = [f"s3://{BUCKET}/alone.bed", *named, "--out", tmp_path / "out"]
    record = run(1, "mdr_epistasis", *words, "--folds", "2")
    assert record["cohort"]["variants_kept"] == 99
    found = {one["path"].removeprefix(f"s3://{BUCKET}/") for one in record["inputs"]}
    assert found == {"alone.bed", *keys.values()}
    assert all(one["etag"] for one in record["inputs"])
