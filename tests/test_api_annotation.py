"""metabolite_annotation for Python users: the numbers and files of the command."""

import csv
import doctest
import gc
import gzip
import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor

import anndata
import h5py
import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest

import metabolite_annotation as ma
from hpc_connector.errors import BadInput
from imzml import plant_lipids
from metabolite_annotation import schema
from metabolite_annotation import tasks as tasks_module
from metabolite_annotation.program import main
from programs import assert_same

pytestmark = pytest.mark.usefixtures("own_patterns")

MISSING_EVERY = 7  # pixel of the box
OPTIONS = {"instrument": "FTICR", "isocalc_sigma": 0.000619}
EXPORTS = {"export": "csv,anndata", "normalise": "tic"}
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a dataset whose box has holes, and a database."""
    folder = tmp_path_factory.mktemp("files")
    imzml, _ = plant_lipids(folder)
    text = imzml.read_text()
    spectra = re.findall(r"<spectrum .*</spectrum>", text)
    for spectrum in spectra[3::MISSING_EVERY]:
        text = text.replace(spectrum, "")
    n_left = text.count("<spectrum ")
    text = re.sub(r'<spectrumList count="\d+"', f'<spectrumList count="{n_left}"', text)
    (folder / "tissue.imzML").write_text(text)
    (folder / "small.ibd").rename(folder / "tissue.ibd")
    imzml.unlink()
    return folder


@pytest.fixture(scope="module")
def command(files):
    """Return the folder of a run of the command."""
    out = files / "results"
    given = [str(files / "tissue.imzML"), "--database", str(files / "lipids.tsv")]
    given += ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]
    given += ["--export", "csv,anndata", "--normalise", "tic", "--out", str(out)]
    assert main(["run", *given]) == 0
    return out


@pytest.fixture(scope="module")
def result(files):
    """Return the result of a call without a folder."""
    return annotate(files)


def annotate(files, **options):
    given = OPTIONS | EXPORTS | options
    return ma.annotate(files / "tissue.imzML", [files / "lipids.tsv"], **given)


def read_h5ad(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata's own
        return anndata.read_h5ad(path)


def test_import__loads_nothing_heavy():
    code = (
        "import sys, metabolite_annotation as ma; assert 'annotate' in dir(ma)\n"
        "print({'numba', 'numpy', 'h5py', 'pandas', 'argparse'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ma.nothing  # noqa: B018


def test_annotate__leaves_the_files_of_the_command(files, command, tmp_path):
    found = annotate(files, out=tmp_path / "out")
    assert_same(tmp_path / "out", command)
    for name in ("pixel_intensities.csv.gz", "annotations.h5ad"):
        assert (tmp_path / "out" / name).read_bytes() == (command / name).read_bytes()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        p.name for p in command.iterdir()
    }
    known = json.loads((command / "manifest.json").read_text())
    for name in ("parameters", "inputs", "search", "dataset", "annotation", "outputs"):
        assert found.record[name] == known[name], name
    as_here = str(tmp_path / "out"), str(command)
    assert found.record["command"].replace(*as_here) == known["command"]


def test_annotate__gives_the_table_of_the_command(result, command):
    known = pd.read_csv(command / "annotations.tsv", sep="\t", keep_default_na=False)
    found = result.annotations
    assert len(result) == len(found) == len(known) > 10
    assert found.columns.tolist() == known.columns.tolist()
    for name in known:
        if known[name].dtype == float:
            npt.assert_allclose(found[name], known[name], rtol=1e-9)
        else:
            assert found[name].astype(str).tolist() == known[name].astype(str).tolist()


def test_annotate__leaves_nothing_and_the_process_as_it_was(
    files, result, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = [signal.getsignal(s) for s in SIGNALS], [*root.handlers], root.level
    environment, input_files = dict(os.environ), sorted(files.iterdir())
    with ThreadPoolExecutor() as pool:  # where Python allows no handlers
        again = pool.submit(annotate, files).result()
    pd.testing.assert_frame_equal(again.annotations, result.annotations)
    assert [p.name for p in tmp_path.iterdir()] == [again.directory.name]
    after = [signal.getsignal(s) for s in SIGNALS], [*root.handlers], root.level
    assert after == before
    assert dict(os.environ) == environment
    assert sorted(files.iterdir()) == input_files
    del again
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"databases": "none.tsv"}, "none.tsv: cannot be read"),
        ({"adducts": "+Xx"}, "'Xx' is no element"),
        ({"fdr": 2}, "fdr: 2: expected 0..1"),
        ({"plan": True}, "plan: it is for the command alone"),
        ({"colour": "red"}, "unknown option 'colour'"),
    ],
)
def test_annotate__raises_what_is_wrong(files, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given = {"databases": files / "lipids.tsv"} | options
    for out in (None, tmp_path / "new" / "out"):
        with pytest.raises(BadInput, match=re.escape(message)) as raised:
            ma.annotate(files / "tissue.imzML", out=out, **given)
        assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_annotate__of_several_ranks_needs_a_folder(files):
    class Two:
        size = 2

    with pytest.raises(BadInput, match="out: expected a folder"):
        annotate(files, comm=Two())


def test_annotate__refuses_a_folder_in_use(files, command):
    before = {path: path.stat().st_mtime_ns for path in command.iterdir()}
    with pytest.raises(BadInput, match="is not empty"):
        annotate(files, out=command)
    assert {path: path.stat().st_mtime_ns for path in command.iterdir()} == before


def test_annotate__goes_on_after_an_interrupt(files, command, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def score(*given, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return known(*given, **options)

    known = tasks_module.annotate
    with monkeypatch.context() as patch:
        patch.setattr("metabolite_annotation.tasks.IONS_A_TASK", 100)
        patch.setattr(tasks_module, "annotate", score)
        with pytest.raises(KeyboardInterrupt, match="resume=True"):
            annotate(files, out=out)
        assert len(list(out.glob("ledger/*.npz"))) == 1
        patch.setattr(tasks_module, "annotate", known)
        annotate(files, out=out, resume=True)
    assert_same(out, command)


def test_annotate__on_ranks_of_a_communicator(files, command, tmp_path):
    code = (
        "import sys, metabolite_annotation as ma; from mpi4py import MPI\n"
        "result = ma.annotate('tissue.imzML', 'lipids.tsv', out=sys.argv[1], "
        f"comm=MPI.COMM_WORLD, **{OPTIONS | EXPORTS})\n"
        "assert result.record['resources']['ranks'] == 2 and len(result) > 10\n"
    )
    launch = ["mpirun", "-n", "2", sys.executable, "-m", "mpi4py", "-c", code]
    done = subprocess.run(
        [*launch, str(tmp_path / "out")], cwd=files, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "out", command)


def test_ion_image__is_that_of_the_results(result, command):
    """The file has the images one after the other, of the pixels with a spectrum."""
    row = result.annotations.iloc[3]
    with h5py.File(command / "results.h5") as file:
        x, y, ion = (file[n][:] for n in ("pixels/x", "pixels/y", "annotations/image"))
        for peak in range(4):
            first, last = file["images/indptr"][4 * ion[3] + peak :][:2]
            known = np.full((15, 18), np.nan, np.float32)
            known[y, x] = 0
            for k in range(first, last):
                pixel = file["images/pixel"][k]
                known[y[pixel], x[pixel]] = file["images/intensity"][k]
            found = result.ion_image(row["formula"], row["adduct"], peak)
            npt.assert_array_equal(found, known)
    first = result.ion_image(row["formula"], row["adduct"])
    assert first.dtype == np.float32
    assert np.isnan(first).sum() == 18 * 15 - len(x) > 30
    assert np.nansum(first) == pytest.approx(row["total_intensity"])


def test_ion_image__of_what_there_is_not(result):
    formula, adduct = result.annotations.loc[0, ["formula", "adduct"]]
    with pytest.raises(BadInput, match=r"no annotation C99 \+H"):
        result.ion_image("C99", "+H")
    for peak in (-1, 4):
        with pytest.raises(BadInput, match="expected 0 to 3"):
            result.ion_image(formula, adduct, peak)


def test_to_anndata__is_what_the_command_exports(result, command):
    known, found = read_h5ad(command / "annotations.h5ad"), result.to_anndata()
    npt.assert_array_equal(found.X, known.X)
    pd.testing.assert_frame_equal(found.obs, known.obs)
    pd.testing.assert_frame_equal(found.var, known.var)
    npt.assert_array_equal(found.obsm["spatial"], known.obsm["spatial"])
    assert dict(found.uns) == dict(known.uns)


def test_to_anndata__has_the_whole_box_row_by_row(result):
    """As METASPACE's converter takes it: rows by their names, then cut into rows."""
    data = result.to_anndata()
    size = data.uns["metaspace"]["image_size"]
    assert size == {"x": 18, "y": 15}
    assert data.X.dtype == np.float32
    assert data.obs_names.tolist() == [str(k) for k in range(18 * 15)]
    y, x = np.divmod(np.arange(18 * 15), 18)
    npt.assert_array_equal(data.obsm["spatial"], np.stack([x, y], axis=1))
    npt.assert_array_equal(data.obs["ion_image_pixel_x"], x)
    npt.assert_array_equal(data.obs["ion_image_pixel_y"], y)
    assert data.var_names.is_unique
    norm = data.obs["tic"].to_numpy().reshape(15, 18)
    for k, row in enumerate(result.annotations.itertuples()):
        image = result.ion_image(row.formula, row.adduct)
        assert (data.X[:, k].reshape(15, 18)[np.isnan(image)] == 0).all()
        there = norm > 0
        expected = image[there] / norm[there] * np.median(norm[there])
        npt.assert_allclose(data.X[:, k].reshape(15, 18)[there], expected, rtol=1e-6)


