"""``--compat bsc`` against what BSC's program wrote, and against one loop a person."""

import gzip
import json
import subprocess
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.loader.genotypes.text.bsc import read_file_pairs
from mdr_epistasis.compat.bsc import get_fold_accuracy
from mdr_epistasis.program import main
from programs import PATIENCE_S
from test_individuals import EID, VCF

SPARK = Path(__file__).parent / "data/bsc_spark_1128"
SIMPLE = Path(__file__).parent / "data/bsc_simple_10x30x100"


def make_command(data, out, *options):
    samples = sorted(map(str, (data / "samples").glob("*.gz")))
    labels = ["--labels", str(data / "labels.sample"), "--out", str(out)]
    return ["run", *samples, *labels, "--compat", "bsc", "--quiet", *options]


def read_files(out):
    return {path.name: path.read_bytes() for path in out.glob("mdr_*.gz")}


@pytest.fixture(scope="module")
def spark_files(tmp_path_factory):
    """Return the files of one rank."""
    out = tmp_path_factory.mktemp("spark") / "out"
    assert main(make_command(SPARK, out)) == 0
    return read_files(out)


@pytest.mark.parametrize("second", ["chr0_synth0000", "chr0_synth0001"])
def test_compat_bsc__reproduces_every_line(spark_files, second):
    name = f"chr0_synth0000_{second}.gz"
    expected = (SPARK / "reference_output" / f"accuracy_{name}").read_bytes()
    found = gzip.decompress(spark_files[f"mdr_{name}"]).decode().splitlines()
    assert found == gzip.decompress(expected).decode().splitlines()
    assert len(found) == 10_000


def test_compat_bsc__same_bytes_on_two_ranks(spark_files, tmp_path):
    command = ["mpirun", "-n", "2", "mdr-epistasis", *make_command(SPARK, tmp_path)]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    assert len(spark_files) == 6
    assert read_files(tmp_path) == spark_files


def test_compat_bsc__goes_on_where_it_stopped(spark_files, tmp_path):
    assert main(make_command(SPARK, tmp_path / "out")) == 0
    lost = tmp_path / "out" / "mdr_chr0_synth0001_chr0_synth0001.gz"
    lost.unlink()
    assert main(make_command(SPARK, tmp_path / "out", "--resume")) == 0
    assert read_files(tmp_path / "out") == spark_files


def test_compat_bsc__takes_the_list_of_file_pairs(tmp_path):
    pairs = ["--file-pairs", str(SIMPLE / "listoffiles.txt")]
    assert main(make_command(SIMPLE, tmp_path / "out", *pairs)) == 0
    files = read_files(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["status"] == "done"
    assert sorted(files) == record["outputs"]
    assert len(files) == len((SIMPLE / "listoffiles.txt").read_text().split())
    assert all(gzip.decompress(data).count(b"\n") == 900 for data in files.values())


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--order", "3"], "--order does not go with --compat bsc"),
        (["--burst", "cloud.yaml"], "--burst does not go with --compat bsc"),
        (["--missing", "level"], "--missing does not go with --compat bsc"),
        (
            ["--file-pairs", str(SIMPLE / "listoffiles.txt")],
            "'chr0_synth0000-chr0_synth0003', expected FIRST-SECOND, each one of",
        ),
    ],
)
def test_compat_bsc__refuses(option, said, tmp_path, capsys):
    assert main(make_command(SPARK, tmp_path / "out", *option)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_compat_bsc__counts_what_was_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = VCF.replace("0/1", "0/.", 5)
    for name in ("a.vcf", "b.vcf"):
        (tmp_path / name).write_text(text)
    (tmp_path / "labels").write_text(EID)
    words = ["a.vcf", "b.vcf", "--labels", "labels", "--compat", "bsc", "--quiet"]
    assert main(["run", *words, "--out", "out"]) == 0
    counted = json.loads((tmp_path / "out/manifest.json").read_text())["counted"]
    assert counted == {"half-calls, as 0/., were taken as missing (--half-call)": 10}


def test_compat_bsc__files_of_one_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.vcf").write_text(VCF)
    (tmp_path / "labels").write_text(EID)
    words = ["a/x.vcf", "b/x.vcf", "--labels", "labels", "--compat", "bsc"]
    assert main(["run", *words, "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 files are called x.vcf" in line
    assert not (tmp_path / "out").exists()


def test_read_file_pairs__names_with_hyphens(tmp_path):
    path = tmp_path / "pairs"
    path.write_text("# mine\nchr1-1.gz-chr1-2\nchr1-1-chr1-2\n")
    assert read_file_pairs(str(path), ["chr1-1", "chr1-2"]) == [("chr1-1", "chr1-2")]


def score_slowly(first, second, is_case):
    """Return the accuracy of one pair in five folds, individual by individual."""
    n = len(is_case)
    cells = [
        None if a < 0 else (a, max(b, 0)) for a, b in zip(first, second, strict=True)
    ]
    ratio = sum(is_case) / (n - sum(is_case))
    accuracy = []
    for k in range(5):
        test = range(k * n // 5, (k + 1) * n // 5)
        train = [i for i in range(n) if i not in test]
        right = 0
        for i in test:
            same = [t for t in train if cells[t] == cells[i] is not None]
            cases = sum(is_case[t] for t in same)
            controls = len(same) - cases
            is_high = controls > 0 and cases / controls >= ratio
            right += is_high == is_case[i]
        accuracy.append(right / len(test))
    return accuracy


@given(st.data())
def test_get_fold_accuracy__agrees_with_one_loop_a_person(data):
    n = data.draw(st.integers(5, 40))
    levels = st.lists(st.integers(-1, 2), min_size=n, max_size=n)
    block_i, block_j = (
        np.array(data.draw(st.lists(levels, min_size=1, max_size=3)), np.int8)
        for _ in range(2)
    )
    is_case = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    is_case[:2] = True, False
    found = get_fold_accuracy(block_i, block_j, is_case)
    for i, first in enumerate(block_i.tolist()):
        for j, second in enumerate(block_j.tolist()):
            npt.assert_array_equal(
                found[i, j], score_slowly(first, second, is_case.tolist())
            )
