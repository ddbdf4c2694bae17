"""mdr_epistasis for Python users: the same numbers and files as the command."""

import doctest
import importlib
import json
import logging
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

import mdr_epistasis as mdr
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from mdr_epistasis import schema
from mdr_epistasis.cohort.loading import COLUMNS
from mdr_epistasis.program import main
from mdr_epistasis.simulate.cohorts import Design, draw_cohort
from mdr_epistasis.simulate.files import simulate
from programs import PATIENCE_S

DESIGN = Design(40, 200, 2, 0.1, 0.3, 7, missing_rate=0.01)
OPTIONS = {"folds": 5, "permutations": 20, "seed": 3, "top": 50}
WORDS = ["--folds", "5", "--permutations", "20", "--seed", "3", "--top", "50"]
EVERYTHING = ["--min-maf", "0", "--max-missing", "1"]
SAME = ("models.tsv", "results.h5")
DOCUMENTED = ("api", "estimator", "output.result")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return the prefix of a cohort's files, its genotypes and its labels."""
    prefix = tmp_path_factory.mktemp("cohort") / "c"
    simulate(str(prefix), DESIGN)
    drawn = draw_cohort(DESIGN)
    return f"{prefix}.bed", np.concatenate(list(drawn.blocks)), drawn.is_case


@pytest.fixture(scope="module")
def result(cohort):
    _, genotypes, is_case = cohort
    return mdr.search(genotypes, is_case, **OPTIONS)


def assert_same_columns(found, expected):
    """Compare columns bit by bit."""
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        npt.assert_array_equal(found[name], column, err_msg=name, strict=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": 3, "permutations": 2},
        {"missing": "level", "tie": "low", "rank_by": "whole"},
        {"permutation_test": "interaction", "rank_by": "train", "threads": 2},
        {"folds": 1},
    ],
    ids=str,
)
def test_search__every_column_as_the_command(cohort, tmp_path, options):
    path, genotypes, is_case = cohort
    given = OPTIONS | options
    words = [f"--{n.replace('_', '-')}={value}" for n, value in given.items()]
    out = str(tmp_path / "out")
    assert main(["run", path, "--out", out, "--quiet", *EVERYTHING, *words]) == 0
    found, expected = mdr.search(genotypes, is_case, **given), mdr.load(out)
    assert_same_columns(found.columns, expected.columns)
    for name in ("frequency", "missing"):
        npt.assert_array_equal(found.variants[name], expected.variants[name])
    npt.assert_array_equal(found.maximum, expected.maximum)
    assert found.attributes == expected.attributes
    assert found.p_value == expected.p_value


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, ">i2"])
def test_search__any_type_that_holds_the_values(cohort, result, dtype):
    _, genotypes, is_case = cohort
    found = mdr.search(
        np.asfortranarray(genotypes.astype(dtype)), is_case.tolist(), **OPTIONS
    )
    assert_same_columns(found.columns, result.columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, c: (g[0], c), "genotypes of shape (200,): expected (variants, "),
        (lambda g, c: (g + 1, c), "is 3: expected 0, 1, 2, or -1 where missing"),
        (lambda g, c: (g * 0.5, c), "expected 0, 1, 2, or -1 where missing"),
        (lambda g, c: (g.astype(str), c), "expected whole numbers"),
        (lambda g, c: (g.T, c), "genotypes of 40 individuals, and labels of 200"),
        (
            lambda g, c: (g, c + 1),
            "is_case has 2: expected 1 for a case, 0 for a control",
        ),
        (lambda g, c: (g, g), "is_case of type int8 and shape (40, 200): expected"),
        (lambda g, c: (g, c * 0), "0 cases for 5 folds"),
        (lambda g, c: (g[:1], c), "variants kept: 1; expected 2 or more"),
    ],
)
def test_search__refuses_arrays(cohort, change, message):
    _, genotypes, is_case = cohort
    with pytest.raises(BadInput, match=re.escape(message)):
        mdr.search(*change(genotypes, is_case.astype(int)), **OPTIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 4}, "order: invalid choice: 4"),
        ({"folds": 0}, "folds: 0: expected 1 or more"),
        ({"names": ["a"]}, "1 names of 40 variants"),
    ],
)
def test_search__refuses_options(cohort, options, message):
    _, genotypes, is_case = cohort
    with pytest.raises(BadInput, match=message):
        mdr.search(genotypes, is_case, **options)