def test_save__copies_the_run(result, tmp_path):
    saved = ma.load(result.save(tmp_path / "a" / "saved"))
    assert_same(saved.directory, result.directory)
    pd.testing.assert_frame_equal(saved.annotations, result.annotations)
    with pytest.raises(BadInput, match="is not empty"):
        result.save(tmp_path / "a")


def test_load__of_what_is_no_run(command, tmp_path):
    with pytest.raises(BadInput, match="holds no run"):
        ma.load(tmp_path)
    record = json.loads((command / "manifest.json").read_text())
    for change in ({"status": "stopped"}, {"program": "mdr-epistasis"}):
        (tmp_path / "manifest.json").write_text(json.dumps(record | change))
        with pytest.raises(BadInput, match="expected a finished run of metabolite-"):
            ma.load(tmp_path)


def test_annotations__without_pandas(result, monkeypatch):
    known = result.annotations
    monkeypatch.setitem(sys.modules, "pandas", None)
    columns = result.annotations
    assert [*columns] == known.columns.tolist()
    npt.assert_array_equal(columns["fdr"], known["fdr"])


def test_result__without_any_annotation(files, tmp_path):
    (tmp_path / "gold.tsv").write_text("id\tname\tformula\n1\tgold\tAu5\n")
    result = ma.annotate(files / "tissue.imzML", tmp_path / "gold.tsv", **OPTIONS)
    assert len(result) == len(result.annotations) == 0
    assert result.to_anndata().shape == (18 * 15, 0)
    assert "0 annotations" in result._repr_html_()


