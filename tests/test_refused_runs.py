"""Runs that their inputs forbid: one line, exit code 2, and no folder left behind."""

import itertools
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.learner.mdr.search import Question
from hpc_connector.undo import look_before, undo_run
from mdr_epistasis.possible import check_models
from mdr_epistasis.program import main
from metabolite_annotation.program import main as annotate
from programs import get_end
from test_individuals import CASES, EID, TRUTH, VCF

DATA = CASES.parent.parent
SIMPLE = DATA / "bsc_simple_10x30x100"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with a cohort, which is the one we are in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.vcf").write_text(VCF)
    (tmp_path / "labels").write_text(EID)
    (tmp_path / "one").write_text("rs1\n")
    (tmp_path / "two").write_text("rs1 rs2\n")
    (tmp_path / "other").write_text("rs9\n")
    return tmp_path


def run(*words, out="out"):
    """Return the exit code of a run."""
    named = ["run", "x.vcf", "--labels", "labels", "--out", out, "--quiet"]
    return main([*named, *map(str, words)])


def check_refused(capsys, message):
    """Check that stderr has one line that is no log of what was read."""
    lines = capsys.readouterr().err.splitlines()
    (line,) = (line for line in lines if "individuals (" not in line)
    assert message in line


NOTHING = {  # options that leave nothing to search
    "--min-distance-bp 1000000": "no 2 variants are 1,000,000 base pairs apart",
    "--min-distance-bp 1500 --order 3": "no 3 variants are 1,500 base pairs apart",
    "--variants one": "variants kept: 1; expected 2 or more",
    "--variants two --order 3": "variants kept: 2; expected 3 or more",
    "--variants other": "no variant is left of 3 read",
    "--variants one --with-variants other": "variants kept: 1",
    "--variants other --with-variants two": "0 variants and --with-variants 2",
    "--with-variants one": "--with-variants needs --variants",
    "--min-maf 0.5 --max-missing 0": "variants kept: 1",
    "--min-distance-bp 1000000000000": "are 1,000,000,000,000 base pairs apart",
    "--folds 21": "20 cases for 21 folds",
    "--label-column x": "no column 'x'",
    "--variants none": "none: cannot be read",
}


@pytest.mark.parametrize("options", NOTHING)
def test_run__nothing_to_search(options, place, capsys):
    folds = [] if "--folds" in options else ["--folds", "2"]
    assert run(*options.split(), *folds) == 2
    check_refused(capsys, NOTHING[options])
    assert not (place / "out").exists()


def write_folds(path, get_fold, header=""):
    """Write the fold of each individual, a function of its label and number."""
    seen, lines = [0, 0], [header] if header else []
    for name, label in TRUTH.items():
        lines.append(f"{name} {get_fold(label, seen[label])}")
        seen[label] += 1
    path.write_text("\n".join(lines))


FOLDS = {
    "one class": (lambda label, k: label, "fold 0 has no cases"),
    "no controls": (lambda y, k: min(y * k, 1), "fold 1 has no controls"),
    "from 1": (lambda label, k: 1 + k % 2, "folds [1, 2]: expected 0, 1, ..."),
    "a gap": (lambda label, k: k % 2 * 2, "folds [0, 2]: expected 0, 1, ..."),
    "no number": (lambda label, k: "a", "is 'a': expected 0, 1, ..."),
    "a negative number": (lambda label, k: -1, "is '-1': expected 0, 1, ..."),
    "a fraction": (lambda label, k: 0.5, "is '0.5': expected 0, 1, ..."),
    "a huge number": (lambda label, k: "9" * 30, "expected 0, 1, ..."),
}


@pytest.mark.parametrize("kind", FOLDS)
def test_run__folds_that_cannot_be(kind, place, capsys):
    get_fold, message = FOLDS[kind]
    write_folds(place / "folds", get_fold)
    assert run("--fold-file", "folds") == 2
    check_refused(capsys, message)
    assert not (place / "out").exists()


def test_run__folds_of_too_few(place, capsys):
    write_folds(place / "folds", lambda label, k: k % 2)
    lines = (place / "folds").read_text().splitlines()
    (place / "folds").write_text("\n".join(lines[3:]))
    assert run("--fold-file", "folds") == 2
    check_refused(capsys, "has no fold of 'P0")
    (place / "folds").write_text("\n".join([*lines, f"{lines[0][:-1]}1"]))
    assert run("--fold-file", "folds") == 2
    check_refused(capsys, "stands twice, in other folds")


def test_run__folds_are_whole_numbers_of_any_spelling(place):
    write_folds(place / "folds", lambda label, k: f"{k % 2:e}")
    with open(place / "folds", "a") as stream:
        stream.write("\nnobody 0.0\n")
    assert run("--fold-file", "folds") == 0
    record = json.loads((place / "out/manifest.json").read_text())
    assert record["search"]["folds"] == 2
    assert record["counted"] == {"individuals of --fold-file have no genotypes": 1}


LISTS = {  # of two variants, by the name of the file
    "a.csv": "rs1,rs2\n",
    "a.csv.gz": "rs1,rs2\n",
    "a.txt": '# of R\n"rs1"\n"rs2"\n',
    "a": "'rs1'\t'rs2'",
}


@pytest.mark.parametrize("name", LISTS)
def test_run__lists_in_quotes_and_with_commas(name, place):
    (place / name).write_text(LISTS[name])
    assert run("--variants", name, "--folds", "2") == 0
    record = json.loads((place / "out/manifest.json").read_text())
    assert record["cohort"]["variants_kept"] == 2
    assert record["counted"] == {}


