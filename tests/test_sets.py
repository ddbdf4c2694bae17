"""Searches across sets: their pairs of variants, and the best of each two sets."""

import csv
import json
import os
import subprocess

import h5py
import numpy as np
import numpy.testing as npt
import pytest

import mdr_epistasis as mdr
from cohorts import make_linked, save_cohort
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import make_arrangement
from hpc_connector.learner.mdr.folds import shuffle_labels
from mdr_epistasis import schema, set_search
from mdr_epistasis.cohort.folds import deal_folds
from mdr_epistasis.cohort.loading import make_cohort
from mdr_epistasis.cohort.sets import read_sets
from mdr_epistasis.program import main
from mdr_epistasis.runner import make_search
from mdr_epistasis.tasks import make_tasks, search_all
from programs import PATIENCE_S, assert_same

N, N_VARIANTS, SEED, PERMUTATIONS = 90, 60, 5, 6
# two share v3 and v30; one is of more than a block; v50 .. are of none
SETS = {
    "A": [0, 1, 2, 3],
    "B": [3, 4, 30],
    "C": list(range(5, 30)),
    "D": [31, 33, 30],
    "E": [40],
    "F": [3],
}
KEEP_ALL = ["--min-maf", "0", "--max-missing", "1", "--quiet"]
CASES = {
    "of test": ["--folds", "3"],
    "of the whole": ["--folds", "1", "--rank-by", "whole"],
    "far apart": ["--folds", "3", "--rank-by", "train", "--min-distance-bp", "12000"],
}


