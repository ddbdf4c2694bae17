"""Isotope patterns against METASPACE's, and against the slow ones."""

import csv
import gzip
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.learner.annotation import patterns
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids
from naive_patterns import get_pattern, list_isotopologues, read_isotopes

KNOWN = Path(__file__).parent / "data/metaspace_known_answers/centroids.csv.gz"
NAMES = ("algorithm", "instrument", "isocalc_sigma", "charge")


def read_known():
    """Return the rows of each setting."""
    with gzip.open(KNOWN, "rt") as stream:
        rows = list(csv.DictReader(stream))
    return {
        setting: list(chosen)
        for setting, chosen in groupby(rows, lambda row: tuple(row[n] for n in NAMES))
    }


def get_patterns(formulas, resolution):
    """Return m/z and intensity of ions that are given by formula."""
    ions, (database,) = make_ions([formulas], Chemistry(("[M]+",), n_decoys=1))
    found = calculate_centroids(ions, resolution)
    return [values[database.target[:, 0]] for values in found]


@pytest.mark.parametrize("setting", read_known())
def test_calculate_centroids__are_those_of_metaspace(setting):
    rows = read_known()[setting]
    assert len(rows) == 800
    algorithm, instrument, sigma, charge = setting
    version = int(algorithm[1])
    instrument = instrument if version == 3 else "TOF"
    resolution = Resolution(instrument, float(sigma), int(charge), version)
    mz, intensity = get_patterns([row["ion_formula"] for row in rows], resolution)
    known_mz = np.array([[float(row[f"mz{k}"]) for k in range(4)] for row in rows])
    known = np.array([[float(row[f"int{k}"]) for k in range(4)] for row in rows])
    npt.assert_array_equal(mz > 0, known_mz > 0)
    npt.assert_allclose(mz, known_mz, rtol=1e-10)
    npt.assert_allclose(intensity, known, atol=1e-3)


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.sampled_from(["H", "N", "O", "S", "Cl", "Na", "B", "K"]),
        st.integers(1, 3),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["FTICR", "Orbitrap", "TOF", "v1"]),
    st.sampled_from([0.001238, 0.002476]),
    st.sampled_from([1, -1]),
)
def test_calculate_centroids__are_the_slow_ones(counts, model, sigma, charge):
    counts = counts | {"C": 9}  # light ions have gaps of a million points
    formula = "".join(f"{e}{n}" for e, n in counts.items())
    version = 1 if model == "v1" else 3
    instrument = "TOF" if model == "v1" else model
    resolution = Resolution(instrument, sigma, charge, version)
    (mz,), (intensity,) = get_patterns([formula], resolution)
    slow = get_pattern(counts, read_isotopes(), model, sigma, charge)
    slow += [(0.0, 0.0)] * (4 - len(slow))
    npt.assert_allclose(mz, [z for z, _ in slow], rtol=1e-10)
    npt.assert_allclose(intensity, [i for _, i in slow], atol=1e-6)


@pytest.mark.parametrize(("element", "n"), [("C", 60), ("S", 7), ("Sn", 4), ("H", 500)])
def test_list_isotopologues__are_all_that_are_probable(element, n):
    isotopes = read_isotopes()
    masses, abundances = np.array(isotopes[element]).T
    kernel = patterns.kernels.list_isotopologues
    mass, probability = kernel(n, masses.copy(), abundances.copy())
    slow = np.array(list_isotopologues({element: n}, isotopes))
    order = np.argsort(mass)
    npt.assert_allclose(mass[order], slow[:, 0], rtol=1e-12)
    npt.assert_allclose(probability[order], slow[:, 1], rtol=1e-9)


def test_calculate_centroids__adds_the_mass_of_labels():
    plain, labelled = "C3H6O3", "C3Cx3H6O3"
    mz, intensity = get_patterns([plain, labelled, "Cx2"], Resolution("TOF", 0.002, 1))
    npt.assert_allclose(mz[1] - mz[0], 3 * 13.00335484 * (mz[0] > 0), atol=1e-9)
    npt.assert_array_equal(intensity[1], intensity[0])
    assert not mz[2].any()


def test_calculate_centroids__of_a_share_are_those_of_all():
    formulas = [f"C{n}H{2 * n}ClBr" for n in range(1, 40)]
    ions, _ = make_ions([formulas], Chemistry(("+H", "+Na")))
    resolution = Resolution("FTICR", 0.000619, 1)
    whole = calculate_centroids(ions, resolution)
    parts = [
        calculate_centroids(ions, resolution, *ends) for ends in [(0, 7), (7, None)]
    ]
    npt.assert_array_equal(np.concatenate([mz for mz, _ in parts]), whole[0])
    npt.assert_array_equal(np.concatenate([i for _, i in parts]), whole[1])


def test_calculate_centroids__refuses_what_has_no_room():
    ions, _ = make_ions([["Sn40Xe40Mo40Pt40"]], Chemistry(("+H",), n_decoys=1))
    with pytest.raises(ValueError, match="too many isotopologues"):
        calculate_centroids(ions, Resolution("TOF", 0.002476, 1))


@pytest.mark.parametrize(
    ("instrument", "resolving_power", "mz", "sigma"),
    [
        ("Orbitrap", 140_000, 200, 0.001238),
        ("FTICR", 140_000, 400, 0.000619),
        ("TOF", 30_000, 500, 0.002476),
        ("Orbitrap", 140_000, 800, 0.000619),
        ("FTICR", 1e6, 200, 0.000173),
        ("TOF", 85_000, 200, 0.001733),
    ],
)
def test_get_sigma__is_of_the_table(instrument, resolving_power, mz, sigma):
    assert patterns.get_sigma(instrument, resolving_power, mz) == sigma
