"""Options of a run: the same from a command line, a file and Python."""

import argparse
import doctest
import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from hpc_connector import cli, options
from hpc_connector.errors import BadInput
from hpc_connector.manifest import get_parameters
from hpc_connector.options import (
    list_options,
    list_words,
    make_options,
    read_values,
)
from mdr_epistasis import program as mdr
from mdr_epistasis.options import Options as Search
from metabolite_annotation import program as annotation
from metabolite_annotation.options import Options as Annotation

GIVEN = {"genotypes": "a.bed", "out": "results"}
DATA = Path(__file__).parent / "data"


def parse(program, kind, *words):
    """Return the options of a command line."""
    parser, run = program.make_parser()
    return cli.get_options(kind, cli.parse(parser, run, ["run", *words]))


def test_options__the_same_from_words_file_and_python(tmp_path):
    words = ["a.bed", "b.bed", "--out", "results", "--folds", "5", "--1", "--tie=low"]
    words += ["--fam", "x.fam", "--fam", "y.fam", "--min-maf", "0.05"]
    words += ["--history", "runs", "--deadline", "2h", "--slice", "0.5"]
    (tmp_path / "run.toml").write_text(
        'genotypes = ["a.bed", "b.bed"]\nout = "results"\nfolds = 5\nzero_one = true\n'
        'tie = "low"\nfam = ["x.fam", "y.fam"]\nmin-maf = 0.05\nhistory = "runs"\n'
        'deadline = "2h"\nslice = 0.5\n'
    )
    given = {
        "genotypes": [Path("a.bed"), "b.bed"],
        "out": Path("results"),
        "folds": np.int64(5),
        "zero_one": True,
        "tie": "low",
        "fam": ("x.fam", "y.fam"),
        "min_maf": np.float64(0.05),
        "history": "runs",
        "deadline": 7200,
        "slice": 0.5,
    }
    by_words = parse(mdr, Search, *words)
    by_file = parse(mdr, Search, "--config", str(tmp_path / "run.toml"))
    by_python = make_options(Search, given)
    assert get_parameters(by_words) == get_parameters(by_file)
    assert by_python == by_words
    assert (by_python.deadline, by_python.history) == (7200, (Path("runs"),))


def test_options__of_python_make_the_command_that_they_stand_for():
    given = {"dataset": "a.imzML", "database": ["x.tsv", "y.tsv"], "out": "results"}
    given |= {"adducts": ["+H", "+Na"], "check": False, "threads": 2}
    words = make_options(Annotation, given).words
    assert parse(annotation, Annotation, *annotation.join_signed(list(words))).words
    assert " ".join(words) == (
        "a.imzML --database x.tsv y.tsv --no-check --adducts +H,+Na --out results "
        "--threads 2"
    )


def test_options__are_frozen_and_begin_when_they_are_made():
    made = make_options(Search, GIVEN)
    assert 0 <= made.get_age_s() < 60
    assert made.words == ("a.bed", "--out", "results")
    with pytest.raises(FrozenInstanceError):
        made.folds = 5


def test_make_options__takes_a_file_of_others(tmp_path):
    (tmp_path / "run.toml").write_text("folds = 5\nseed = 7\n")
    config = {"config": tmp_path / "run.toml"}
    made = make_options(Search, GIVEN | config | {"seed": 8})
    assert (made.folds, made.seed) == (5, 8)
    (tmp_path / "run.toml").write_text("fold = 5\n")
    with pytest.raises(BadInput, match=r"run.toml: unknown option 'fold'; expected"):
        make_options(Search, GIVEN | config)


