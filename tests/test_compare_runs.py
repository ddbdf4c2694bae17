"""Annotations of several runs side by side."""

import csv
import json
import re
import shutil

import h5py
import numpy as np
import pytest

from annotation_runs import write_run
from hpc_connector.manifest import read_manifest, save_manifest
from metabolite_annotation.compare.runs import read_runs
from metabolite_annotation.compare.table import compare, name_changes
from metabolite_annotation.program import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return three runs: 60 annotations, 40 of them, and all with other scores."""
    folder = tmp_path_factory.mktemp("runs")
    first = write_run(folder / "first", rows=60)
    fewer = write_run(folder / "fewer", rows=40)
    other = shutil.copytree(first, folder / "other")
    with h5py.File(other / "results.h5", "r+") as file:
        annotations = file["annotations"]
        annotations["score"][:10] = annotations["score"][:10] - 0.05
        annotations["fdr"][:10] = 0.18
        annotations["fdr_level"][:10] = 0.2
    return first, fewer, other


def run_compare(capsys, *words):
    """Run the command; return the exit code and what was printed."""
    code = main(["compare", *map(str, words)])
    return code, capsys.readouterr()


def read_rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_naively(folder):
    """Return score and FDR of the annotations of a run, by what they are."""
    with h5py.File(folder / "results.h5") as file:
        group = file["annotations"]
        names = [group[n].asstr()[:] for n in ("database", "formula", "adduct")]
        numbers = [group[n][:] for n in ("score", "fdr")]
    found = {}
    for key, score, fdr in zip(zip(*names, strict=True), *numbers, strict=True):
        found.setdefault(key, (score, fdr))
    return found


def test_compare__agrees_with_naive(runs, tmp_path, capsys):
    out = tmp_path / "compared.tsv"
    code, said = run_compare(capsys, *runs, "--out", out, "--fdr", "0.1")
    assert (code, said.err) == (0, "")
    known = [read_naively(folder) for folder in runs]
    within = [
        {key for key, (_, fdr) in one.items() if round(fdr, 2) <= 0.1} for one in known
    ]
    rows = read_rows(out)
    keys = [(row["database"], row["formula"], row["adduct"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set.union(*within)
    for key, row in zip(keys, rows, strict=True):
        assert int(row["runs"]) == sum(key in one for one in within)
        for name, one in zip(("first", "fewer", "other"), known, strict=True):
            said_score = row[f"score:{name}"]
            assert (said_score != "") == (key in one)
            if key in one:
                assert float(said_score) == pytest.approx(one[key][0], rel=1e-9)
        for name, one in zip(("fewer", "other"), within[1:], strict=True):
            before, after = key in within[0], key in one
            change = {(1, 1): "shared", (1, 0): "lost", (0, 1): "gained", (0, 0): ""}
            assert row[f"change:{name}"] == change[before, after]


def test_compare__counts_what_changed(runs, capsys):
    code, said = run_compare(capsys, *runs, "--json")
    first, fewer, other = json.loads(said.out)["runs"]
    assert code == 0
    assert first["annotations"] == first["shared"]
    assert fewer["shared"] + fewer["lost"] == first["annotations"]
    assert fewer["gained"] == fewer["better"] == fewer["worse"] == 0
    assert other["lost"] == 10
    assert other["median_change"] == 0.0


def test_compare__counts_levels_that_are_better_or_worse(runs, capsys):
    _, said = run_compare(capsys, *runs, "--json", "--fdr", "0.2")
    _, _, other = json.loads(said.out)["runs"]
    assert (other["lost"], other["better"], other["worse"]) == (0, 0, 10)
    _, said = run_compare(capsys, runs[2], runs[0], "--json", "--fdr", "0.2")
    _, first = json.loads(said.out)["runs"]
    assert (first["better"], first["worse"]) == (10, 0)


def test_compare__prints_a_line_a_run(runs, capsys):
    _, said = run_compare(capsys, *runs)
    lines = said.out.splitlines()
    assert lines[0].split() == [
        *("run", "annotations", "shared", "lost", "gained", "better", "worse")
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["first", "fewer", "other"]
    assert lines[4].startswith("up to 10 % FDR")


def test_compare__writes_a_page_that_stands_alone(runs, tmp_path, capsys):
    out = tmp_path / "compared.tsv"
    run_compare(capsys, *runs, "--out", out)
    page = (tmp_path / "compared.html").read_text()
    assert not re.search(r'(src|href)="(?!data:,)', page)
    assert page.count("<svg") == 2
    for title in ("fewer against first", "other against first", "Lost: 10"):
        assert title in page
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "compared.html",
        "compared.tsv",
    ]


def test_compare__escapes_names_of_folders(runs, tmp_path, capsys):
    folder = shutil.copytree(runs[1], tmp_path / "<b>&x")
    run_compare(capsys, runs[0], folder, "--out", tmp_path / "c.tsv")
    page = (tmp_path / "c.html").read_text()
    assert "<b>&x" not in page
    assert "&lt;b&gt;&amp;x" in page


def test_compare__matches_whatever_database(tmp_path, capsys):
    first = write_run(tmp_path / "a", rows=20, databases=("one", "two"))
    second = write_run(tmp_path / "b", rows=20, databases=("three",))
    _, said = run_compare(capsys, first, second, "--json", "--fdr", "0.5")
    one, other = json.loads(said.out)["runs"]
    assert (one["annotations"], other["shared"], other["gained"]) == (40, 0, 20)
    given = [first, second, "--json", "--fdr", "0.5", "--any-database"]
    one, other = json.loads(run_compare(capsys, *given)[1].out)["runs"]
    assert (one["annotations"], other["shared"], other["gained"]) == (20, 20, 0)
    run_compare(capsys, first, second, "--out", tmp_path / "c.tsv")
    assert "The runs have no database in common" in (tmp_path / "c.html").read_text()


def test_compare__says_what_differs_between_runs(runs, tmp_path, capsys):
    other = shutil.copytree(runs[0], tmp_path / "version1")
    record = read_manifest(other)
    record["parameters"] |= {"ppm": 5.0, "analysis_version": 1}
    save_manifest(other, record)
    run_compare(capsys, runs[0], other, "--out", tmp_path / "c.tsv")
    page = (tmp_path / "c.html").read_text()
    assert "FDRs of analysis versions 1 and 3 do not compare." in page
    assert re.search(r'"row">ppm</th>\s*<td>3.0</td>\s*<td>5.0</td>', page)
    assert '"row">seed</th>' not in page


def test_compare__of_runs_without_annotations(tmp_path, capsys):
    first = write_run(tmp_path / "a", rows=0)
    second = write_run(tmp_path / "b", rows=0)
    code, said = run_compare(capsys, first, second, "--out", tmp_path / "c.tsv")
    assert (code, said.err) == (0, "")
    assert len((tmp_path / "c.tsv").read_text().splitlines()) == 1
    assert "0 of 0 annotations are shared" in (tmp_path / "c.html").read_text()


def test_compare__names_runs_by_what_tells_them_apart(runs, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(runs[0], tmp_path / name / "out")
    _, said = run_compare(capsys, tmp_path / "a/out", tmp_path / "b/out", "--json")
    assert [one["name"] for one in json.loads(said.out)["runs"]] == ["a/out", "b/out"]


def test_compare__refuses_in_one_line(runs, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    damaged = shutil.copytree(runs[0], tmp_path / "damaged")
    (damaged / "results.h5").write_bytes(b"no HDF5")
    cut = shutil.copytree(runs[0], tmp_path / "cut")
    with h5py.File(cut / "results.h5", "r+") as file:
        del file["annotations/score"]
        file["annotations/score"] = np.zeros(3)
    unfinished = shutil.copytree(runs[0], tmp_path / "unfinished")
    save_manifest(unfinished, read_manifest(unfinished) | {"status": "running"})
    for words, message in (
        ([runs[0], empty], "holds no run: expected manifest.json in it"),
        ([runs[0], tmp_path / "none"], "holds no run"),
        ([runs[0], damaged], "results.h5"),
        ([runs[0], cut], "columns differ in length"),
        ([runs[0], unfinished], "expected a finished run"),
        ([runs[0]], "expected two runs or more"),
        ([runs[0], runs[1], runs[0]], "is given twice"),
        ([runs[0], runs[1], "--out", tmp_path / "x.html"], "the name of a table"),
        ([runs[0], runs[1], "--out", "/dev/null/x.tsv"], "cannot be written"),
    ):
        code, said = run_compare(capsys, *words)
        assert (code, said.out) == (2, "")
        assert said.err.count("\n") == 1
        assert message in said.err


def test_name_changes__are_of_a_run_and_the_first(runs):
    table = compare(read_runs(runs, any_database=False), 0.1)
    assert set(name_changes(table, 0)) == {"shared"}
    assert set(name_changes(table, 1)) == {"shared", "lost"}
    assert (name_changes(table, 2) == "lost").sum() == 10


def test_compare__never_writes_over_a_run(runs, capsys):
    first, fewer, _ = runs
    out = first / "results.tsv"
    known = sorted(path.name for path in first.iterdir())
    code, said = run_compare(capsys, first, fewer, "--out", out)
    assert code == 2
    assert f"--out {out} is in a run: expected another folder" in said.err
    assert sorted(path.name for path in first.iterdir()) == known
