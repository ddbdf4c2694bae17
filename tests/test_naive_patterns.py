"""The oracle of isotope patterns is METASPACE's: m/z and intensities of known ions."""

import csv
import gzip
from pathlib import Path

import pytest

from hpc_connector.learner.annotation.formulas import parse_formula
from naive_patterns import get_pattern, read_isotopes

KNOWN = Path(__file__).parent / "data/metaspace_known_answers/centroids.csv.gz"
SETTINGS = [
    ("v3", "FTICR", 0.000619),
    ("v3", "Orbitrap", 0.001238),
    ("v3", "TOF", 0.002476),
    ("v1", "-", 0.000619),
    ("v1", "-", 0.001238),
]


def read_known(algorithm, instrument, sigma):
    """Return the rows of one setting."""
    with gzip.open(KNOWN, "rt") as stream:
        return [
            row
            for row in csv.DictReader(stream)
            if row["algorithm"] == algorithm
            and row["instrument"] == instrument
            and float(row["isocalc_sigma"]) == sigma
        ]


@pytest.mark.parametrize(("algorithm", "instrument", "sigma"), SETTINGS)
def test_get_pattern__is_that_of_metaspace(algorithm, instrument, sigma):
    isotopes = read_isotopes()
    rows = read_known(algorithm, instrument, sigma)
    assert len(rows) == 800
    for row in rows[::160]:
        counts = parse_formula(row["ion_formula"])
        model = "v1" if algorithm == "v1" else instrument
        pattern = get_pattern(counts, isotopes, model, sigma, int(row["charge"]))
        known = [(float(row[f"mz{k}"]), float(row[f"int{k}"])) for k in range(4)]
        known = [(mz, intensity) for mz, intensity in known if mz > 0]
        assert len(pattern) == len(known)
        for (mz, intensity), (known_mz, known_intensity) in zip(
            pattern, known, strict=True
        ):
            assert abs(mz / known_mz - 1) * 1e6 < 1e-4, row["ion_formula"]
            assert abs(intensity - known_intensity) < 1e-3
