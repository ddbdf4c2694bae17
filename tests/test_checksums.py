"""Checksums: one read for all, while a run goes on, and what may go wrong meanwhile."""

import hashlib
import json
import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.ibd import check_checksum
from hpc_connector.loader.spectra.imzml import guess_algorithm, read_imzml
from hpc_connector.storage import checksums
from hpc_connector.storage.checksums import Hasher, hash_path
from imzml import plant_lipids, write_imzml
from mdr_epistasis.program import main as search
from metabolite_annotation import run as runner
from metabolite_annotation.program import main
from programs import assert_same, get_end, make_command, overwrite, wait_for

ENDLESS_BYTES = 1 << 42  # a hole, which takes an hour to read
FEW = [(1, 1, [100.0, 200.0], [1.0, 2.0]), (2, 1, [150.0], [3.0])]
LIKE_METASPACE = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619"]
LIKE_METASPACE += ["--fdr", "1", "--quiet"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep isotope patterns away from the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def dataset(tmp_path):
    """Return a small dataset with known ions, and its database."""
    return plant_lipids(tmp_path)


def make_run(ranks, dataset, out, *options):
    """Return the command of an annotation."""
    imzml, database = dataset
    given = ["--database", database, "--out", out, *LIKE_METASPACE, *options]
    return make_command(ranks, imzml, *given, program="metabolite_annotation")


def annotate(dataset, out, *options):
    """Annotate in this process."""
    return main(list(map(str, make_run(1, dataset, out, *options)[3:])))


def spoil(dataset, algorithm="sha1"):
    """Change the last byte of the .ibd file, whose checksum is by some algorithm."""
    imzml, ibd = dataset[0], dataset[0].with_suffix(".ibd")
    right = ibd.read_bytes()
    spoiled = right[:-1] + b"\0"
    if algorithm == "md5":
        text = imzml.read_text().replace("IMS:1000091", "IMS:1000090")
        digits = hashlib.sha1(right).hexdigest().upper()
        imzml.write_text(text.replace(digits, hashlib.md5(right).hexdigest()))
    ibd.write_bytes(spoiled)
    return f"its {algorithm} is {hashlib.new(algorithm, spoiled).hexdigest()}"


def get_sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# Files


@pytest.mark.parametrize("n_bytes", [0, 1, 6, 7, 8, 50])
def test_hash_path__as_hashlib(tmp_path, monkeypatch, n_bytes):
    monkeypatch.setattr(checksums, "PIECE_BYTES", 7)
    data = bytes(range(n_bytes))
    (tmp_path / "file").write_bytes(data)
    found = hash_path(str(tmp_path / "file"), ["sha256", "md5"])
    assert found == {n: hashlib.new(n, data).hexdigest() for n in ("sha256", "md5")}


def test_hash_path__reads_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # gives its bytes to one reader, once
    write = partial((tmp_path / "pipe").write_bytes, b"some bytes")
    writer = threading.Thread(target=write)
    writer.start()
    found = hash_path(str(tmp_path / "pipe"), ["sha256", "sha1"])
    writer.join()
    assert found["sha256"] == hashlib.sha256(b"some bytes").hexdigest()
    assert found["sha1"] == hashlib.sha1(b"some bytes").hexdigest()


def test_hasher__leaves_what_is_not_hashed(tmp_path):
    with open(tmp_path / "endless", "wb") as stream:
        stream.truncate(ENDLESS_BYTES)
    with Hasher() as hasher:
        hasher.begin(str(tmp_path / "endless"))
        hasher.begin(str(tmp_path))


def test_hasher__of_a_copy(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"there")
    (tmp_path / "copy").write_bytes(b"copied")
    with Hasher() as hasher:
        hasher.begin(str(path), copy=str(tmp_path / "copy"))
        assert hasher.get(str(path)) == {"sha256": get_sha256(tmp_path / "copy")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: overwrite(path, b"othe"), "was changed while it was read"),
        (lambda path: os.truncate(path, 1), "was changed while it was read"),
        (lambda path: os.utime(path, (1, 1)), "was changed while it was read"),
        (lambda path: path.unlink(), "cannot be read: No such file"),
    ],
)
def test_hasher__of_a_file_that_changes(tmp_path, change, said):
    path = tmp_path / "file"
    path.write_bytes(b"some")
    with Hasher() as hasher:
        hasher.begin(str(path))
        change(path)
        with pytest.raises(BadInput, match=said):
            hasher.get(str(path))


def test_hasher__of_no_file(tmp_path):
    with Hasher() as hasher, pytest.raises(BadInput, match="cannot be read"):
        hasher.begin(str(tmp_path / "none"))


# Declared checksums


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", None])
def test_guess_algorithm__as_the_whole_file_says(tmp_path, algorithm):
    write_imzml(tmp_path / "few.imzML", FEW, checksum=algorithm)
    path = str(tmp_path / "few.imzML")
    declared = read_imzml(path).checksum
    assert guess_algorithm(path) == (declared and declared[0]) == algorithm


