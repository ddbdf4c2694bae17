"""Searches with covariates, of quantitative traits and counts, as users run them."""

import csv
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import mdr_epistasis as mdr
from hpc_connector.burst.package import load_package
from hpc_connector.manifest import read_manifest
from hpc_connector.storage.address import Source
from mdr_epistasis import schema
from mdr_epistasis import tasks as tasks_module
from mdr_epistasis.cohort.lists import Lists
from mdr_epistasis.cohort.loading import make_cohort
from mdr_epistasis.cohort.traits import adjust
from mdr_epistasis.options import Options
from mdr_epistasis.program import main
from mdr_epistasis.question import make_question
from mdr_epistasis.remote import pack, run_tasks
from mdr_epistasis.runner import make_search
from mdr_epistasis.tasks import make_tasks, merge, search_all
from programs import PATIENCE_S, assert_same, make_command, wait_for

N, VARIANTS, PLANTED = 240, 40, ("rs5", "rs9")
FIXED = ["--folds", "5", "--top", "30", "--quiet"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a cohort in whose traits a pair is planted, and its files."""
    rng = np.random.default_rng(8)
    folder = tmp_path_factory.mktemp("cohort")
    genotypes = rng.binomial(2, 0.4, (VARIANTS, N)).astype(np.int8)
    genotypes[rng.random(genotypes.shape) < 0.005] = -1
    is_high = (genotypes[5] > 0) ^ (genotypes[9] > 0)
    age = rng.integers(40, 71, N).astype(float)
    site = rng.choice(["A", "B", "C"], N)
    carrier = 2.0 * is_high + rng.normal(size=N)  # a covariate with the signal
    columns = {
        "bmi": 0.3 * age + 1.5 * is_high + rng.normal(size=N),
        "visits": rng.poisson(np.exp(0.02 * age - 1 + 1.2 * is_high)),
        "ill": (rng.random(N) < 1 / (1 + np.exp(2.5 - 2.5 * carrier))) + 0,
        "age": age,
        "site": site,
        "carrier": carrier,
        "even": np.arange(N) % 2,
    }
    ids = [f"p{k:03d}" for k in range(N)]
    write_vcf(folder / "x.vcf", genotypes, ids)
    write_table(folder / "traits.tsv", ids, columns)
    return SimpleNamespace(folder=folder, genotypes=genotypes, ids=ids, **columns)


def write_vcf(path, genotypes, ids):
    words = np.array(["0/0", "0/1", "1/1", "./."])
    head = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    with open(path, "w") as stream:
        stream.write("##fileformat=VCFv4.2\n##contig=<ID=1>\n")
        stream.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        stream.write("\t".join([*head, *ids]) + "\n")
        for v, row in enumerate(genotypes):
            known = f"1 {1000 * (v + 1)} rs{v} A G . PASS . GT".split()
            stream.write("\t".join([*known, *words[row]]) + "\n")


def write_table(path, ids, columns):
    with open(path, "w") as stream:
        stream.write("\t".join(["id", *columns]) + "\n")
        for row in zip(ids, *columns.values(), strict=True):
            stream.write("\t".join(map(str, row)) + "\n")


def search(cohort, out, *words):
    """Return the exit code of a search of the cohort."""
    files = [cohort.folder / "x.vcf", "--out", out, *FIXED]
    table = cohort.folder / "traits.tsv"
    return main([
        "run",
        *map(str, files),
        *(word.replace("TABLE", str(table)) for word in words),
    ])  # fmt: skip


def read_models(out):
    with open(out / "models.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def get_pair(model):
    return model["variant_1"], model["variant_2"]


BMI = ["--phenotype", "TABLE", "--trait", "bmi", "--covariate-names", "age,site"]


@pytest.fixture(scope="module")
def reference(cohort, tmp_path_factory):
    """Return the results of a quantitative trait, with permutations."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert search(cohort, out, *BMI, "--permutations", "3") == 0
    return out


def test_run__finds_the_pair_of_a_quantitative_trait(reference):
    first = read_models(reference)[0]
    assert get_pair(first) == PLANTED
    assert first["is_best"] == "1"
    assert float(first["effect"]) == pytest.approx(1.5, abs=0.4)
    assert float(first["effect_p"]) < 1e-6
    assert first["p_value"] == "0.25"
    names = {column.name for column in schema.SCORED}
    assert {n for n in names if not n.startswith("cell")} <= first.keys()
    assert not {"odds_ratio", "chi2"} & first.keys()
    trait = read_manifest(reference)["trait"]
    assert (trait["name"], trait["kind"]) == ("bmi", "quantitative")
    assert trait["covariates"] == ["age", "site=B", "site=C"]
    age = trait["null_model"]["age"]
    assert age["coefficient"] == pytest.approx(0.3, abs=4 * age["standard_error"])
    assert 0 < trait["largest_score_difference"] <= 5e-4
    assert 0 < trait["largest_test_score_difference"] < 0.05
    paths = [one["path"] for one in read_manifest(reference)["inputs"]]
    assert [path.rpartition("/")[2] for path in paths] == ["x.vcf", "traits.tsv"]


def test_run__orders_scored_models_by_the_residuals(cohort, reference):
    with h5py.File(reference / "results.h5") as file:
        models = {name: column[()] for name, column in file["models"].items()}
    top = models["rank"] > 0
    test = models["test_balanced_accuracy"][top]
    assert (np.diff(test) <= 0).all()
    residual = get_residual(cohort)
    g = cohort.genotypes[[5, 9]]
    for cell in range(9):
        members = residual[(g[0] == cell // 3) & (g[1] == cell % 3)]
        found = models["cell_mean_score"][0, cell]
        np.testing.assert_allclose(found, members.mean(), atol=1e-9)
        error = members.std(ddof=1) / np.sqrt(len(members))
        np.testing.assert_allclose(models["cell_standard_error"][0, cell], error)
        positive = members[members > 0].sum()
        found = models["cell_positive_score"][0, cell]
        np.testing.assert_allclose(found, positive, atol=1e-9)
    assert mdr.load(reference).cells(0)["mean_score"][0] == pytest.approx(
        models["cell_mean_score"][0, 0]
    )


def get_residual(cohort):
    """Return what age and site leave of bmi, by least squares."""
    dummies = [cohort.site == "B", cohort.site == "C"]
    design = np.column_stack([np.ones(N), cohort.age, *dummies]).astype(float)
    return cohort.bmi - design @ np.linalg.lstsq(design, cohort.bmi)[0]


def test_schema__has_every_column_of_a_scored_search(reference):
    result = mdr.load(reference)
    with h5py.File(reference / "results.h5") as file:
        names = set(file["models"])
    assert names == result.columns.keys()
    known = {column.name: column for column in (*schema.MODELS, *schema.SCORED)}
    assert names <= known.keys()
    sizes = {"": (), "order": (2,), "folds": (5,), "cells": (9,)}
    for name, column in result.columns.items():
        assert str(column.dtype) == known[name].dtype, name
        assert column.shape[1:] == sizes[known[name].shape], name


def test_run__same_bytes_on_two_ranks(cohort, reference, tmp_path):
    words = [w.replace("TABLE", str(cohort.folder / "traits.tsv")) for w in BMI]
    more = ["--permutations", "3", "--out", tmp_path / "out", *FIXED]
    command = make_command(2, cohort.folder / "x.vcf", *words, *more)
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    assert_same(tmp_path / "out", reference)


def test_run__same_bytes_after_a_stop(cohort, reference, tmp_path, monkeypatch):
    out = tmp_path / "out"
    slow = (
        "import sys, time; from mdr_epistasis import tasks, program; "
        "from hpc_connector.pipeline import ranks; ranks.SAVE_EVERY_S = 0.0; "
        "tasks.TILE_BLOCKS = {2: (1, 1)}; tasks.PERMUTATIONS_A_TASK = 1; "
        "permute = tasks.permute; "
        "tasks.permute = lambda *known: (permute(*known), time.sleep(9)); "
        "sys.exit(program.main(sys.argv[1:]))"
    )
    words = [w.replace("TABLE", str(cohort.folder / "traits.tsv")) for w in BMI]
    more = ["--permutations", "3", "--out", str(out), *FIXED]
    command = ["run", str(cohort.folder / "x.vcf"), *words, *more]
    process = subprocess.Popen([sys.executable, "-c", slow, *command])
    wait_for(lambda: list(out.glob("ledger/*.npz")) or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 75
    assert not (out / "models.tsv").exists()
    monkeypatch.setattr(tasks_module, "TILE_BLOCKS", {2: (1, 1)})
    monkeypatch.setattr(tasks_module, "PERMUTATIONS_A_TASK", 1)
    assert search(cohort, out, *BMI, "--permutations", "3", "--resume") == 0
    assert_same(out, reference)


def test_search__same_numbers_as_the_command(cohort, reference):
    frame = {"age": cohort.age, "site": cohort.site}
    options = {"folds": 5, "top": 30, "permutations": 3, "seed": 42}
    found = mdr.search(cohort.genotypes, trait=cohort.bmi, covariates=frame, **options)
    known = mdr.load(reference)
    assert found.columns.keys() == known.columns.keys()
    for name, column in known.columns.items():
        np.testing.assert_array_equal(found.columns[name], column)
    np.testing.assert_array_equal(found.maximum, known.maximum)
    assert found.record["trait"]["null_model"] == known.record["trait"]["null_model"]


def test_run__of_a_covariate_that_carries_the_signal(cohort, tmp_path):
    table = "--phenotype TABLE --trait ill"
    assert search(cohort, tmp_path / "plain", *table.split()) == 0
    plain = read_models(tmp_path / "plain")
    assert get_pair(plain[0]) == PLANTED
    words = f"{table} --covariate-names carrier".split()
    assert search(cohort, tmp_path / "adjusted", *words) == 0
    adjusted = read_models(tmp_path / "adjusted")
    assert PLANTED not in [get_pair(model) for model in adjusted[:5]]
    assert get_pair(next(m for m in adjusted if m["is_best"] == "1")) != PLANTED
    cohort_part = read_manifest(tmp_path / "adjusted")["cohort"]
    assert cohort_part["cases"] == int(cohort.ill.sum())


def test_run__of_a_binary_trait_alone_is_plain(cohort, tmp_path):
    words = "--phenotype TABLE --trait ill --permutations 2"
    assert search(cohort, tmp_path / "trait", *words.split()) == 0
    words = "--labels TABLE --label-column ill --permutations 2"
    assert search(cohort, tmp_path / "labels", *words.split()) == 0
    assert_same(tmp_path / "trait", tmp_path / "labels")
    assert "trait" not in read_manifest(tmp_path / "trait")


def test_run__of_counts(cohort, tmp_path):
    words = "--phenotype TABLE --trait visits --trait-kind count --covariate-names age"
    assert search(cohort, tmp_path / "out", *words.split()) == 0
    (first, *_), record = read_models(tmp_path / "out"), read_manifest(tmp_path / "out")
    assert get_pair(first) == PLANTED
    assert float(first["effect"]) == pytest.approx(1.2, abs=0.4)
    assert record["trait"]["kind"] == "count"


def test_run__permutes_within_strata(cohort, tmp_path):
    words = "--phenotype TABLE --trait ill --strata ill --rank-by whole"
    words += " --permutations 3"
    assert search(cohort, tmp_path / "out", *words.split()) == 0
    result = mdr.load(tmp_path / "out")
    whole = result.columns["balanced_accuracy"][0]  # nobody can change
    np.testing.assert_allclose(result.maximum, whole)
    assert result.columns["p_value"][0] == 1


def test_run__leaves_out_who_lacks_a_covariate(cohort, tmp_path):
    age, site = cohort.age.astype(str), cohort.site.astype(object)
    bmi = cohort.bmi.astype(str).astype(object)
    age[[3, 5]], site[[5, 7]], bmi[9] = "NA", "", "nan"
    rows = {"bmi": bmi, "age": age, "site": site}
    write_table(
        tmp_path / "t.tsv", cohort.ids[:-2], {n: c[:-2] for n, c in rows.items()}
    )
    words = f"--phenotype {tmp_path / 't.tsv'} --trait bmi --covariate-names age-site"
    assert search(cohort, tmp_path / "out", *words.split()) == 0
    record = read_manifest(tmp_path / "out")
    assert record["cohort"]["individuals"] == N - 6
    assert record["counted"] == {
        "genotyped individuals have no trait": 3,
        "individuals lack age and were left out": 2,
        "individuals lack site and were left out": 1,
    }
    kept = np.setdiff1d(np.arange(N - 2), [3, 5, 7, 9])
    frame = {"age": cohort.age[kept], "site": cohort.site[kept]}
    found = mdr.search(
        cohort.genotypes[:, kept],
        trait=cohort.bmi[kept],
        covariates=frame,
        folds=5,
        top=30,
        permutations=0,
        seed=42,
    )
    known = mdr.load(tmp_path / "out").columns
    np.testing.assert_array_equal(found.columns["effect"], known["effect"])
    with_gaps = cohort.bmi.copy()
    with_gaps[np.setdiff1d(np.arange(N), kept)] = np.nan
    frame = {"age": cohort.age, "site": cohort.site}
    options = {"folds": 5, "top": 30, "permutations": 0, "seed": 42}
    found = mdr.search(cohort.genotypes, trait=with_gaps, covariates=frame, **options)
    np.testing.assert_array_equal(found.columns["effect"], known["effect"])


def test_run__of_all_columns_but_the_trait(cohort, tmp_path):
    columns = {"bmi": cohort.bmi, "age": cohort.age, "site": cohort.site}
    write_table(tmp_path / "t.tsv", cohort.ids, columns | {"batch": cohort.even})
    table = str(tmp_path / "t.tsv")
    words = ["--phenotype", table, "--trait", "2", "--covariates", table]
    assert search(cohort, tmp_path / "out", *words, "--strata", "batch") == 0
    trait = read_manifest(tmp_path / "out")["trait"]
    assert (trait["name"], trait["strata"]) == ("bmi", 2)
    assert trait["covariates"] == ["age", "site=B", "site=C"]


def test_run_tasks__of_scores_in_a_function(cohort, tmp_path):
    strata = (np.arange(N) % 2).astype(np.int64)
    search, tasks = make_scored_search(cohort, strata)
    here = search_all(search, tasks, 1)
    name, _ = pack(search, tasks, Source(str(tmp_path)))
    package = load_package(Source(str(tmp_path)), name)
    there = merge([run_tasks(package, range(len(tasks)))], search.question.top)
    assert here.keys() == there.keys()
    np.testing.assert_array_equal(here["maximum"], there["maximum"])
    n = int(here["size"][0])
    np.testing.assert_array_equal(here["model"][:n], there["model"][:n])
    np.testing.assert_array_equal(here["key"][:n], there["key"][:n])


def make_scored_search(cohort, strata):
    """Return a search of bmi, and its tasks, two of permutations."""
    trait = adjust("bmi", "quantitative", cohort.bmi, ["age"], cohort.age[:, None], 8)
    trait = replace(trait, strata=strata)
    names = [str(k) for k in range(VARIANTS)]
    made = make_cohort(
        cohort.genotypes, trait.scores.is_positive, np.arange(N) % 5, names
    )
    args = Options(genotypes=(), out=None, permutations=2, top=30)
    question = make_question(args, made, Lists())
    tasks = make_tasks(made.planes.shape, 2, 2, None)
    return make_search(made, question, trait), tasks


REFUSED = {
    "--phenotype TABLE --trait bmii": "no column 'bmii': is 'bmi' meant?",
    "--phenotype TABLE --trait bmi --covariate-names aeg": "is 'age' meant?",
    "--phenotype TABLE --trait bmi --covariate-names site-age": "expected age-site",
    "--phenotype TABLE --trait bmi --labels TABLE": "expected one",
    "--phenotype TABLE": "which column is the trait? expected --trait, one of bmi",
    "--phenotype TABLE --trait bmi --trait-kind binary": "expected two classes",
    "--phenotype TABLE --trait bmi --trait-kind count": "is no count",
    "--phenotype TABLE --trait site": "is no number: expected a quantitative trait",
    "--trait bmi": "--phenotype FILE, which is not given",
    "--covariate-names age": "--covariates FILE: not given",
    "--strata site": "--covariates FILE: not given",
    "--trait-kind count": "x.vcf carries no trait",
    "--labels TABLE --label-column ill --trait-kind count": "expected --phenotype",
    "--phenotype TABLE --trait bmi --covariate-names bmi": "by bmi completely",
    "--phenotype TABLE --trait bmi --covariate-names age,twice": "twice is a linear",
    "--phenotype TABLE --trait bmi --covariate-names same": "same is 1 in all",
    "--phenotype TABLE --trait bmi --covariate-names name": "240 levels among 240",
    "--phenotype TABLE --trait ill --covariate-names apart": "apart separates cases",
    "--phenotype TABLE --trait bmi --covariate-names none": "nobody of 240",
    "--phenotype TABLE --trait same --trait-kind quantitative": "is 1 in all of 240",
    "--phenotype TABLE --trait bmi --strata sit": "is 'site' meant?",
    "--phenotype TABLE --trait bmi --permutation-test interaction": "bmi is scored",
    "--phenotype TABLE --trait bmi --compat bsc": "does not go with --compat bsc",
    "--phenotype TABLE --trait bmi --score-bits 5": "expected 6 or more",
    "--phenotype TABLE --trait bmi --folds 200": "above what is expected for 200 folds",
    "--phenotype nowhere.tsv": "nowhere.tsv: cannot be read",
}


@pytest.mark.parametrize("words", REFUSED)
def test_run__refuses_traits(cohort, tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    same, apart = np.ones(N), 10.0 * cohort.ill + cohort.age / 100
    more = {"twice": 2 * cohort.age, "same": same.astype(int), "apart": apart}
    more |= {"name": cohort.ids, "none": ["NA"] * N, "ill": cohort.ill}
    columns = {"bmi": cohort.bmi, "age": cohort.age, "site": cohort.site} | more
    write_table(tmp_path / "TABLE", cohort.ids, columns)
    files = ["run", str(cohort.folder / "x.vcf"), "--out", "out", "--quiet"]
    try:
        code = main([*files, *words.split()])
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert REFUSED[words] in line
    assert not (tmp_path / "out").exists()


def test_search__refuses_traits(cohort):
    calls = cohort.genotypes
    with pytest.raises(ValueError, match="expected one of the two"):
        mdr.search(calls)
    with pytest.raises(ValueError, match="expected one of the two"):
        mdr.search(calls, cohort.ill, trait=cohort.bmi)
    with pytest.raises(ValueError, match="covariate_1 of 9 individuals"):
        mdr.search(calls, cohort.ill, covariates=np.ones(9))
    with pytest.raises(ValueError, match="is_case is binary"):
        mdr.search(calls, cohort.ill, trait_kind="count")
    with pytest.raises(ValueError, match="trait is scored"):
        mdr.search(calls, trait=cohort.bmi, permutation_test="interaction")


def test_run__of_sets_and_scores(cohort, tmp_path):
    (tmp_path / "sets").write_text("one rs5\none rs6\ntwo rs9\ntwo rs10\n3 rs1 rs2\n")
    words = "--covariate-names age --permutations 3 --hwe 1e-9 --sets"
    words = ["--phenotype", "TABLE", "--trait", "bmi", *words.split()]
    assert search(cohort, tmp_path / "out", *words, str(tmp_path / "sets")) == 0
    with open(tmp_path / "out/sets.tsv") as stream:
        first = next(csv.DictReader(stream, delimiter="\t"))
    assert (first["set_1"], first["set_2"]) == ("one", "two")
    assert (first["variant_1"], first["variant_2"]) == PLANTED
    model = read_models(tmp_path / "out")[0]
    assert get_pair(model) == PLANTED
    found = float(first["balanced_accuracy"])  # by integers
    assert found == pytest.approx(float(model["balanced_accuracy"]), abs=5e-4)
    assert first["p_value"] == model["p_value"] == "0.25"
    assert float(model["r2"]) < 0.1


def test_report__of_a_quantitative_trait(reference):
    page = (reference / "report.html").read_text()
    assert "by the quantitative trait bmi, adjusted for age, site=B, site=C." in page
    assert "What covariates explain" in page
    assert "effect of high risk on bmi" in page
    assert 'class="whisker"' in page
    assert "Odds ratio" not in page
    assert "cases and controls" not in page.casefold().split("what the words mean")[0]


def test_report__of_names_that_are_html(cohort, tmp_path):
    name = "<img src=x>"
    write_table(
        tmp_path / "t.tsv", cohort.ids, {name: cohort.bmi, f"a{name}": cohort.age}
    )
    words = ["--phenotype", str(tmp_path / "t.tsv"), "--trait", name]
    assert (
        search(cohort, tmp_path / "out", *words, "--covariate-names", f"a{name}") == 0
    )
    page = (tmp_path / "out/report.html").read_text()
    assert "<img" not in page
    assert "by the quantitative trait &lt;img" in page


def test_plan__costs_scores_more(cohort, tmp_path, capsys):
    words = ["--plan", "--phenotype", "TABLE", "--trait"]
    costs = []
    for name in ("ill", "bmi"):
        assert search(cohort, tmp_path / "out", *words, name) == 0
        costs.append(capsys.readouterr().out)
    assert costs[0] != costs[1]


@pytest.mark.parametrize("kind", ["plain", "scored"])
def test_search__without_folds_has_p_values_of_all_data(cohort, kind):
    rng = np.random.default_rng(1)
    trait = {"trait": rng.normal(size=N)}
    if kind == "plain":
        trait = {"is_case": rng.permutation(np.arange(N) % 2)}
    found = mdr.search(cohort.genotypes[:15], **trait, folds=1, permutations=19)
    whole = found.columns["balanced_accuracy"]
    reached = (found.maximum >= whole[:, None] - 1e-3).sum(axis=1)
    np.testing.assert_allclose(found.columns["p_value"], (reached + 1) / 20, atol=0.06)
    assert found.columns["p_value"].max() == 1


def test_run__scores_pairs_of_sets_as_models(cohort, tmp_path):
    lines = [f"{'AB'[v % 2]}{v % 3} rs{v}\n" for v in range(12)]
    (tmp_path / "sets.txt").write_text("".join(lines))
    words = [*BMI, "--top", "1000"]
    assert search(cohort, tmp_path / "all", *words) == 0
    words += ["--sets", str(tmp_path / "sets.txt")]
    assert search(cohort, tmp_path / "out", *words) == 0
    models = {frozenset(get_pair(m)): m for m in read_models(tmp_path / "all")}
    with open(tmp_path / "out" / "sets.tsv") as stream:
        pairs = list(csv.DictReader(stream, delimiter="\t"))
    assert len(pairs) == 15
    for pair in pairs:
        model = models[frozenset(get_pair(pair))]
        for name in ("test_balanced_accuracy", "balanced_accuracy"):
            assert pair[name] == model[name]
    tested = [float(pair["test_balanced_accuracy"]) for pair in pairs]
    assert tested == sorted(tested, reverse=True)