@pytest.mark.parametrize("written", ["--config {}", "--config={}"])
def test_parse__a_file_however_it_is_named(tmp_path, written):
    path = tmp_path / "run.toml"
    path.write_text("folds = 5\n")
    words = ["a.bed", "--out", "o", *written.format(path).split()]
    assert parse(mdr, Search, *words).folds == 5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("folds", 0, "folds: 0: expected 1 or more"),
        ("folds", 2.5, "folds: invalid whole number value: '2.5'"),
        ("folds", True, "folds: True: expected text or a number"),
        ("folds", {}, "folds: {}: expected text or a number"),
        ("folds", [5, 6], "folds: invalid whole number value: '5,6'"),
        ("tie", "both", "tie: invalid choice: 'both' (choose from 'high', 'low')"),
        ("order", 4, "order: invalid choice: 4 (choose from 2, 3)"),
        ("min_maf", "x", "min_maf: invalid fraction value: 'x'"),
        ("min_maf", float("nan"), "min_maf: nan: expected 0..1"),
        ("resume", "yes", "resume: 'yes': expected true or false"),
        ("resume", 1, "resume: 1: expected true or false"),
        ("deadline", "0s", "deadline: 0s: expected a time to come"),
        ("out", "s3://bucket/x", "out: s3://bucket/x: expected a folder or file"),
        ("fam", ["x.fam", 3.5j], "fam: 3.5j: expected text or a number"),
        ("words", ["x"], "unknown option 'words'; expected one of all-models, "),
        ("help", "x", "unknown option 'help'; expected one of all-models, "),
    ],
)
def test_make_options__refuses(name, value, message):
    with pytest.raises(BadInput) as error:
        make_options(Search, GIVEN | {name: value})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_make_options__takes_a_whole_number_however_it_is_written():
    made = make_options(Search, GIVEN | {"folds": 5.0, "label_column": 3.0})
    assert (made.folds, made.label_column) == (5, "3")
    assert make_options(Search, GIVEN | {"deadline": " 2h\n"}).deadline == 7200


@pytest.mark.parametrize("kind", [Search, Annotation])
def test_takes__is_said_of_each_reader(kind):
    readers = {o.read for o in list_options(kind).values()}
    assert readers <= set(options.TAKES)


def test_make_options__says_what_is_missing():
    with pytest.raises(BadInput, match="expected genotypes and out"):
        make_options(Search, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folds = 0", "run.toml: argument --folds: 0: expected 1 or more"),
        ('resume = "yes"', "run.toml: argument --resume: 'yes': expected true or"),
        ('config = "x"', "run.toml: unknown option 'config'"),
        ("genotypes = [1979-05-27]", "run.toml: argument genotypes: 1979-05-27: exp"),
    ],
)
def test_parse__refuses_a_file(tmp_path, capsys, text, message):
    (tmp_path / "run.toml").write_text(text)
    words = ["run", "a.bed", "--out", str(tmp_path / "out")]
    assert mdr.main([*words, "--config", str(tmp_path / "run.toml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [Search, Annotation])
def test_list_options__each_has_a_type_that_its_default_has(kind):
    for name, told in list_options(kind).items():
        if isinstance(told.default, str | int | float) and not told.is_switch:
            assert read_values(kind, {name: told.default}) == {name: told.default}


def test_list_words__says_what_differs_from_other_defaults():
    values = {"genotypes": ["a"], "folds": 5, "seed": 42, "resume": True}
    words = list_words(Search, values, {"folds": 5, "seed": 7})
    assert words == ["a", "--seed", "42", "--resume"]


def test_add_options__some_in_another_group():
    parser = argparse.ArgumentParser()
    cli.add_question(parser.add_argument_group("sizes"))
    found = parser.parse_args(["--history", "a", "--history", "b"])
    assert found.history == [Path("a"), Path("b")]


def test_docstrings__have_examples_that_hold():
    failed, tried = doctest.testmod(options)
    assert (failed, tried) == (0, 1)


def test_hide_module__gives_back_what_it_has_hidden():
    with cli.hide_module("wave"), pytest.raises(ImportError):
        import wave
    import wave

    with cli.hide_module("wave"):
        assert sys.modules["wave"] is wave


AFTER = """
import sys
from {program}.program import main
assert main(sys.argv[1:]) == 0
assert "numba" in sys.modules and "scipy" not in sys.modules
import scipy.linalg, sklearn.base
"""


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("mdr_epistasis", [f"{DATA}/bitepi_plink_100snps_2000/bfile.bed"]),
        (
            "metabolite_annotation",
            [
                f"{DATA}/imzml/Untreated_3_434_tiny.imzML",
                "--database",
                "db.tsv",
            ],
        ),
    ],
)
def test_main__leaves_scipy_to_be_imported(tmp_path, program, words):
    (tmp_path / "db.tsv").write_text("id\tname\tformula\n1\tglucose\tC6H12O6\n")
    code = AFTER.format(program=program)
    words = ["run", *words, "--out", str(tmp_path / "out"), "--plan"]
    run = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["cpu_s"] > 0
