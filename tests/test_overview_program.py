"""Colocalised ions and the mean spectrum as a run writes them."""

import csv
import subprocess

import h5py
import numpy as np
import numpy.testing as npt
import pytest

import naive_colocalisation as naive
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from imzml import plant_lipids
from metabolite_annotation import schema
from metabolite_annotation.dataset import colocalisation
from metabolite_annotation.program import main
from metabolite_annotation.spectra import load_spectra
from programs import assert_same

GIVEN = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return plant_lipids(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def make_options(files, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def make(out, *more):
        words = [files[0], "--database", files[1], "--pattern-cache", cache]
        return ["run", *map(str, [*words, "--out", out, *GIVEN, *more])]

    return make


@pytest.fixture(scope="module")
def run(make_options, tmp_path_factory):
    """Return the folder of a run in one piece, without the table."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert main(make_options(out)) == 0
    return out


@pytest.fixture(scope="module")
def results(run):
    with h5py.File(run / "results.h5") as file:
        yield file


@pytest.fixture(scope="module")
def cosines(results):
    """Return the cosines of the first images of results.h5, by SciPy."""
    n_peaks, start = results.attrs["n_peaks"], results["images/indptr"][:]
    x, y = results["pixels/x"][:], results["pixels/y"][:]
    images = []
    for first, last in zip(start[::n_peaks], start[1::n_peaks], strict=False):
        images.append(np.zeros((results.attrs["height"], results.attrs["width"]), "f4"))
        pixel = results["images/pixel"][first:last]
        images[-1][y[pixel], x[pixel]] = results["images/intensity"][first:last]
    return naive.get_cosines(images, 65535)


def test_run__writes_the_ten_nearest_of_each_ion(results, cosines):
    ion, cosine = results["colocalisation/ion"][:], results["colocalisation/cosine"][:]
    assert len(ion) == len(results["images/ion"]) == 20
    for k, known in enumerate(naive.list_nearest(cosines, 10)):
        assert ion[k].tolist() == [j for j, _ in known] + [-1] * (10 - len(known))
        npt.assert_allclose(cosine[k, : len(known)], [c for _, c in known], 1e-6)
    assert (cosine > 0.5).any()


def test_run__writes_the_mean_spectrum(files, results):
    mz, intensity = results["spectrum/mz"][:], results["spectrum/intensity"][:]
    with load_spectra(get_mpicomm(serial=True), read_imzml(str(files[0]))) as spectra:
        peaks = spectra.peaks
        number = np.floor(np.log(peaks.mz) / 6e-6)
        _, first = np.unique(number, return_index=True)
        total = np.add.reduceat(peaks.intensity.astype(float), first)
        mean = np.add.reduceat(peaks.mz * peaks.intensity, first) / total
    kept = np.sort(np.argsort(-total, kind="stable")[: 1 << 14])
    assert len(first) > len(kept)
    npt.assert_allclose(mz, mean[kept], 1e-12)
    npt.assert_allclose(intensity, total[kept] / len(results["pixels/x"]), 1e-6)


def read_pairs(out):
    with open(out / "colocalisation.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_run__writes_the_table_with_the_same_bytes_on_ranks_and_threads(
    run, results, cosines, make_options, tmp_path
):
    assert (
        main(make_options(tmp_path / "alone", "--colocalisation", "--threads", "2"))
        == 0
    )
    ranks = ["mpirun", "-n", "3", "metabolite-annotation"]
    command = [*ranks, *make_options(tmp_path / "ranks", "--colocalisation")]
    subprocess.run(command, check=True, capture_output=True)
    for out in (tmp_path / "alone", tmp_path / "ranks"):
        assert_same(out, run)
    table = (tmp_path / "alone/colocalisation.tsv").read_bytes()
    assert table == (tmp_path / "ranks/colocalisation.tsv").read_bytes()
    assert not (run / "colocalisation.tsv").exists()
    check_pairs(read_pairs(tmp_path / "alone"), results, cosines)


def check_pairs(pairs, results, cosines):
    """Assert that all pairs of at least 0.3 are there, those of the best ion first."""
    assert tuple(pairs[0]) == schema.COLOCALISATION.names
    ions = results["images/ion"].asstr()[:].tolist()
    nearest = naive.list_nearest(cosines, 100, 0.3)
    best = dict.fromkeys(results["annotations/image"][:].tolist())
    known = [(ions[k], ions[j], c) for k in best for j, c in nearest[k]]
    found = [(p["ion_a"], p["ion_b"], float(p["cosine"])) for p in pairs]
    assert [p[:2] for p in found] == [p[:2] for p in known]
    npt.assert_allclose([p[2] for p in found], [p[2] for p in known], 1e-9)
    columns = [results[f"annotations/{n}"].asstr()[:] for n in schema.NAMES_OF_PAIR[:3]]
    known = set(zip(*columns, strict=True))
    assert {(p["formula_b"], p["adduct_b"], p["ion_b"]) for p in pairs} <= known


def test_run__of_no_annotation_has_no_colocalised_ion(make_options, tmp_path):
    (tmp_path / "none.tsv").write_text("id\tname\tformula\n1\tnone\tC2H6\n")
    database = ["--database", str(tmp_path / "none.tsv"), "--colocalisation"]
    assert main([*make_options(tmp_path / "out"), *database]) == 0
    with h5py.File(tmp_path / "out/results.h5") as file:
        assert file["colocalisation/ion"].shape == (0, 10)
        assert len(file["spectrum/mz"]) == 1 << 14
    assert read_pairs(tmp_path / "out") == []


def test_choose_ions__takes_the_best_once_and_in_order(monkeypatch):
    monkeypatch.setattr(colocalisation, "MOST_IONS", 3)
    ion = np.array([7, 2, 7, 9, 2, 1, 0])
    assert colocalisation.choose_ions(ion).tolist() == [2, 7, 9]


def test_list_nearest__leaves_out_ions_beyond_the_best():
    products = np.array([[4.0, 2, 0], [2, 4, 1], [0, 1, 4]])
    found = colocalisation.Colocalised(np.array([2, 7, 9]), products)
    columns = colocalisation.list_nearest(found, np.array([1, 2, 7, 8, 9]))
    assert columns["ion"][:, :3].tolist() == [
        [-1, -1, -1],
        [2, -1, -1],
        [1, 4, -1],
        [-1, -1, -1],
        [2, -1, -1],
    ]
    assert columns["cosine"][2, :3].tolist() == [0.5, 0.25, 0]
    assert columns["ion"].dtype == np.int32
    assert columns["cosine"].dtype == np.float32
