"""Simulated imaging datasets: their bytes, their truth, and what a run finds."""

import csv
import re

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.loader.spectra.ibd import check_ibd, read_spectra
from hpc_connector.loader.spectra.imzml import read_imzml
from metabolite_annotation import load
from metabolite_annotation.program import main
from metabolite_annotation.simulate.design import Disc, draw_level
from metabolite_annotation.simulate.instruments import PROFILES, centroid, get_fwhm

SMALL = ["--width", "16", "--height", "12", "--planted", "12", "--unknown", "5"]
SMALL += ["--noise", "40"]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a database of 60 lipids."""
    path = tmp_path_factory.mktemp("database") / "lipids.tsv"
    formulas = [f"C{n}H{2 * n - k}NO{k}P" for n in range(14, 34) for k in range(5, 8)]
    rows = [f"{k}\tlipid {k}\t{f}\n" for k, f in enumerate(formulas)]
    path.write_text("id\tname\tformula\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def simulated(database, tmp_path_factory):
    """Return a small dataset, as an Orbitrap measures it."""
    return make(database, tmp_path_factory.mktemp("simulated") / "x.imzML")


def make(database, out, *words):
    """Simulate a dataset; return its path."""
    given = ["--database", str(database), "--out", str(out), *SMALL, *words]
    assert main(["simulate", *given]) == 0
    return out


def read_files(path):
    """Return the bytes of all files of a dataset."""
    ends = (".imzML", ".ibd", ".truth.tsv")
    return [path.with_suffix(end).read_bytes() for end in ends]


def read_truth(path):
    with open(path.with_suffix(".truth.tsv"), newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def read_all(path):
    """Return x, y, m/z and intensities of every spectrum."""
    imzml = read_imzml(str(path))
    check_ibd(imzml)
    for k in range(len(imzml.n_peaks)):
        spectra = read_spectra(imzml, k, k + 1)
        yield int(imzml.x[k]), int(imzml.y[k]), spectra.mz, spectra.intensity


def get_discs(text):
    numbers = re.findall(r"x=(.*?) y=(.*?) r=(.*?) level=([\d.]+)", text)
    return [tuple(map(float, found)) for found in numbers]


def test_simulate__gives_the_same_bytes_anywhere(simulated, database, tmp_path):
    again = make(database, tmp_path / "x.imzML")
    assert read_files(again) == read_files(simulated)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "x.ibd",
        "x.imzML",
        "x.truth.tsv",
    ]


def test_simulate__gives_others_by_another_seed(simulated, database, tmp_path):
    other = make(database, tmp_path / "x.imzML", "--seed", "7")
    pairs = zip(read_files(other), read_files(simulated), strict=True)
    assert all(ours != theirs for ours, theirs in pairs)
    assert read_imzml(str(other)).uuid != read_imzml(str(simulated)).uuid


def test_simulate__is_read_by_pyimzml(simulated):
    pyimzml = pytest.importorskip("pyimzml.ImzMLParser")
    found = list(read_all(simulated))
    with pyimzml.ImzMLParser(str(simulated)) as parser:
        places = [coordinate[:2] for coordinate in parser.coordinates]
        assert places == [(x, y) for x, y, *_ in found]
        assert places == [(x, y) for y in range(1, 13) for x in range(1, 17)]
        for k, (*_, mz, intensity) in enumerate(found):
            npt.assert_array_equal(parser.getspectrum(k)[0], mz)
            npt.assert_array_equal(parser.getspectrum(k)[1], intensity)


def test_truth__has_every_ion_once(simulated, database):
    rows = read_truth(simulated)
    ours = [row for row in rows if row["in_database"] == "1"]
    assert len({(row["formula"], row["adduct"]) for row in ours}) == len(ours) == 180
    assert len({row["ion"] for row in ours if row["planted"] == "1"}) == 12
    unknown = [row["ion"] for row in rows if row["in_database"] == "0"]
    assert len(set(unknown)) == len(unknown) == 5
    assert not {row["ion"] for row in ours} & set(unknown)
    assert all((row["discs"] != "") == (row["planted"] == "1") for row in rows)


def test_truth__says_where_the_peaks_are(simulated):
    rows = [row for row in read_truth(simulated) if row["planted"] == "1"]
    spectra = list(read_all(simulated))
    ppm = 6 * (PROFILES["Orbitrap"].shift_ppm + PROFILES["Orbitrap"].jitter_ppm)
    x, y = np.array([(x, y) for x, y, *_ in spectra]).T
    x, y = x - 0.5, y - 0.5
    n_seen = 0
    for row in rows:
        mz, n_pixels = float(row["mz"]), int(row["n_pixels"])
        window = 1e-6 * ppm * mz
        there = np.array([(abs(one - mz) < window).any() for _, _, one, _ in spectra])
        discs = get_discs(row["discs"])
        inside = np.any([np.hypot(x - a, y - b) < r + 0.01 for a, b, r, _ in discs], 0)
        assert n_pixels <= inside.sum()
        assert there.sum() >= 0.95 * n_pixels  # but where a stronger peak has drawn it
        n_seen += n_pixels > 0
    assert n_seen > 10


def test_run__finds_what_was_planted(simulated, database, tmp_path):
    out = tmp_path / "out"
    words = ["--database", str(database), "--instrument", "Orbitrap", "--quiet"]
    words += ["--resolving-power", "140000@200", "--out", str(out)]
    cache = ["--pattern-cache", str(tmp_path / "patterns")]
    assert main(["run", str(simulated), *words, *cache]) == 0
    truth = read_truth(simulated)
    strong = {
        r["ion"] for r in truth if r["planted"] == "1" and int(r["n_pixels"]) > 20
    }
    strong &= {row["ion"] for row in truth if row["in_database"] == "1"}
    result = load(out)
    level = dict(
        zip(result.annotations["ion"], result.annotations["fdr_level"], strict=True)
    )
    found = {ion for ion in strong if level.get(ion, 1) <= 0.1}
    assert len(strong) >= 6
    assert len(found) >= 0.8 * len(strong)


def test_simulate__in_negative_mode_by_a_tof(database, tmp_path, capsys):
    words = ["--polarity", "negative", "--instrument", "TOF", "--unknown", "0"]
    path = make(database, tmp_path / "x.imzML", *words)
    rows = read_truth(path)
    assert {row["adduct"] for row in rows} == {"-H", "+Cl"}
    assert read_imzml(str(path)).acquisition.polarities[0].what == "negative"
    said = capsys.readouterr().out
    assert "--instrument TOF --resolving-power 40000@200 --ppm 10" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--planted", "999"], "the database has 180 ions, expected no more"),
        (["--adducts", "-H"], "make no positive ions"),
        (["--adducts", ","], "expected one or more"),
        (["--adducts", "+Qq"], "--adducts: 'Qq' is no element"),
        (["--out", "x.mzML"], "expected a name that ends with .imzML"),
        (["--out", "/dev/null/x.imzML"], "cannot be written"),
        (["--database", "none.tsv"], "none.tsv cannot be read"),
    ],
)
def test_simulate__refuses_in_one_line(words, said, database, tmp_path, capsys):
    given = ["--database", str(database), "--out", str(tmp_path / "x.imzML"), *SMALL]
    assert main(["simulate", *given, *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not list(tmp_path.iterdir())


def merge_naively(mz, intensity, fwhm):
    """Return peaks from left to right, each joined to the one before it if near."""
    groups = []
    last = -np.inf
    for k in sorted(range(len(mz)), key=lambda k: mz[k]):
        if mz[k] - last < fwhm[k]:
            groups[-1].append(k)
        else:
            groups.append([k])
        last = mz[k]
    height = [sum(intensity[k] for k in group) for group in groups]
    mean = [
        sum(mz[k] * intensity[k] for k in group) / total
        for group, total in zip(groups, height, strict=True)
    ]
    return np.array(mean), np.array(height)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(100, 101), min_size=1, max_size=30, unique=True))
def test_centroid__agrees_with_naive(mz):
    mz = np.array(mz)
    intensity = np.random.default_rng(1).uniform(1, 9, len(mz))
    fwhm = get_fwhm("Orbitrap", 5000, mz)
    found, expected = centroid(mz, intensity, fwhm), merge_naively(mz, intensity, fwhm)
    npt.assert_allclose(found[0], expected[0], rtol=1e-12)
    npt.assert_allclose(found[1], expected[1], rtol=1e-12)


def test_get_fwhm__goes_with_mz_as_the_instrument_does():
    mz = np.array([200.0, 800.0])
    npt.assert_allclose(mz / get_fwhm("TOF", 1000, mz), [1000, 1000])
    npt.assert_allclose(mz / get_fwhm("Orbitrap", 1000, mz), [1000, 500])
    npt.assert_allclose(mz / get_fwhm("FTICR", 1000, mz), [1000, 250])


def test_draw_level__agrees_with_naive():
    discs = (Disc(3.2, 4.0, 2.5, 0.8), Disc(5.0, 5.5, 3.0, 0.5))
    level = draw_level(discs, np.arange(9) + 0.5, np.arange(7)[:, None] + 0.5)
    for (y, x), value in np.ndenumerate(level):
        far = [np.hypot(x + 0.5 - d.x, y + 0.5 - d.y) / d.radius for d in discs]
        here = [d.level * (1 - f**2) for d, f in zip(discs, far, strict=True)]
        assert value == pytest.approx(max(0, *here))


def test_simulate__says_that_it_needs_pyimzml(database, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "metabolite_annotation.simulate.files.find_spec", lambda _: None
    )
    words = ["--database", str(database), "--out", str(tmp_path / "x.imzML")]
    assert main(["simulate", *words]) == 2
    said = capsys.readouterr().err
    assert "simulate needs pyimzML: pip install 'hpc_connector[imzml]'" in said
