"""One cohort in formats that carry all of it: the same bytes, on one rank and two."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import zstandard

from formats import call, read_columns
from hpc_connector.loader.genotypes.plink2 import pgen
from mdr_epistasis.program import main
from programs import PATIENCE_S, make_command
from stores import write_store

COHORT = (
    "--variants 60 --individuals 200 --heritability 0.3 --maf 0.4 --seed 1 "
    "--missing-rate 0.02 --pure"
)


def plink2(folder, *words):
    call("plink2", "--bfile", str(folder / "bed"), *words)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a folder with the cohort in every such format."""
    folder = tmp_path_factory.mktemp("same")
    assert main(["simulate", "--out", str(folder / "bed"), *COHORT.split()]) == 0
    plink2(folder, "--make-pgen", "--out", str(folder / "p"))
    plink2(folder, "--make-pgen", "vzs", "--out", str(folder / "z"))
    plink2(folder, "--export", "vcf", "id-paste=iid", "--out", str(folder / "v"))
    plink2(folder, "--export", "bgen-1.1", "ref-first", "--out", str(folder / "1"))
    words = ["bgen-1.2", "id-paste=iid", "ref-first"]
    plink2(folder, "--export", *words, "--out", str(folder / "2"))
    text = (folder / "v.vcf").read_bytes()
    (folder / "v.vcf.zst").write_bytes(zstandard.compress(text))
    make_stores(folder, text.decode())
    return folder


def make_stores(folder, text):
    lines = [line.split("\t") for line in text.splitlines() if line[:2] != "##"]
    sites = [(row[0], int(row[1]), *row[2:5]) for row in lines[1:]]
    _, genotypes = read_columns(folder / "v.vcf")
    for kind in (2, 3):
        path = folder / f"format{kind}.vcz"
        write_store(path, genotypes, sites, lines[0][9:], zarr_format=kind)


def make_words(cohort, name, out):
    words = ["run", str(cohort / name), "--folds", "5", "--permutations", "2"]
    return [*words, "--labels", str(cohort / "bed.fam"), "--quiet", "--out", str(out)]


@pytest.fixture(scope="module")
def expected(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    assert main(make_words(cohort, "bed.bed", out)) == 0
    return (out / "models.tsv").read_bytes()


NAMES = ["p.pgen", "p", "z.pgen", "v.vcf", "v.vcf.zst", "1.bgen", "2.bgen"]
NAMES += ["format2.vcz", "format3.vcz"]


@pytest.mark.parametrize("name", NAMES)
def test_run__same_bytes_of_any_format(cohort, expected, tmp_path, name):
    assert main(make_words(cohort, name, tmp_path / "out")) == 0
    assert (tmp_path / "out/models.tsv").read_bytes() == expected


@pytest.mark.parametrize("name", ["p.pgen", "v.vcf.zst", "format2.vcz", "1.bgen"])
def test_run__same_bytes_on_two_ranks(cohort, expected, tmp_path, name):
    words = make_words(cohort, name, tmp_path / "out")
    subprocess.run(make_command(2, *words[1:]), check=True, capture_output=True)
    assert (tmp_path / "out/models.tsv").read_bytes() == expected


def cut_pgen(folder, cohort):
    for ending in ("pvar", "psam"):
        data = (cohort / f"p.{ending}").read_bytes()
        (folder / f"p.{ending}").write_bytes(data)
    data = (cohort / "p.pgen").read_bytes()
    (folder / "p.pgen").write_bytes(data[:-40])
    return folder / "p.pgen"


def damage_store(folder, cohort):
    subprocess.run(["cp", "-r", str(cohort / "format2.vcz"), str(folder)], check=True)
    chunk = folder / "format2.vcz/call_genotype/5.0.0"
    chunk.write_bytes(chunk.read_bytes() + b"0")
    return folder / "format2.vcz"


def cut_zstd(folder, cohort):
    data = (cohort / "v.vcf.zst").read_bytes()
    (folder / "v.vcf.zst").write_bytes(data[: len(data) // 2])
    return folder / "v.vcf.zst"


@pytest.mark.parametrize("damage", [cut_pgen, damage_store, cut_zstd])
def test_run__a_damaged_file_ends_all_ranks(cohort, tmp_path, damage):
    path = damage(tmp_path, cohort)
    words = make_words(cohort, path, tmp_path / "out")
    done = subprocess.run(
        make_command(2, *words[1:]), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 2
    (said,) = {line for line in done.stderr.splitlines() if "mdr-epistasis:" in line}
    assert str(path) in said
    assert "cut" in said or "damaged" in said or "cannot be read" in said


def test_run__labels_of_psam(cohort, expected, tmp_path):
    """A .psam file holds the labels, as a .fam file does."""
    words = make_words(cohort, "z", tmp_path / "out")
    at = words.index("--labels")
    assert main(words[:at] + words[at + 2 :]) == 0
    assert (tmp_path / "out/models.tsv").read_bytes() == expected


def test_run__companions_of_another_stem(cohort, expected, tmp_path):
    (tmp_path / "a.pgen").write_bytes((cohort / "p.pgen").read_bytes())
    words = make_words(cohort, tmp_path / "a.pgen", tmp_path / "out")
    named = ["--psam", str(cohort / "p.psam"), "--pvar", str(cohort / "z.pvar.zst")]
    assert main([*words, *named]) == 0
    assert (tmp_path / "out/models.tsv").read_bytes() == expected
    record = (tmp_path / "out/manifest.json").read_text()
    assert all(str(cohort / name) in record for name in ("p.psam", "z.pvar.zst"))


def test_read__blocks_of_pgen_join(cohort, monkeypatch):
    whole = read_columns(cohort / "p.pgen")
    monkeypatch.setattr(pgen, "BLOCK_VARIANTS", 7)
    ids, genotypes = read_columns(Path(cohort / "p.pgen"))
    assert ids == whole[0]
    np.testing.assert_array_equal(genotypes, whole[1])