def test_repr_html__shows_the_best(result, tmp_path):
    html = result._repr_html_()
    for row in result.annotations.head(10).itertuples():
        assert f"<td>{row.formula}</td><td>{row.adduct}</td>" in html
    changed = ma.Result(
        result.directory, result.record | {"dataset": {"name": "<script>"}}
    )
    assert "<script>" not in changed._repr_html_()


def test_schema__is_what_the_files_hold(command):
    with open(command / "annotations.tsv") as stream:
        assert tuple(next(csv.reader(stream, delimiter="\t"))) == schema.TABLE.names
    with gzip.open(command / "pixel_intensities.csv.gz", "rt") as stream:
        header = next(csv.reader(stream))
    n_named = len(schema.CSV.names)
    assert tuple(header[:n_named]) == schema.CSV.names
    assert all(re.fullmatch(r"x\d+_y\d+", name) for name in header[n_named:])
    data = read_h5ad(command / "annotations.h5ad")
    assert tuple(data.var) == schema.VAR.names
    assert tuple(data.obs) == schema.OBS.names
    assert [str(t) for t in data.obs.dtypes] == [c.dtype for c in schema.OBS.columns]


def test_schema__is_what_results_h5_holds(command):
    defined = [t for t in schema.TABLES if t.place.startswith("results.h5/")]
    found = {}
    with h5py.File(command / "results.h5") as file:
        for group, members in file.items():
            found |= {(group, name): column for name, column in members.items()}
        columns = [(t.place.split("/")[1], c) for t in defined for c in t.columns]
        assert sorted(found) == sorted((group, c.name) for group, c in columns)
        for group, column in columns:
            dtype = found[group, column.name].dtype
            name = schema.TEXT if dtype.kind == "O" else dtype.name
            assert name == column.dtype, column.name
            assert found[group, column.name].ndim == 1 + bool(column.shape)


@pytest.mark.parametrize("table", schema.TABLES, ids=lambda table: table.place)
def test_schema__defines_each_column(table):
    assert len(set(table.names)) == len(table.names)
    for column in table.columns:
        assert len(column.definition) > 8
        assert column.unit or not column.dtype.startswith("float"), column.name
    with pytest.raises(ValueError, match="more"):
        schema.check(table, [*table.names, "more"])


@pytest.mark.parametrize("name", ["api", "result", "output.images"])
def test_examples__run(name, files, command, monkeypatch):
    monkeypatch.chdir(files)
    module = importlib.import_module(f"metabolite_annotation.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried


@pytest.mark.parametrize("name", ma.__all__)
def test_examples__are_of_what_is_offered(name):
    assert ">>> " in getattr(ma, name).__doc__
