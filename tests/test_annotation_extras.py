"""METASPACE-ML's scores, and exports to CSV and AnnData."""

import csv
import gzip
import json
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.fdr import run_fdr
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from metabolite_annotation.annotations import make_score
from metabolite_annotation.inputs.scoring_model import load_model
from metabolite_annotation.program import main

DATA = Path(__file__).parent / "data"
ML = DATA / "metaspace_ml"
MODEL = str(ML / "METASPACE-ML_Animal_v2.2023-12-14.cbm")
TINY = str(DATA / "imzml/Untreated_3_434_tiny.imzML")
FEATURES = ("chaos", "spatial", "spectral", "mz_err_abs", "mz_err_rel")


def read_rows(path):
    with gzip.open(path, "rt") as stream:
        return list(csv.DictReader(stream))


def get_scores(rows):
    """Return what ions are ranked by with the model, from a table of scores."""
    scores = np.array([[float(row[name]) for name in FEATURES] for row in rows])
    return make_score(scores, load_model(MODEL))


@pytest.mark.parametrize("name", ["spheroid-cm3-v3", "spheroid-hmdb-v3"])
def test_make_score__is_that_of_metaspace_ml(name):
    rows = read_rows(ML / f"{name}.csv.gz")
    known = [float(row["msm"]) for row in rows]
    assert len(known) > 500
    npt.assert_allclose(get_scores(rows), known, atol=1e-6)


def test_run_fdr__of_metaspace_ml():
    rows = read_rows(ML / "sim_small_cm3_v3_catboost_all_scores.csv.gz")
    with gzip.open(
        DATA / "metaspace_golden/core_metabolome_v3_formulas.txt.gz"
    ) as file:
        formulas = file.read().decode().split()
    ions, (database,) = make_ions([formulas], Chemistry(("+H", "+Na", "+K")))
    score_of = {}
    for row, score in zip(rows, get_scores(rows), strict=True):
        score_of[row["formula"], row["modifier"]] = score
    score = np.zeros(len(ions))
    every = [
        (database.target, np.broadcast_to(database.modifier, database.target.shape))
    ]
    every.append((database.decoy, database.decoy_modifier))
    for ion, modifier in every:
        for place in np.ndindex(ion.shape):
            name = (
                ions.formulas[database.formula[place[0]]],
                ions.modifiers[modifier[place]],
            )
            if name in score_of:
                score[ion[place]] = score_of[name]
    fdr = run_fdr(score, database, 3)
    found = {
        (ions.formulas[database.formula[f]], ions.modifiers[t]): fdr[f, t]
        for f, t in np.argwhere(fdr < 1)
    }
    known = read_rows(ML / "sim_small_cm3_v3_catboost_annotations.csv.gz")
    assert found.keys() == {(row["formula"], row["modifier"]) for row in known}
    for row in known:
        assert abs(found[row["formula"], row["modifier"]] - float(row["fdr"])) < 1e-9


def test_load_model__says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "no.cbm").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"no\.cbm is no CatBoost model"):
        load_model(str(tmp_path / "no.cbm"))
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(BadInput, match=r"hpc_connector\[ml\]"):
        load_model(MODEL)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return the lipids that METASPACE finds in the real dataset."""
    path = tmp_path_factory.mktemp("database") / "lipids.tsv"
    rows = read_rows(DATA / "metaspace_golden/untreated_tiny_cm3_v3_annotations.csv.gz")
    formulas = dict.fromkeys(row["formula"] for row in rows[:60])
    lines = [f'{k}\tlipid "{k}", a\t{f}\n' for k, f in enumerate(formulas)]
    path.write_text("id\tname\tformula\n" + "".join(lines))
    return str(path)


def run(database, out, *options):
    given = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]
    given += ["--pattern-cache", str(out.parent / "cache"), "--out", str(out)]
    return main(["run", TINY, "--database", database, *given, *options])


def read_images(out):
    """Return the first images of annotations, dense, and x and y of the pixels."""
    with h5py.File(out / "results.h5") as file:
        start, pixel = file["images/indptr"][:], file["images/pixel"][:]
        value, image = file["images/intensity"][:], file["annotations/image"][:]
        dense = np.zeros((len(image), len(file["pixels/x"])), np.float32)
        for row, ion in enumerate(image):
            part = slice(start[4 * ion], start[4 * ion + 1])
            dense[row, pixel[part]] = value[part]
        return dense, {name: file["pixels"][name][:] for name in file["pixels"]}


@pytest.mark.parametrize("options", [[], ["--neutral-losses", "-H2O"]])
@pytest.mark.parametrize("norm", ["none", "tic", "rms", "median"])
def test_export__has_the_images_of_the_results(database, tmp_path, options, norm):
    import anndata

    out = tmp_path / "out"
    given = ["--export", "csv,anndata", "--normalise", norm, *options]
    assert run(database, out, *given) == 0
    dense, pixels = read_images(out)
    if norm != "none":
        dense = dense / pixels[norm] * np.median(pixels[norm])
    with open(out / "annotations.tsv") as stream:
        table = list(csv.DictReader(stream, delimiter="\t"))
    assert len(table) > 20
    with gzip.open(out / "pixel_intensities.csv.gz", "rt") as stream:
        rows = list(csv.reader(stream))
    places = [f"x{x}_y{y}" for x, y in zip(pixels["x"], pixels["y"], strict=True)]
    assert rows[0] == ["formula", "adduct", "database", "mz", *places]
    assert [r[:2] for r in rows[1:]] == [[t["formula"], t["adduct"]] for t in table]
    npt.assert_allclose(np.array([r[4:] for r in rows[1:]], float), dense, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = anndata.read_h5ad(out / "annotations.h5ad")
    width, height = (data.uns["metaspace"]["image_size"][axis] for axis in "xy")
    place = pixels["y"] * width + pixels["x"]
    npt.assert_allclose(data.X[place].T, dense, rtol=1e-6)
    assert data.X.shape == (width * height, len(table))
    assert not np.delete(data.X, place, axis=0).any()
    assert data.var["formula"].tolist() == [t["formula"] for t in table]
    assert data.var["adduct"].tolist() == [t["adduct"] for t in table]
    assert data.var_names.is_unique
    assert data.uns["normalise"] == norm
    npt.assert_array_equal(data.obsm["spatial"][place, 1], pixels["y"])
    outputs = json.loads((out / "manifest.json").read_text())["outputs"]
    assert outputs[-2:] == ["pixel_intensities.csv.gz", "annotations.h5ad"]


def test_export__names_the_databases_where_several_have_an_ion(database, tmp_path):
    import anndata

    other = tmp_path / "other.tsv"
    other.write_text(Path(database).read_text())
    given = ["--database", database, str(other), "--export", "anndata"]
    given += ["--pattern-cache", str(tmp_path / "cache"), "--out", str(tmp_path / "b")]
    assert main(["run", TINY, *given, "--instrument", "FTICR", "--quiet"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = anndata.read_h5ad(tmp_path / "b/annotations.h5ad")
    assert data.var_names.is_unique
    assert set(data.var["database"]) == {"lipids", "other"}


def test_export__needs_anndata_before_anything_is_done(
    database, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "anndata", None)
    assert run(database, tmp_path / "out", "--export", "anndata") == 2
    assert "hpc_connector[anndata]" in capsys.readouterr().err


def test_run__with_the_model_of_metaspace_ml(database, tmp_path):
    assert run(database, tmp_path / "out", "--model", MODEL) == 0
    with open(tmp_path / "out/annotations.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert any(row["score"] != row["msm"] for row in rows)
    assert all(0 < float(row["score"]) <= 1 for row in rows)
