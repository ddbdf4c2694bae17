"""The X chromosome: males have one copy, and their sex is read where it is named."""

import csv
import json

import numpy as np
import numpy.testing as npt
import pytest

import mdr_epistasis as mdr
from cohorts import choose, make_linked, run_plink, save_cohort
from hpc_connector.learner.genetics import get_hwe_p
from mdr_epistasis.program import main

N = 160
CHROMOSOMES = ["1"] * 5 + ["X"] * 20 + ["25"] * 5 + ["Y"] * 2
OF_Y = {"v30", "v31"}
ALL = "--min-maf 0 --max-missing 1 --folds 2 --quiet"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a folder with the cohort x; its genotypes, males, and who is a case."""
    folder = tmp_path_factory.mktemp("x")
    rng = np.random.default_rng(8)
    genotypes = make_linked(rng, len(CHROMOSOMES), N, 0.03)
    sexes = rng.integers(1, 3, N)
    sexes[:5] = 0  # not known
    males = sexes == 1
    one = genotypes[:, males]
    one[one == 1] = rng.choice([0, 2, 2], (one == 1).sum())
    one[7, :4] = 1  # as no male has
    genotypes[5:25, males] = one[5:25]
    is_case = rng.random(N) < 0.5
    save_cohort(folder / "x", genotypes, CHROMOSOMES, is_case, sexes)
    return folder, genotypes, males, is_case


def search(folder, out, *words):
    """Return the table of a search of all pairs, and its manifest."""
    words = ["run", f"{folder}/x.bed", "--out", str(out), *ALL.split(), *words]
    assert main(words) == 0
    with open(out / "models.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return rows, json.loads((out / "manifest.json").read_text())


@pytest.mark.parametrize("model", ["1", "2"])
def test_run__counts_males_as_the_model_says(model, cohort, tmp_path):
    folder, genotypes, males, is_case = cohort
    _, record = search(folder, tmp_path / "out", "--x-chr-model", model)
    expected = genotypes.copy()
    on_x = np.ix_(np.arange(5, 25), np.flatnonzero(males))
    called = expected[on_x]
    wrong = called == 1
    called[wrong] = -1
    if model == "1":
        called[called == 2] = 1
    expected[on_x] = called
    names = [f"v{v}" for v in range(len(genotypes))]
    order = np.argsort([f"I{i}" for i in range(N)])
    known = {"names": names, "folds": 2, "permutations": 0, "seed": 42}
    same = mdr.search(expected[:, order], is_case[order].astype(int), **known)
    found = mdr.load(tmp_path / "out")
    for name in ("variant", "cases", "controls", "test_balanced_accuracy"):
        npt.assert_array_equal(found.columns[name], same.columns[name])
    npt.assert_array_equal(found.variants["missing"], (expected < 0).mean(axis=1))
    counted = record["counted"]
    assert counted["heterozygous calls of males on X were taken as missing"] == (
        wrong.sum()
    )
    assert counted["individuals of unknown sex are taken as females on X"] == 5


def test_run__frequency_and_equilibrium_on_x(cohort, tmp_path):
    folder, genotypes, males, is_case = cohort
    rows, _ = search(folder, tmp_path / "out", "--x-chr-model", "2")
    for v, frequency in enumerate(mdr.load(tmp_path / "out").variants["frequency"]):
        is_x = CHROMOSOMES[v] == "X"
        of_males = genotypes[v, males]
        of_males = of_males[of_males != 1] if is_x else of_males
        called = [row[row >= 0] for row in (of_males, genotypes[v, ~males])]
        copies = called[0].sum() / (1 + is_x) + called[1].sum()
        alleles = len(called[0]) * (2 - is_x) + 2 * len(called[1])
        npt.assert_allclose(frequency, copies / alleles)
    p_of = {row["variant_1"]: row["hwe_p_1"] for row in rows}
    women = genotypes[:, ~males & ~is_case]
    for name, p in p_of.items():
        v = int(name[1:])
        if CHROMOSOMES[v] == "X":
            counts = np.bincount(women[v][women[v] >= 0], minlength=3)
            npt.assert_allclose(float(p), get_hwe_p(counts))
        assert (p == "NA") == (CHROMOSOMES[v] == "Y")


def test_run__without_the_option_calls_are_as_they_stand(cohort, tmp_path):
    folder, genotypes, *_ = cohort
    rows, record = search(folder, tmp_path / "out")
    found = mdr.load(tmp_path / "out").variants
    called = np.where(genotypes >= 0, genotypes, np.nan)
    npt.assert_allclose(found["frequency"], np.nanmean(called, axis=1) / 2)
    assert not [name for name in record["counted"] if "on X" in name]
    x = {f"v{v}" for v in range(5, 25)}
    assert {row["hwe_p_1"] for row in rows if row["variant_1"] in x} == {"NA"}


@pytest.mark.parametrize("words", ["--hwe 0.2", "--maf 0.25", "--hwe 0.5 --maf 0.1"])
def test_filters__of_x_as_plink(words, cohort, monkeypatch):
    folder, *_ = cohort
    ours = choose(
        folder, monkeypatch, *ALL.split()[:-1], "--x-chr-model", "2", *words.split()
    )
    of_plink = run_plink(folder, *words.split())[0]
    assert set(ours[0]) - OF_Y == set(of_plink) - OF_Y  # where plink counts males alone
    of_x = {f"v{v}" for v in range(5, 25)}
    assert 2 < len(of_x & set(ours[0])) < 20


def test_x_chr_model__0_leaves_x_out(cohort, tmp_path):
    folder, *_ = cohort
    _, record = search(folder, tmp_path / "out", "--x-chr-model", "0")
    assert record["cohort"]["removed"] == {"on X (--x-chr-model 0)": 20}


def test_x_chr_model__sex_of_the_labels(cohort, tmp_path, capsys):
    folder, _genotypes, males, is_case = cohort
    lines = [f"I{i}\t{int(is_case[i])}\t{'FM'[int(males[i])]}" for i in range(N)]
    (tmp_path / "labels").write_text("\n".join(["id\tcase\tSex", *lines]))
    fam = (folder / "x.fam").read_text().splitlines()
    none = [" ".join([*line.split()[:4], "0", line.split()[5]]) for line in fam]
    (tmp_path / "none.fam").write_text("\n".join(none))
    words = ["--fam", f"{tmp_path}/none.fam", "--x-chr-model", "2"]
    with_labels = [*words, "--labels", f"{tmp_path}/labels"]
    _, record = search(folder, tmp_path / "out", *with_labels)
    assert record["counted"] == {
        "heterozygous calls of males on X were taken as missing": 4
    }
    command = ["run", f"{folder}/x.bed", "--out", f"{tmp_path}/no", *ALL.split()]
    assert main([*command, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "--x-chr-model: nobody's sex is known" in line
    command = ["run", f"{folder}/x.bed", "--out", f"{tmp_path}/hwe", *ALL.split()]
    assert main([*command, *words[:2], "--hwe", "1e-6"]) == 0
