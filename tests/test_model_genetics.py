"""Linkage and equilibrium beside each model: in models.tsv, results.h5 and the page."""

import csv
import subprocess

import h5py
import numpy as np
import numpy.testing as npt
import pytest

import mdr_epistasis as mdr
from cohorts import get_slow_r2, make_linked, save_cohort
from conftest import require
from hpc_connector.learner.genetics import get_hwe_p
from mdr_epistasis.program import main

COHORT = "--min-maf 0 --max-missing 1 --folds 2 --top 40 --quiet"


@pytest.fixture(scope="module", params=[2, 3])
def run(request, tmp_path_factory):
    """Return the folder of a search, its genotypes, and who is a case."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(11)
    genotypes = make_linked(rng, 12, 200, 0.05)
    genotypes[4] = 1
    is_case = rng.random(200) < 0.4
    chromosomes = [1] * 10 + ["Y", "MT"]
    save_cohort(folder / "x", genotypes, chromosomes, is_case)
    words = ["run", f"{folder}/x.bed", "--out", f"{folder}/out", *COHORT.split()]
    assert main([*words, "--order", str(request.param)]) == 0
    return folder / "out", genotypes, is_case


def test_models__have_r2_and_equilibrium(run):
    out, genotypes, is_case = run
    with open(out / "models.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    order = sum(name.startswith("variant_") for name in rows[0])
    assert (
        list(rows[0])[-order - 1 :]
        == ["r2", "hwe_p_1", "hwe_p_2", "hwe_p_3"][: order + 1]
    )
    controls = genotypes[:, ~is_case]
    counts = np.array([np.bincount(row[row >= 0], minlength=3) for row in controls])
    p = get_hwe_p(counts)
    p[10:] = np.nan
    for row in rows:
        ids = [row[f"variant_{k + 1}"] for k in range(order)]
        model = genotypes[[int(name[1:]) for name in ids]]
        pairs = [(a, b) for a in range(order) for b in range(a)]
        r2 = np.fmax.reduce([get_slow_r2(model[a], model[b]) for a, b in pairs])
        npt.assert_allclose(to_number(row["r2"]), r2, rtol=1e-9, atol=1e-12)
        found = [to_number(row[f"hwe_p_{k + 1}"]) for k in range(order)]
        npt.assert_allclose(found, p[[int(name[1:]) for name in ids]], rtol=1e-9)


def to_number(text):
    return np.nan if text == "NA" else float(text)


def test_models__of_the_file_are_loaded_and_shown(run):
    out, *_ = run
    result = mdr.load(out)
    with h5py.File(out / "results.h5") as file:
        npt.assert_array_equal(file["models/r2"][:], result.columns["r2"])
        assert file["models/hwe_p"].shape == (len(result.columns["r2"]), result.order)
    page = (out / "report.html").read_text()
    assert (page.count('<span class="near">linked</span>') > 0) == (
        np.nanmax(result.columns["r2"]) > 0.5
    )
    assert ">r²</button>" in page


def test_report__of_results_without_linkage(run, tmp_path):
    """Of an earlier version of the program."""
    out, *_ = run
    with h5py.File(out / "results.h5", "a") as file:
        kept = {name: file[f"models/{name}"][:] for name in ("r2", "hwe_p")}
        for name in kept:
            del file[f"models/{name}"]
    try:
        assert main(["report", str(out)]) == 0
        assert "r2" not in mdr.load(out).table
    finally:
        with h5py.File(out / "results.h5", "a") as file:
            for name, column in kept.items():
                file[f"models/{name}"] = column


def test_models__have_the_r2_of_plink(tmp_path):
    """Which is rounded to six digits."""
    rng = np.random.default_rng(3)
    genotypes = make_linked(rng, 10, 150, 0.05)
    save_cohort(tmp_path / "x", genotypes, [2] * 10, np.arange(150) % 2)
    words = "--bfile x --r2 --ld-window-r2 0 --ld-window 99 --out ld --silent"
    command = [require("plink1.9"), *words.split()]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = (tmp_path / "ld.ld").read_text().splitlines()[1:]
    of_plink = {(row[2], row[5]): float(row[6]) for row in map(str.split, lines)}
    words = ["run", f"{tmp_path}/x.bed", "--out", f"{tmp_path}/out", *COHORT.split()]
    assert main(words) == 0
    table = mdr.load(tmp_path / "out").table
    ids = zip(table["variant_1"], table["variant_2"], strict=True)
    assert len(of_plink) == 45
    for pair, r2 in zip(ids, table["r2"], strict=True):
        npt.assert_allclose(r2, of_plink[pair], rtol=1e-5, atol=1e-9)