@pytest.mark.parametrize("text", ["", "<mzML", "<mzML><fileDescription>", "\0"])
def test_guess_algorithm__of_what_says_nothing(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert guess_algorithm(str(tmp_path / "file")) is None
    assert guess_algorithm(str(tmp_path / "none")) is None


@pytest.mark.parametrize("found", [None, {"sha256": "0"}])
def test_check_checksum__reads_what_was_not_guessed(tmp_path, found):
    write_imzml(tmp_path / "few.imzML", FEW, checksum="md5")
    imzml = read_imzml(str(tmp_path / "few.imzML"))
    check_checksum(imzml, found)
    Path(imzml.ibd_path).write_bytes(b"another")
    with pytest.raises(BadInput, match="is damaged: its md5"):
        check_checksum(imzml, found)
    check_checksum(imzml, {"md5": imzml.checksum[1]})


# Runs


def test_run__reads_each_file_for_its_checksums_once(dataset, tmp_path, monkeypatch):
    hashed, hash_file = [], checksums.hash_file

    def count(path, algorithms, is_stopped):
        hashed.append((Path(path).name, tuple(algorithms)))
        return hash_file(path, algorithms, is_stopped)

    monkeypatch.setattr(checksums, "hash_file", count)
    assert annotate(dataset, tmp_path / "out") == 0
    alone = ("sha256",)
    assert sorted(hashed) == [
        ("lipids.tsv", alone),
        ("small.ibd", ("sha256", "sha1")),
        ("small.imzML", alone),
    ]
    inputs = json.loads((tmp_path / "out/manifest.json").read_text())["inputs"]
    assert len(inputs) == 3
    for one in inputs:
        assert list(one) == ["path", "bytes", "sha256"]
        assert one["sha256"] == get_sha256(one["path"])


@pytest.mark.parametrize(
    ("ranks", "algorithm", "options"),
    [(1, "md5", []), (2, "sha1", []), (2, "md5", ["--scratch", "."])],
)
def test_run__another_checksum_leaves_nothing(
    dataset, tmp_path, ranks, algorithm, options
):
    said = spoil(dataset, algorithm)
    before = set(tmp_path.glob("*"))
    command = make_run(ranks, dataset, tmp_path / "out", *options)
    code, lines, _ = get_end(command, cwd=tmp_path)
    assert (code, len(lines)) == (2, 1), lines
    assert f"small.ibd is damaged: {said}" in lines[0]
    assert set(tmp_path.glob("*")) - before <= {tmp_path / "cache"}


def test_run__takes_another_checksum_if_told_to(dataset, tmp_path):
    spoil(dataset)
    assert annotate(dataset, tmp_path / "out", "--no-check") == 0
    inputs = json.loads((tmp_path / "out/manifest.json").read_text())["inputs"]
    assert [i["sha256"] for i in inputs] == [get_sha256(i["path"]) for i in inputs]


@pytest.mark.parametrize("which", [".ibd", ".tsv"])
def test_run__refuses_what_changes_meanwhile(
    dataset, tmp_path, monkeypatch, capsys, which
):
    path = dataset[0].with_suffix(".ibd") if which == ".ibd" else dataset[1]
    load = runner.load_spectra

    def change(*given):
        with open(path, "ab") as stream:
            stream.write(b"\n")
        return load(*given)

    monkeypatch.setattr(runner, "load_spectra", change)
    assert annotate(dataset, tmp_path / "out") == 2
    assert f"{path} was changed while it was read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__an_error_does_not_wait_for_checksums(dataset, tmp_path, ranks):
    os.truncate(dataset[0].with_suffix(".ibd"), ENDLESS_BYTES)
    dataset[1].write_text("id\tname\tformula\n1\tnone\tQq\n")
    code, lines, _ = get_end(make_run(ranks, dataset, tmp_path / "out"))
    assert (code, len(lines)) == (2, 1), lines
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__a_signal_does_not_wait_for_checksums(dataset, tmp_path, ranks):
    ibd, out = dataset[0].with_suffix(".ibd"), tmp_path / "out"
    n_bytes = ibd.stat().st_size
    os.truncate(ibd, ENDLESS_BYTES)
    command = make_run(ranks, dataset, out)
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for((out / "ledger").exists)
    assert not list((out / "ledger").iterdir())
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 75
    os.truncate(ibd, n_bytes)  # a file that the run has not known yet
    assert get_end([*command, "--resume"])[:2] == (0, [])
    assert annotate(dataset, tmp_path / "reference") == 0
    assert_same(out, tmp_path / "reference")


def test_run__resumes_with_the_same_inputs_only(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    assert annotate(dataset, out) == 0
    with open(dataset[1], "a") as stream:
        stream.write("999\tmore\tC6H12O6\n")
    capsys.readouterr()
    assert annotate(dataset, out, "--resume") == 2
    assert f"{dataset[1]} was '" in capsys.readouterr().err


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__of_genotypes_keeps_their_checksums(tmp_path, ranks):
    options = "--variants 20 --individuals 50 --heritability 0.2 --maf 0.3 --seed 1"
    given = ["simulate", "--out", str(tmp_path / "small"), *options.split()]
    assert search(given) == 0
    command = make_command(ranks, tmp_path / "small.bed", "--out", tmp_path / "out")
    assert get_end(command)[0] == 0
    inputs = json.loads((tmp_path / "out/manifest.json").read_text())["inputs"]
    assert len(inputs) >= 3
    assert [i["sha256"] for i in inputs] == [get_sha256(i["path"]) for i in inputs]