def test_run__the_files_of_the_command_twice_in_a_process(cohort, tmp_path, capfd):
    path, *_ = cohort
    out = tmp_path / "command"
    assert main(["run", path, "--out", str(out), "--quiet", *WORDS]) == 0
    expected = [(out / name).read_bytes() for name in SAME]
    capfd.readouterr()
    handlers = [signal.getsignal(number) for number in signal.Signals]
    logged = list(logging.getLogger().handlers)
    for name in ("first", "second"):
        found = mdr.run(path, out=tmp_path / name, quiet=True, **OPTIONS)
        assert [(tmp_path / name / n).read_bytes() for n in SAME] == expected
        assert_same_columns(found.columns, mdr.load(out).columns)
    assert capfd.readouterr() == ("", "")
    assert [signal.getsignal(number) for number in signal.Signals] == handlers
    assert logging.getLogger().handlers == logged
    ours, theirs = (read_manifest(tmp_path / name) for name in ("first", "command"))
    assert ours["parameters"] == theirs["parameters"]
    assert not (tmp_path / "first/running.json").exists()
    again = mdr.run(path, out=tmp_path / "first", resume=True, **OPTIONS)
    assert again.best == found.best


def test_run__beside_the_main_thread(cohort, tmp_path):
    path, *_ = cohort
    found = []

    def work():
        found.append(mdr.run(path, out=tmp_path / "out", **OPTIONS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].order == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "none.tsv"}, "none.tsv"),
        ({"fold": 5}, "unknown option 'fold'; expected one of all-models, "),
        ({"folds": 150}, "cases for 150 folds"),
        ({"plan": True}, "plan: it is for the command alone"),
        ({"compat": "bsc"}, "compat: it is for the command alone"),
    ],
)
def test_run__raises_what_the_command_says(cohort, tmp_path, options, message):
    path, *_ = cohort
    with pytest.raises(BadInput, match=message):
        mdr.run(path, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


ON_RANKS = """
import sys
from mpi4py import MPI
import mdr_epistasis as mdr
path, out = sys.argv[1:]
options = dict(folds=5, permutations=20, seed=3, top=50, quiet=True)
result = mdr.run(path, out=out, comm=MPI.COMM_WORLD, **options)
print(result.best["variant_1"] + "\\n", end="", flush=True)
"""


def test_run__on_the_ranks_of_a_communicator(cohort, result, tmp_path):
    path, *_ = cohort
    out = tmp_path / "out"
    command = ["mpirun", "-n", "2", sys.executable, "-c", ON_RANKS, path, str(out)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert said.returncode == 0, said.stderr
    serial = mdr.run(path, out=tmp_path / "serial", **OPTIONS)
    assert said.stdout.split() == [serial.best["variant_1"]] * 2
    for name in SAME:
        assert (out / name).read_bytes() == (tmp_path / "serial" / name).read_bytes()


def test_result__tables(result):
    pandas = pytest.importorskip("pandas")
    models = result.models
    assert isinstance(models, pandas.DataFrame)
    assert list(models["rank"][:3]) == [1, 2, 3]
    best = models[models["is_best"] == 1].iloc[0]
    assert result.best["variant_1"] == best["variant_1"]
    assert result.p_value == best["p_value"]
    json.dumps(result.best)


def test_result__tables_without_pandas(result, monkeypatch):
    monkeypatch.setattr("hpc_connector.storer.columns.find_spec", lambda name: None)
    assert list(result.models)[:3] == ["rank", "variant_1", "chromosome_1"]
    assert list(result.cells())[-3:] == ["cases", "controls", "high_risk"]


@pytest.mark.parametrize("missing", ["exclude", "level"])
def test_cells__counts_each_combination(cohort, missing):
    _, genotypes, is_case = cohort
    found = mdr.search(genotypes, is_case, missing=missing, **OPTIONS)
    cells = found.cells(2)
    v = found.columns["variant"][2]
    for row in zip(*(cells[name] for name in cells), strict=True):
        is_here = (row[:2] == genotypes[v].T).all(axis=1)
        assert row[2:4] == (is_here[is_case].sum(), is_here[~is_case].sum())
    n_known = (genotypes[v] >= 0).all(axis=0).sum()
    n = cells["cases"].sum() + cells["controls"].sum()
    assert n == (len(is_case) if missing == "level" else n_known)


def test_save__gives_what_can_be_loaded_and_reported(result, tmp_path, capsys):
    folder = result.save(tmp_path / "out")
    found = mdr.load(folder)
    assert_same_columns(found.columns, result.columns)
    assert_same_columns(found.variants, result.variants)
    assert read_manifest(folder)["search"]["models"] == 780
    assert main(["report", str(folder)]) == 0
    with pytest.raises(BadInput, match="is not empty"):
        result.save(folder)


def test_load__refuses_what_is_no_run(tmp_path):
    with pytest.raises(BadInput, match="holds no finished run"):
        mdr.load(tmp_path)
    (tmp_path / "results.h5").write_bytes(b"x" * 100)
    with pytest.raises(BadInput, match="is damaged, or not results of"):
        mdr.load(tmp_path)


def test_repr__of_names_that_are_html(cohort):
    _, genotypes, is_case = cohort
    names = [f"<b>{k}</b>" for k in range(len(genotypes))]
    found = mdr.search(genotypes, is_case, names=names, **OPTIONS)
    assert "<b>" not in found._repr_html_()
    assert "&lt;b&gt;" in found._repr_html_()
    assert repr(found).startswith("<Result: ")
    assert "p 0." in repr(found)


def test_schema__has_every_column_of_the_files(result, tmp_path):
    folder = result.save(tmp_path / "out")
    header = (folder / "models.tsv").read_text().splitlines()[0].split("\t")
    of_sites = "p_value_within_sites"  # of a federated search alone
    of_run = [c.name for c in schema.TABLE if c.name != of_sites]
    assert [c for c in header if not c.endswith("_2")] == of_run
    known = {column.name: column for column in schema.MODELS}
    assert known.keys() - {of_sites} == result.columns.keys()
    sizes = {"": (), "order": (2,), "folds": (5,), "cells": (9,)}
    for name, column in result.columns.items():
        assert str(column.dtype) == known[name].dtype, name
        assert column.shape[1:] == sizes[known[name].shape], name
    assert [column.name for column in schema.VARIANTS] == list(COLUMNS)
    for column in schema.VARIANTS:
        kind = COLUMNS[column.name]
        text = isinstance(kind, np.dtypes.StringDType)
        assert column.dtype == ("text" if text else np.dtype(kind).name)
    assert all(column.definition for column in (*schema.TABLE, *schema.MODELS))


def test_import__is_cheap():
    code = (
        "import sys, mdr_epistasis as mdr; print(dir(mdr)); "
        "print({'numba', 'numpy', 'sklearn', 'h5py'} & set(sys.modules))"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.endswith("set()\n")
    assert "'MDR', 'Result'" in said
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        mdr.serach  # noqa: B018


def test_run__is_a_function_after_all_is_imported():
    for path in sorted(Path(mdr.__file__).parent.glob("*")):
        is_package = path.is_dir() and (path / "__init__.py").exists()
        if is_package or (path.suffix == ".py" and not path.name.startswith("__")):
            importlib.import_module(f"mdr_epistasis.{path.stem}")
    assert all(callable(getattr(mdr, name)) for name in mdr.__all__)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings__have_examples_that_hold(name):
    module = importlib.import_module(f"mdr_epistasis.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried


def make_arrays(seed=0, n_variants=8, n=60):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, (n_variants, n)), np.arange(n) % 2


def test_search__of_a_masked_array():
    genotypes, is_case = make_arrays()
    mask = np.zeros(genotypes.shape, bool)
    mask[2, :7] = True
    found = mdr.search(np.ma.array(genotypes, mask=mask), is_case, permutations=0)
    known = mdr.search(np.where(mask, -1, genotypes), is_case, permutations=0)
    assert list(found.models["n"]) == list(known.models["n"])
    assert min(found.models["n"]) == 53


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seed": None}, "seed: expected a value"),
        ({"permutations": None}, "permutations: expected a value"),
        ({"names": ["a\tb", *"cdefghi"]}, "without tabs"),
        ({"names": "abcdefgh"}, "names of"),
    ],
)
def test_search__refuses_what_it_would_guess(more, said):
    with pytest.raises(BadInput, match=said):
        mdr.search(*make_arrays(), **more)


def test_search__of_nothing_but_missing():
    with pytest.raises(BadInput, match="all are missing"):
        mdr.search(np.full((4, 20), -1), np.arange(20) % 2)


def test_save__of_options_of_numpy(tmp_path):
    options = {"folds": np.int64(5), "permutations": 0, "seed": "3"}
    out = mdr.search(*make_arrays(), **options).save(tmp_path / "out")
    assert mdr.load(out).record["parameters"]["folds"] == 5
    assert mdr.load(out).record["parameters"]["seed"] == 3


def test_run__of_no_file_leaves_nothing(tmp_path):
    with pytest.raises(BadInput, match="expected one or more"):
        mdr.run([], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