def test_run__more_models_asked_for_than_there_are(place):
    assert run("--top", str(10**19), "--folds", "2") == 0
    assert len((place / "out/models.tsv").read_text().splitlines()) == 4


def test_plan__of_too_few_variants(place, capsys):
    lines = VCF.splitlines(keepends=True)
    one = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    (place / "x.vcf").write_text("".join(lines[: one + 1]))
    assert run("--plan", "--folds", "2") == 2
    check_refused(capsys, "variants kept: 1; expected 2 or more")


@pytest.mark.parametrize("header", ["", "eid fold", "Sample cv_fold"])
def test_run__folds_of_a_table(header, place):
    write_folds(place / "folds", lambda label, k: k % 2, header)
    assert run("--fold-file", "folds") == 0
    assert json.loads((place / "out/manifest.json").read_text())["search"]["folds"] == 2


def test_run__counts_ids_of_a_list_that_are_of_no_variant(place):
    (place / "list").write_text("rs1\nrs2\nrs8\nrs9\n")
    assert run("--variants", "list", "--folds", "2") == 0
    record = json.loads((place / "out/manifest.json").read_text())
    assert record["counted"] == {"ids of --variants are of no variant that was kept": 2}


def test_run__a_folder_of_the_user_stays(place, capsys):
    far = ["--min-distance-bp", "1000000", "--folds", "2"]
    (place / "empty").mkdir()
    assert run(*far, out="empty") == 2
    assert list((place / "empty").iterdir()) == []
    (place / "full").mkdir()
    (place / "full/mine").write_text("mine")
    assert run(*far, out="full") == 2
    assert [path.name for path in (place / "full").iterdir()] == ["mine"]
    assert run(*far, out="a/b/c") == 2
    assert not (place / "a").exists()


def test_run__a_run_that_is_there_stays(place, capsys):
    assert run("--folds", "2") == 0
    before = {path: path.read_bytes() for path in (place / "out").iterdir()}
    assert run("--folds", "3") == 2
    assert run("--folds", "3", "--resume") == 2
    (place / "out/ledger").mkdir()  # as of a run that was killed at its very end
    assert run("--folds", "3", "--resume") == 2
    (place / "out/ledger").rmdir()
    assert {path: path.read_bytes() for path in (place / "out").iterdir()} == before


def test_undo_run__keeps_what_a_task_has_found(tmp_path):
    before = look_before(tmp_path / "out")
    (tmp_path / "out/ledger").mkdir(parents=True)
    (tmp_path / "out/manifest.json").write_text("{}")
    (tmp_path / "out/ledger/0.npz").write_bytes(b"x")
    undo_run(before)
    assert (tmp_path / "out/manifest.json").exists()
    (tmp_path / "out/ledger/0.npz").unlink()
    undo_run(before)
    assert not (tmp_path / "out").exists()


def test_run__refused_on_two_ranks(place):
    options = ["run", "x.vcf", "--labels", "labels", "--out", "out", "--folds", "2"]
    command = ["mpirun", "-n", "2", "mdr-epistasis", *options]
    code, lines, _ = get_end([*command, "--min-distance-bp", "1000000"])
    assert code == 2
    (line,) = lines
    assert "no 2 variants are 1,000,000 base pairs apart" in line
    assert not (place / "out").exists()


def test_compat_bsc__refused(place, capsys):
    samples = sorted(map(str, (SIMPLE / "samples").glob("*.gz")))[:2]
    (place / "pairs").write_text("\n")
    named = ["--labels", str(SIMPLE / "labels.sample"), "--compat", "bsc"]
    command = ["run", *samples, *named, "--file-pairs", "pairs", "--out", "out"]
    assert main(command) == 2
    check_refused(capsys, "pairs is empty: expected FIRST-SECOND a line")
    assert not (place / "out").exists()
    assert main([*command, "--plan"]) == 2


def test_annotate__refused(tmp_path, capsys):
    for name in ("Example_Processed.ibd", "Example_Processed.imzML"):
        shutil.copy(DATA / "imzml" / name, tmp_path)
    data = (tmp_path / "Example_Processed.ibd").read_bytes()
    (tmp_path / "Example_Processed.ibd").write_bytes(b"\xff" + data[1:])
    (tmp_path / "db.tsv").write_text("id\tname\tformula\n1\ta\tC6H12O6\n")
    path, out = tmp_path / "Example_Processed.imzML", tmp_path / "a/out"
    words = ["run", str(path), "--database", str(tmp_path / "db.tsv")]
    assert annotate([*words, "--polarity", "positive", "--out", str(out)]) == 2
    assert "has the UUID" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 1]), st.integers(0, 12), st.integers(0, 3)),
        min_size=1,
        max_size=7,
    ),
    st.integers(0, 6),
    st.sampled_from([2, 3]),
)
def test_check_models__agrees_with_all_models(variants, distance, order):
    chromosome, position, role = map(np.array, zip(*variants, strict=True))
    question = Question(
        order=order,
        min_distance=distance,
        chromosome=chromosome.astype(np.int32),
        position=position,
        role=role.astype(np.int8),
    )
    try:
        check_models(question, len(variants))
        is_possible = True
    except ValueError:
        is_possible = False
    assert is_possible == any(
        is_model(variants, model, distance)
        for model in itertools.permutations(range(len(variants)), order)
    )


def is_model(variants, model, distance):
    """Return whether variants make a model, the first being of the first list."""
    first, *others = (variants[k] for k in model)
    listed = first[2] & 1 and all(other[2] & 2 for other in others)
    pairs = itertools.combinations((variants[k] for k in model), 2)
    return listed and all(
        a[0] != b[0] or abs(a[1] - b[1]) >= distance for a, b in pairs
    )