@pytest.fixture(scope="module", params=[0, 0.04])
def cohort(request, tmp_path_factory):
    """Return a folder with the cohort x and its sets; genotypes, and who is a case."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(4)
    genotypes = make_linked(rng, N_VARIANTS, N, request.param)
    is_case = rng.random(N) < 0.5
    save_cohort(folder / "x", genotypes, [1] * N_VARIANTS, is_case)
    lines = [f"{name} v{v}" for name, of_set in SETS.items() for v in of_set]
    (folder / "sets").write_text("\n".join(["gene variant", *lines, "C v999"]))
    order = np.argsort([f"I{i}" for i in range(N)])  # of the program
    return folder, genotypes[:, order], is_case[order].astype(np.int8)


def search_slowly(genotypes, is_case, fold, rank_by, least_bp):
    """Return the statistics, best first, of every pair: {(a, b): values}."""
    names = [f"v{v}" for v in range(N_VARIANTS)]
    made = make_cohort(genotypes, is_case, fold, names)
    place = {
        "chromosome": np.zeros(N_VARIANTS, np.int32),
        "position": 1000 * np.arange(N_VARIANTS),
        "min_distance": least_bp,
    }
    question = learner.Question(rank_by=rank_by, top=N_VARIANTS**2, **place)
    tasks = make_tasks(made.planes.shape, 2, 0, None)
    found = search_all(make_search(made, question), tasks, 1)
    n = found["size"][0]
    pairs = map(tuple, found["model"][:n].tolist())
    return dict(zip(pairs, map(tuple, found["key"][:n].tolist()), strict=True))


def list_pairs(first, second):
    """Return the pairs of variants of two sets, lower ones first."""
    return [(a, b) for a in sorted(first) for b in sorted(second) if a != b]


@pytest.mark.parametrize("case", CASES)
def test_run__finds_the_best_pair_of_each_two_sets(case, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(set_search, "BATCH_BYTES", 1)  # a set at a time
    folder, genotypes, is_case = cohort
    words = [*CASES[case], *KEEP_ALL, "--seed", str(SEED), "--top", "5000"]
    words += ["--permutations", str(PERMUTATIONS), "--sets", f"{folder}/sets"]
    out = tmp_path / "out"
    assert main(["run", f"{folder}/x.bed", "--out", str(out), *words]) == 0

    folds = int(words[1])
    fold = deal_folds(is_case, folds, SEED)
    rank_by = "test" if case == "of test" else "train" if folds > 1 else "whole"
    least_bp = 12000 if case == "far apart" else 0
    statistics = [k for k in learner.STATISTICS if k.startswith(rank_by)]
    rank_by = (statistics or ["balanced_accuracy"])[0]
    known = search_slowly(genotypes, is_case, fold, rank_by, least_bp)
    found, allowed = {}, set()
    names = sorted(SETS)
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            pairs = list_pairs(SETS[first], SETS[second])
            pairs = [p for p in pairs if tuple(sorted(p)) in known]
            allowed |= {tuple(sorted(p)) for p in pairs}
            if pairs:
                best = max(pairs, key=lambda p: known[tuple(sorted(p))])
                found[first, second] = best, known[tuple(sorted(best))]
    assert len(found) < 15 or case != "far apart"

    maximum = []
    size = make_arrangement(is_case, fold).group_size
    for p in range(PERMUTATIONS):
        shuffled, dealt = shuffle_labels(is_case, size, [SEED, p + 1])
        keys = search_slowly(genotypes, shuffled, dealt, rank_by, least_bp)
        maximum.append(max(keys[pair][0] for pair in allowed))
    result = mdr.load(out)
    npt.assert_array_equal(result.maximum, maximum)
    models = map(tuple, result.columns["variant"].tolist())
    variants = result.variants["id"].tolist()
    listed = {tuple(int(variants[v][1:]) for v in model) for model in models}
    assert listed == allowed

    rows = read_rows(out / "sets.tsv")
    assert {(row["set_1"], row["set_2"]) for row in rows} == found.keys()
    order = [found[row["set_1"], row["set_2"]][1] for row in rows]
    assert order == sorted(order, reverse=True)
    for k, row in enumerate(rows):
        pair, key = found[row["set_1"], row["set_2"]]
        assert (row["variant_1"], row["variant_2"]) == tuple(f"v{v}" for v in pair)
        assert f"{key[0]:.10g}" == row[rank_by]
        p = (1 + sum(m >= key[0] for m in maximum)) / (PERMUTATIONS + 1)
        assert float(row["p_value"]) == pytest.approx(p)
        assert row["rank"] == str(k + 1)
        assert (row["test_balanced_accuracy"] == "NA") == (folds == 1)


def read_rows(path):
    with open(path) as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_run__of_sets_is_the_same_on_ranks_and_threads(cohort, tmp_path):
    folder, *_ = cohort
    words = ["run", f"{folder}/x.bed", "--sets", f"{folder}/sets", "--folds", "3"]
    words += [*KEEP_ALL, "--threads", "2", "--out"]
    assert main([*words, str(tmp_path / "one")]) == 0
    apart = os.environ | {"MPIR_CVAR_NOLOCAL": "1"}  # as if on a node each
    launch = ["mpirun", "-n", "2", "mdr-epistasis", *words, str(tmp_path / "two")]
    subprocess.run(launch, check=True, timeout=PATIENCE_S, env=apart)
    assert_same(tmp_path / "one", tmp_path / "two")
    tables = [(tmp_path / name / "sets.tsv").read_bytes() for name in ("one", "two")]
    assert tables[0] == tables[1]
    record = json.loads((tmp_path / "one/manifest.json").read_text())
    assert record["counted"]["ids of --sets are of no variant that was kept"] == 1
    assert "sets.tsv" in record["outputs"]
    page = (tmp_path / "one/report.html").read_text()
    assert "Best pairs of sets" in page


def test_sets__are_loaded_and_saved_again(cohort, tmp_path):
    folder, *_ = cohort
    words = ["--sets", f"{folder}/sets", "--folds", "2", *KEEP_ALL]
    out = tmp_path / "out"
    assert main(["run", f"{folder}/x.bed", "--out", str(out), *words]) == 0
    result = mdr.load(out)
    result.save(tmp_path / "again")
    again = mdr.load(tmp_path / "again").of_sets
    for name, column in result.of_sets.pairs.items():
        npt.assert_array_equal(column, again.pairs[name])
    tables = [(place / "sets.tsv").read_bytes() for place in (out, tmp_path / "again")]
    assert tables[0] == tables[1]
    header = tables[0].decode().splitlines()[0].split("\t")
    named = [name for name in header if not name.endswith("_2")]
    expected = [c.name for c in schema.SET_TABLE if c.name != "p_value"]
    assert named == expected
    with h5py.File(out / "results.h5") as file:
        for group, columns in (
            ("sets", schema.SETS),
            ("set_pairs", schema.SET_PAIRS),
        ):
            known = {c.name: c.dtype for c in columns if c.name != "p_value"}
            assert known.keys() == file[group].keys()
            for name, dtype in known.items():
                found = file[group][name].dtype
                assert dtype == ("text" if found.kind == "O" else str(found))


FORMS = {
    "x.txt": "A v0\nA v1\nB v2 v0\n",
    "x.tsv": "GENE\tSNP\nA\tv0\nA\tv1\nA\tv1\nB\tv2\nB\tv0\n",
    "x.csv": '# made by us\n"A","v0"\n"A","v1"\n"B","v2"\n"B","v0"\n',
    "x.set": "A\nv0\nv1\nEND\n\nB\nv2 v0\nEND\n",
    "line.set": "A v0 v1 END B v2 v0 END",
}


@pytest.mark.parametrize("name", FORMS)
def test_read_sets__of_any_form(name, tmp_path):
    path = tmp_path / name
    path.write_text(FORMS[name])
    found, _ = read_sets(str(path))
    assert found.names == ("A", "B")
    assert found.ids == (("v0", "v1"), ("v2", "v0"))


WRONG = {
    "no file": (None, "cannot be read"),
    "empty": ("", "has 0 sets: expected two or more"),
    "one": ("A v0\nA v1\n", "has 1 sets: expected two or more"),
    "unknown": (
        "A v0\nB w1\nC w2\n",
        "2 of 3 sets have no variant that was kept (B, C)",
    ),
    "an empty one": (
        "A\nv0\nEND\nB\nEND\n",
        "1 of 2 sets have no variant that was kept",
    ),
    "one word": ("A v0\nB\n", "'B' stands alone: expected a set and a variant"),
    "no end": ("A\nv0\nEND\nB\nv1\n", "set B has no END"),
    "twice": ("A\nv0\nEND\nA\nv1\nEND\n", "set A stands twice"),
    "the same": ("A v0\nB v0\n", "variants kept: 1; expected 2 or more"),
    "too many": ("\n".join(f"s{k} v0" for k in range(3200)), "expected at most"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_run__sets_that_cannot_be(kind, cohort, tmp_path, capsys):
    folder, *_ = cohort
    text, message = WRONG[kind]
    path = tmp_path / "wrong"
    if text is not None:
        path.write_text(text)
    words = ["--sets", str(path), "--folds", "2", *KEEP_ALL]
    assert main(["run", f"{folder}/x.bed", "--out", f"{tmp_path}/out", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = (line for line in lines if "individuals (" not in line)
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lines", ["A v0 v1\nB v2 v3", "A v0 v9\nB v4\n"])
def test_run__sets_that_are_near(lines, cohort, tmp_path, capsys):
    folder, *_ = cohort
    (tmp_path / "near").write_text(lines)
    words = ["--sets", f"{tmp_path}/near", "--folds", "2", *KEEP_ALL]
    words += ["--min-distance-bp", "6000", "--out", f"{tmp_path}/out"]
    assert main(["run", f"{folder}/x.bed", *words]) == 2
    assert "no two variants of two sets make a pair" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["--order 3", "--variants sets", "--all-models"])
def test_run__what_does_not_go_with_sets(more, cohort, tmp_path, monkeypatch, capsys):
    folder, *_ = cohort
    monkeypatch.chdir(folder)
    words = ["--sets", "sets", "--folds", "2", *more.split()]
    assert main(["run", "x.bed", "--out", f"{tmp_path}/out", *words]) == 2
    assert "does not go with --sets" in capsys.readouterr().err
