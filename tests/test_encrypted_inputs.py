"""Encrypted inputs: the same results as of the plain ones, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import formats
from hpc_connector.commands.main import main
from hpc_connector.confidential.evidence.levels import describe_level
from hpc_connector.confidential.keys import load_key
from hpc_connector.confidential.openers import open_by_key
from hpc_connector.crypt4gh import SEGMENT_BYTES, Writer
from hpc_connector.crypt4gh.body import SEALED_BYTES
from hpc_connector.crypt4gh.header import make_header, read_header
from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.vcf_gzip import VCFGZip, partition_num_chunks
from hpc_connector.storage import key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import forget, get_version
from hpc_connector.storage.ranges import fetch, fetch_into
from hpc_connector.storage.sealed import plaintext
from hpc_connector.storage.traffic import traffic
from mdr_epistasis.program import main as mdr
from metabolite_annotation import staging
from metabolite_annotation.program import main as annotate
from programs import assert_same, get_end, make_command, wait_for
from s3 import BUCKET, make_client
from web import serve

PROVED = describe_level(0, from_file=True)
DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "confidential"
COHORT = ("cohort.bed", "cohort.bim", "cohort.fam")
SEARCH = "--permutations 3 --folds 5 --top 50 --quiet"
IMZML, DATABASE = "tissue.imzML", "lipids.tsv.gz"

# A program whose ranks write the segments that they open, by the names of files
COUNTING = """
import json, sys
from hpc_connector.storage.sealed import segments
from mdr_epistasis.program import main
from mpi4py import MPI
opened, open_into = set(), segments.open_into
def note(data, ciphers, first, name, target):
    opened.update((name, first + k) for k in range(-(-len(data) // 65564)))
    open_into(data, ciphers, first, name, target)
segments.open_into = note
code = main(sys.argv[2:])
with open(f"{sys.argv[1]}/{MPI.COMM_WORLD.rank}.json", "w") as stream:
    json.dump(sorted(opened), stream)
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def no_keys():
    """Leave no opener to the next test."""
    yield
    key_ring.forget_keys()
    forget()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Return a folder of keys that nobody else may read."""
    folder = tmp_path_factory.mktemp("keys")
    for path in (GOLDEN / "keys").iterdir():
        shutil.copy(path, folder)
        (folder / path.name).chmod(0o600)
    return folder


@pytest.fixture
def cohort(tmp_path):
    """Return a folder of an encrypted cohort alone, with its seals."""
    for name in COHORT:
        for ending in (".c4gh", ".c4gh.seal"):
            shutil.copy(GOLDEN / f"{name}{ending}", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return the folder of a run of the plain cohort."""
    out = tmp_path_factory.mktemp("plain") / "out"
    assert search(GOLDEN / "cohort.bed", out) == 0
    return out


def search(path, out, *more):
    return mdr(["run", str(path), "--out", str(out), *SEARCH.split(), *map(str, more)])


def encrypt(keys, *paths):
    words = ["--to", f"{keys}/reader.pub", "--sign", f"{keys}/signer.pem"]
    assert main(["encrypt", *map(str, paths), *words]) == 0


def read_manifest(out):
    return json.loads((out / "manifest.json").read_text())


def refuse(capfd, *words, program=search):
    """Return the one line of a run that ends with code 2, and leaves nothing."""
    capfd.readouterr()
    assert program(*words) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    out = Path(words[1])
    assert not out.exists()
    return lines[0]


# Ranges of plaintext


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Return files with and without an edit list, what they are for a reader; a key."""
    folder, key = tmp_path_factory.mktemp("edited"), X25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    plain = np.random.default_rng(1).bytes(5 * SEGMENT_BYTES + 77)
    whole = folder / "whole.c4gh"
    with whole.open("wb") as stream, Writer(stream, [public]) as writer:
        writer.write(plain)
    data = whole.read_bytes()
    header = read_header(data, key, "whole")
    edits = (10, 70_000, 3, 5, 2 * SEGMENT_BYTES, 9, 1)
    again = make_header(header.session_keys, [public], edits)
    (folder / "edited.c4gh").write_bytes(again + data[header.size :])
    kept, at = b"", 0
    for skip, keep in zip(edits[::2], [*edits[1::2], len(plain)], strict=True):
        kept += plain[at + skip :][:keep]
        at += skip + keep
    return folder, {"whole": plain, "edited": kept}, key


@given(data=st.data(), name=st.sampled_from(["whole", "edited"]))
def test_fetch__any_ranges_are_those_of_the_plaintext(edited, data, name):
    folder, plain, key = edited
    key_ring.set_opener(open_by_key(key))
    source = Source(f"{folder}/{name}.c4gh")
    version = get_version(source)
    assert version.size == len(plain[name])
    place = st.integers(0, version.size)
    pairs = data.draw(st.lists(st.tuples(place, place), min_size=1, max_size=4))
    ranges = [(min(pair), max(pair)) for pair in pairs]
    found = fetch(source, version, ranges)
    assert found == [plain[name][first:last] for first, last in ranges]
    first, last = ranges[0]
    target = bytearray(last - first)
    fetch_into(source, version, first, memoryview(target))
    assert target == plain[name][first:last]


def test_fetch__a_range_of_a_segment_is_one_segment(edited, monkeypatch):
    folder, plain, key = edited
    key_ring.set_opener(open_by_key(key))
    source = Source(f"{folder}/whole.c4gh")
    version = get_version(source)
    before = traffic.requests, traffic.n_bytes
    fetch(source, version, [(3 * SEGMENT_BYTES + 5, 3 * SEGMENT_BYTES + 105)])
    assert traffic.requests - before[0] == 1
    assert traffic.n_bytes - before[1] == SEALED_BYTES
    monkeypatch.setattr(plaintext, "read_runs", None)  # what is held is not read again
    at = 3 * SEGMENT_BYTES + 500
    assert fetch(source, version, [(at, at + 9)]) == [plain["whole"][at : at + 9]]
    assert traffic.requests - before[0] == 1


def test_body__shows_no_session_key(edited):
    folder, _, key = edited
    key_ring.set_opener(open_by_key(key))
    source = Source(f"{folder}/whole.c4gh")
    get_version(source)
    body = key_ring.get_body(source.uri)
    assert repr(body.session_keys[0])[2:-1] not in repr(body)


# The same bytes


def test_search__is_that_of_the_plain_cohort(cohort, searched, keys):
    out = cohort / "out"
    words = ["--key", keys / "reader.sec", "--trust", keys / "signer.pub.pem"]
    assert search(cohort / "cohort.bed.c4gh", out, *words) == 0
    assert_same(out, searched)
    record = read_manifest(out)
    facts = {"key": "96ad89ea4a836609", "evidence": 0, "proved": PROVED}
    assert record["confidential"] == facts
    assert not {"key", "trust", "passphrase_fd"} & record["parameters"].keys()
    seal = {"signer": "8d8e22c81eaae8ba", "version": 1}
    assert [one["seal"] for one in record["inputs"]] == [seal] * 3
    assert record["inputs"][0]["bytes"] == (cohort / "cohort.bed.c4gh").stat().st_size
    assert "fetched_bytes" not in record["resources"]  # of no store
    assert key_ring.get_known() == ({}, ())  # a key is kept no longer than the run


@pytest.mark.parametrize("name", ["bgzip.vcf.gz", "a.bcf", "8.bgen"])
def test_search__of_other_formats(name, tmp_path, keys):
    bed = tmp_path / "bed"
    for one in COHORT:
        shutil.copy(GOLDEN / one, bed.with_suffix(Path(one).suffix))
    lines = [line.split() for line in bed.with_suffix(".fam").read_text().splitlines()]
    labels = tmp_path / "labels.tsv"
    rows = "".join(f"{line[1]}\t{int(line[5]) - 1}\n" for line in lines)
    labels.write_text(f"id\tclass\n{rows}")
    if name == "8.bgen":
        formats.plink2(bed, tmp_path / "8", *formats.BGEN, "bits=8")
        others = [tmp_path / "8.sample"]
    else:
        formats.write_vcf(bed, tmp_path)
        formats.call("bcftools", "index", f"{tmp_path}/a.bcf")
        others = [tmp_path / "a.bcf.csi"]
    path = tmp_path / name
    assert search(path, tmp_path / "plain", "--labels", labels) == 0
    encrypt(keys, path, labels, *others)
    for each in (path, labels, *others):
        each.unlink()
    words = ["--labels", f"{labels}.c4gh", "--key", keys / "reader.sec"]
    assert search(f"{path}.c4gh", tmp_path / "out", *words) == 0
    assert_same(tmp_path / "out", tmp_path / "plain")
    objects = {f"/{one.name}": one.read_bytes() for one in tmp_path.glob("*.c4gh*")}
    with serve(objects) as web:
        assert search(f"{web.address}/{name}.c4gh", tmp_path / "web", *words) == 0
    assert_same(tmp_path / "web", tmp_path / "plain")


def test_search__by_lists_and_covariates_that_are_encrypted(cohort, keys):
    ids = [line.split() for line in (GOLDEN / "cohort.fam").read_text().splitlines()]
    values = np.random.default_rng(1).integers(20, 70, len(ids))
    rows = [f"{each[1]}\t{value}\n" for each, value in zip(ids, values, strict=True)]
    (cohort / "ages.tsv").write_text("id\tage\n" + "".join(rows))
    lines = (GOLDEN / "cohort.bim").read_text().splitlines()
    names = [line.split()[1] for line in lines[:30]]
    (cohort / "list.csv").write_text(",".join(names))
    given = {"--covariates": "ages.tsv", "--variants": "list.csv"}
    encrypt(keys, *(cohort / name for name in given.values()))
    for out, ending in (("plain", ""), ("out", ".c4gh")):
        words = [f"{w}" for o, n in given.items() for w in (o, f"{cohort}/{n}{ending}")]
        words += ["--key", keys / "reader.sec"]
        assert search(cohort / "cohort.bed.c4gh", cohort / out, *words) == 0
    assert_same(cohort / "out", cohort / "plain")


@pytest.fixture(scope="module")
def tissue(tmp_path_factory, keys):
    """Return a folder of a dataset, plain and encrypted, and the run of the plain."""
    folder = tmp_path_factory.mktemp("tissue")
    lipids = DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz"
    shutil.copy(lipids, folder / DATABASE)
    words = ["--database", folder / DATABASE, "--out", folder / IMZML, "--width", 12]
    words += ["--height", 10, "--planted", 20, "--unknown", 20]
    assert annotate(["simulate", *map(str, words)]) == 0
    assert run_annotation(folder, IMZML, folder / "plain") == 0
    encrypt(keys, folder / IMZML, folder / "tissue.ibd", folder / DATABASE)
    (folder / "tissue.ibd").rename(folder / "kept")
    (folder / IMZML).unlink()
    return folder


def run_annotation(folder, name, out, *more, database=DATABASE):
    words = ["--database", folder / database, "--out", out, "--adducts", "+H"]
    words += ["--pattern-cache", folder / "cache", "--quiet", *more]
    return annotate(["run", f"{folder}/{name}", *map(str, words)])


def test_annotation__is_that_of_the_plain_dataset(tissue, keys, tmp_path, monkeypatch):
    copied = []

    def note(path, copy):
        copied.append((Path(copy).read_bytes(), oct(Path(copy).stat().st_mode)[-3:]))
        know_copy(path, copy)

    know_copy = staging.know_copy
    monkeypatch.setattr(staging, "know_copy", note)
    words = ["--key", keys / "reader.sec", "--trust", keys / "signer.pub.pem"]
    words += ["--scratch", tmp_path]
    names = {"database": f"{DATABASE}.c4gh"}
    out = tmp_path / "out"
    assert run_annotation(tissue, f"{IMZML}.c4gh", out, *words, **names) == 0
    assert_same(out, tissue / "plain")
    assert copied == [((tissue / "tissue.ibd.c4gh").read_bytes(), "600")]
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize("ranks", [2, 7])
def test_annotation__on_ranks(tissue, keys, tmp_path, ranks):
    words = [tissue / f"{IMZML}.c4gh", "--key", keys / "reader.sec", "--adducts", "+H"]
    words += ["--database", tissue / f"{DATABASE}.c4gh", "--out", tmp_path / "out"]
    words += ["--pattern-cache", tissue / "cache", "--quiet"]
    command = make_command(ranks, *words, program="metabolite_annotation")
    assert get_end(command)[0] == 0
    assert_same(tmp_path / "out", tissue / "plain")


def test_annotation__takes_a_plain_companion(tissue, keys, tmp_path, capfd):
    for name in (f"{IMZML}.c4gh", f"{IMZML}.c4gh.seal", DATABASE):
        shutil.copy(tissue / name, tmp_path)
    shutil.copy(tissue / "kept", tmp_path / "tissue.ibd")
    words = ["--key", keys / "reader.sec", "--pattern-cache", tissue / "cache"]
    out = tmp_path / "out"
    assert run_annotation(tmp_path, f"{IMZML}.c4gh", out, *words) == 0
    assert_same(out, tissue / "plain")
    words += ["--trust", keys / "signer.pub.pem"]

    def trust(_, other):
        return run_annotation(tmp_path, f"{IMZML}.c4gh", other, *words)

    said = refuse(capfd, None, tmp_path / "other", program=trust)
    assert "tissue.ibd.c4gh is missing" in said


def test_inputs__in_a_bucket(cohort, tissue, searched, keys, s3_endpoint, tmp_path):
    client = make_client(s3_endpoint)
    for folder in (cohort, tissue):
        for path in folder.glob("*.c4gh*"):
            client.upload_file(str(path), BUCKET, f"sealed/{path.name}")
    words = ["--key", keys / "reader.sec", "--trust", keys / "signer.pub.pem"]
    out = tmp_path / "search"
    assert search(f"s3://{BUCKET}/sealed/cohort.bed.c4gh", out, *words) == 0
    assert_same(out, searched)
    stored = read_manifest(out)["inputs"][0]
    assert stored["bytes"] == (cohort / "cohort.bed.c4gh").stat().st_size
    assert stored["etag"]
    assert stored["seal"]["version"] == 1
    url = f"s3://{BUCKET}/sealed/{IMZML}.c4gh"
    words += ["--database", tissue / DATABASE, "--out", tmp_path / "out", "--quiet"]
    words += ["--adducts", "+H", "--pattern-cache", tissue / "cache"]
    assert annotate(["run", url, *map(str, words)]) == 0
    assert_same(tmp_path / "out", tissue / "plain")


def test_inputs__of_a_server(cohort, tissue, searched, keys):
    paths = [*cohort.glob("*.c4gh*"), *tissue.glob("*.c4gh*")]
    key = ["--key", str(keys / "reader.sec")]
    with serve({f"/{path.name}": path.read_bytes() for path in paths}) as web:
        assert search(f"{web.address}/cohort.bed.c4gh", cohort / "out", *key) == 0
        words = ["--database", tissue / DATABASE, "--out", cohort / "tissue", "--quiet"]
        words += ["--adducts", "+H", "--pattern-cache", tissue / "cache", *key]
        url = f"{web.address}/{IMZML}.c4gh"
        assert annotate(["run", url, *map(str, words)]) == 0
    assert_same(cohort / "out", searched)
    assert_same(cohort / "tissue", tissue / "plain")


def test_inputs__of_a_disk_need_no_client_of_stores(cohort, searched, keys):
    code = "import sys; sys.modules['obstore'] = sys.modules['boto3'] = None; "
    code += "from mdr_epistasis.program import main; sys.exit(main(sys.argv[1:]))"
    words = ["run", cohort / "cohort.bed.c4gh", "--out", cohort / "out"]
    words += ["--key", keys / "reader.sec", *SEARCH.split()]
    command = [sys.executable, "-c", code, *map(str, words)]
    code, lines, _ = get_end(command)
    assert (code, len(lines)) == (0, 2)  # also a note of variants that are left out
    assert lines[0].endswith(PROVED)
    assert_same(cohort / "out", searched)


# Ranks


@pytest.fixture(scope="module")
def large(tmp_path_factory, keys):
    """Return a .bed file of 16 segments, its run, and its encrypted copy."""
    folder = tmp_path_factory.mktemp("large")
    words = "--variants 100 --individuals 41000 --heritability 0.1 --maf 0.3"
    assert mdr(["simulate", "--out", f"{folder}/a", *words.split()]) == 0
    assert search(folder / "a.bed", folder / "plain") == 0
    encrypt(keys, *(folder / f"a.{ending}" for ending in ("bed", "bim", "fam")))
    return folder


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_ranks__open_their_own_segments(large, keys, tmp_path, ranks):
    words = ["run", large / "a.bed.c4gh", "--out", tmp_path / "out", *SEARCH.split()]
    words += ["--key", keys / "reader.sec"]
    launch = ["mpirun", "-n", str(ranks), sys.executable, "-c", COUNTING, tmp_path]
    code, lines, _ = get_end([*map(str, launch), *map(str, words)])
    assert (code, lines) == (0, [f"mdr-epistasis: {PROVED}"])
    assert_same(tmp_path / "out", large / "plain")
    name = str(large / "a.bed.c4gh")
    opened = [
        {
            number
            for file, number in json.loads((tmp_path / f"{rank}.json").read_text())
            if file == name
        }
        for rank in range(ranks)
    ]
    n_segments = -(-(large / "a.bed").stat().st_size // SEGMENT_BYTES)
    assert set().union(*opened) == set(range(n_segments))
    own = -(-n_segments // ranks) + 1  # a segment may belong to two shares
    assert max(map(len, opened)) <= own + 1  # what a buffer reads ahead, a magic number


def test_run__goes_on_after_a_kill(large, keys, tmp_path):
    out = tmp_path / "out"
    words = [large / "a.bed.c4gh", "--out", out, *SEARCH.split()]
    command = make_command(1, *words, "--key", keys / "reader.sec")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: [*out.glob("ledger/*.npz")] or process.poll() is not None)
    process.kill()
    assert process.wait() < 0
    assert get_end([*command, "--resume"])[:2] == (0, [f"mdr-epistasis: {PROVED}"])
    assert_same(out, large / "plain")
    assert read_manifest(out)["attempt"] == 2


# Keys


def test_key__of_an_open_file(cohort, searched, keys):
    with (keys / "reader.sec").open("rb") as stream:
        words = ["--key", f"fd:{stream.fileno()}"]
        assert search(cohort / "cohort.bed.c4gh", cohort / "out", *words) == 0
    assert_same(cohort / "out", searched)
    assert "fd:" in read_manifest(cohort / "out")["command"]


def test_key__with_a_passphrase(cohort, keys, searched, capfd):
    passphrase = (keys / "reader_passphrase.txt").read_bytes().strip()
    key, path = keys / "reader_passphrase.sec", cohort / "cohort.bed.c4gh"
    read, write = os.pipe()
    with os.fdopen(read):
        words = ["--key", key, "--passphrase-fd", read]
        os.write(write, b"wrong\n")
        said = refuse(capfd, path, cohort / "out", *words)
        assert str(key) in said
        os.write(write, passphrase + b"\n")
        os.close(write)
        words[1] = Path(shutil.copy(key, cohort / "own.sec"))
        assert search(path, cohort / "out", *words) == 0
    assert_same(cohort / "out", searched)
    assert passphrase.decode() not in (cohort / "out/manifest.json").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "cohort.bed.c4gh is encrypted: expected --key"),
        (("--key", "stranger.sec"), "no packet for this key"),
        (("--key", "none.sec"), "No such file or directory"),
        (("--key", "signer.pem"), "signer.pem"),
        (("--key", "fd:99"), "--key fd:99: Bad file descriptor"),
        (("--key", f"fd:{1 << 80}"), "too large: expected an open file"),
        (("--key", "fd:x"), "expected the number of an open file"),
        (("--trust", "signer.pub.pem"), "expected --key with"),
        (("--key", "reader.sec", "--trust", "other_signer.pub.pem"), "was signed by"),
        (("--key", "reader.sec", "--trust", "reader.pub"), "is no key of PEM"),
        (("--key", "reader.sec", "--burst", "x.yaml"), "--burst does not go with"),
    ],
)
def test_options__that_are_refused(words, said, cohort, keys, capfd):
    words = [keys / word if (keys / word).exists() else word for word in words]
    line = refuse(capfd, cohort / "cohort.bed.c4gh", cohort / "out", *words)
    assert said in line


def test_key__without_standard_input(keys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    key = load_key(keys / "reader.sec")
    assert key.private_bytes_raw()
    with pytest.raises(BadInput, match="needs its passphrase"):
        load_key(keys / "reader_passphrase.sec")


def test_key__open_to_others(cohort, keys, capfd):
    key = Path(shutil.copy(keys / "reader.sec", cohort))
    key.chmod(0o640)
    line = refuse(capfd, cohort / "cohort.bed.c4gh", cohort / "out", "--key", key)
    assert "is open to others" in line


# Faults


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


FAULTS = {
    "no magic": (lambda d: b"x" + d, "is not Crypt4GH: begins with b'xcrypt4g'"),
    "version 2": (lambda d: d[:8] + b"\2" + d[9:], "is Crypt4GH of version 2"),
    "header cut": (lambda d: d[:60], "ends within its header, after 60 bytes"),
    "no packet": (lambda d: d[:12] + bytes(4) + d[16:], "a header without packets"),
    "long packet": (lambda d: d[:16] + b"\xff" * 4 + d[20:], "of over 1048576 bytes"),
    "empty": (lambda d: b"", "ends within its header, after 0 bytes"),
    "cut": (lambda d: d[: 124 + 20], "is cut: it ends within segment 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["cohort.bed", "cohort.fam"])
def test_file__damaged(fault, name, cohort, keys, capfd):
    path = cohort / f"{name}.c4gh"
    damage, said = FAULTS[fault]
    path.write_bytes(damage(path.read_bytes()))
    path.with_name(f"{path.name}.seal").unlink()
    words = ["--key", keys / "reader.sec"]
    line = refuse_quietly(capfd, cohort / "cohort.bed.c4gh", cohort / "out", *words)
    assert said in line
    assert path.name in line


def refuse_quietly(capfd, *words):
    """Return the last line of a run that ends with code 2: others miss a seal."""
    capfd.readouterr()
    assert search(*words) == 2
    lines = capfd.readouterr().err.splitlines()
    assert all("has no seal" in line for line in lines[:-1])
    assert not Path(words[1]).exists()
    return lines[-1]


def test_file__a_bit_flipped(large, keys, tmp_path, capfd):
    data = (large / "a.bed.c4gh").read_bytes()
    for ending in ("bim", "fam"):
        shutil.copy(large / f"a.{ending}", tmp_path)
    path = tmp_path / "a.bed.c4gh"
    path.write_bytes(flip(data, 124 + 5 * SEALED_BYTES + 1000))
    words = [path, tmp_path / "out", "--key", keys / "reader.sec"]
    line = refuse_quietly(capfd, *words)
    assert f"{path}: segment 5 is damaged" in line


def seal_faults():
    whole = SEALED_BYTES
    return {
        "dropped": lambda d: d[:-whole],
        "repeated": lambda d: d[: 124 + whole] + d[124:],
        "exchanged": lambda d: (
            d[:124] + d[124 + whole :][:whole] + d[124:][:whole] + d[124 + 2 * whole :]
        ),
    }


@pytest.mark.parametrize("fault", seal_faults())
@pytest.mark.parametrize("trust", [True, False])
def test_seal__shows_what_became_of_segments(
    fault, trust, large, keys, tmp_path, capfd
):
    for path in large.glob("a.*.c4gh*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / "a.bed.c4gh"
    path.write_bytes(seal_faults()[fault](path.read_bytes()))
    words = ["--trust", keys / "signer.pub.pem"] if trust else []
    words += ["--key", keys / "reader.sec"]
    line = refuse(capfd, path, tmp_path / "out", *words)
    expected = "segment 0 is not the one" if fault == "exchanged" else "its seal says"
    assert f"{path}" in line
    assert expected in line


def change(path, at):
    path.write_bytes(flip(path.read_bytes(), at))


SEALS = {
    "of another file": (
        lambda p: shutil.copy(p.with_name("cohort.fam.c4gh.seal"), p),
        "is the seal of cohort.fam.c4gh",
    ),
    "changed head": (lambda p: change(p, 40), "its signature does not hold"),
    "changed version": (
        lambda p: p.write_bytes(p.read_bytes().replace(b'"version":1', b'"version":2')),
        "its signature does not hold",
    ),
    "changed page": (lambda p: change(p, -1), "page 0 was changed"),
    "no JSON": (lambda p: change(p, 12), "its head is not JSON"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:100]), "it ends within its head"),
    "no seal": (lambda p: p.write_bytes(b"none"), "is not a seal"),
    "missing": (lambda p: p.unlink(), "is missing: --trust needs a seal"),
}


@pytest.mark.parametrize("fault", SEALS)
def test_seal__that_does_not_hold(fault, cohort, keys, capfd):
    damage, said = SEALS[fault]
    damage(cohort / "cohort.bed.c4gh.seal")
    words = ["--key", keys / "reader.sec", "--trust", keys / "signer.pub.pem"]
    line = refuse(capfd, cohort / "cohort.bed.c4gh", cohort / "out", *words)
    assert said in line


def test_trust__of_plain_data(keys, tmp_path, capfd):
    words = ["--key", keys / "reader.sec", "--trust", keys / "signer.pub.pem"]
    line = refuse(capfd, GOLDEN / "cohort.bed", tmp_path / "out", *words)
    assert "cohort.bed is plain, which nobody has sealed" in line
    imzml = DATA / "imzml/Untreated_3_434_tiny.imzML"
    database = DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz"

    def run(path, out, *more):
        words = ["--database", database, "--out", out, "--quiet", *more]
        return annotate(["run", str(path), *map(str, words)])

    line = refuse(capfd, imzml, tmp_path / "out", *words, program=run)
    assert "tiny.imzML is plain" in line


def test_seal__that_is_missing_is_said_once(cohort, keys, caplog, searched):
    for path in cohort.glob("*.seal"):
        path.unlink()
    words = ["--key", keys / "reader.sec"]
    assert search(cohort / "cohort.bed.c4gh", cohort / "out", *words) == 0
    assert len([line for line in caplog.messages if "has no seal" in line]) == 3
    assert_same(cohort / "out", searched)
    assert {one["seal"] for one in read_manifest(cohort / "out")["inputs"]} == {"none"}


def test_file__that_changes_while_it_is_read(edited):
    folder, plain, key = edited
    key_ring.set_opener(open_by_key(key))
    path = Path(shutil.copy(folder / "whole.c4gh", folder / "other.c4gh"))
    source = Source(str(path))
    version = get_version(source)
    n = len(plain["whole"])
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    for read in (
        lambda: fetch(source, version, [(0, n)]),
        lambda: fetch_into(source, version, 0, memoryview(bytearray(n))),
    ):
        with pytest.raises(BadInput, match="has changed"):
            read()


# Slices


def test_slices__of_an_encrypted_object(tmp_path, keys, capfdbinary):
    for path in (DATA / "slices/vcf").glob("exome_trios*"):
        shutil.copy(path, tmp_path)
    vcf = tmp_path / "exome_trios.vcf.gz"
    plain = CloudObject.from_path(VCFGZip, str(vcf)).preprocess()
    expected = [s.get() for s in plain.partition(partition_num_chunks, num_chunks=5)]
    encrypt(keys, vcf, f"{vcf}.tbi")
    shutil.rmtree(f"{vcf}.index")
    name, key = f"{vcf}.c4gh", ["--key", f"{keys}/reader.sec"]
    assert main(["slices", "verify", name, *key, "--quiet"]) == 0
    assert main(["slices", "get", name, "--slices", "5", *key]) == 0
    assert expected[0].encode() in capfdbinary.readouterr().out
    (index,) = Path(f"{name}.index").iterdir()  # encrypted too, for it quotes the file
    assert index.read_bytes().startswith(b"crypt4gh")
    assert main(["slices", "list", name]) == 2
    key_ring.set_opener(open_by_key(load_key(keys / "reader.sec")))
    sealed = CloudObject.from_path(VCFGZip, name)
    slices = sealed.partition(partition_num_chunks, num_chunks=5)
    assert [each.get() for each in slices] == expected
    key_ring.forget_opened()
    assert slices[3].get() == expected[3]
    key_ring.forget_keys()
    with pytest.raises(BadInput, match="is encrypted: expected --key"):
        slices[3].get()
