"""Rates of false discovery against METASPACE's, and against the slow ones."""

import csv
import gzip
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import naive_scores
from hpc_connector.learner.annotation.fdr import (
    LEVELS,
    get_continuous_fdr,
    get_digitised_fdr,
    get_level,
    run_fdr,
)
from hpc_connector.learner.annotation.ions import Candidates, Chemistry, make_ions

GOLDEN = Path(__file__).parent / "data/metaspace_golden"
RUNS = [  # that of METASPACE-ML stands among the tests of extras
    ("untreated_tiny", 3, 192),
    ("untreated_tiny", 1, 185),
    ("sim_small", 3, 311),
    ("sim_small", 1, 312),
    ("sim_bench", 3, 329),
]
scored = st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.9])


def read_golden(name):
    with gzip.open(GOLDEN / f"{name}.csv.gz", "rt") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("name", "version", "n_rows"), RUNS)
def test_run_fdr__is_that_of_metaspace(name, version, n_rows):
    with gzip.open(GOLDEN / "core_metabolome_v3_formulas.txt.gz", "rt") as stream:
        formulas = stream.read().split()
    chemistry = Chemistry(("+H", "+Na", "+K"), version=version)
    ions, (database,) = make_ions([formulas], chemistry)
    row_of = {formula: row for row, formula in enumerate(formulas)}
    modifier_of = {modifier: k for k, modifier in enumerate(ions.modifiers)}
    score = np.zeros(len(ions))
    for row in read_golden(f"{name}_cm3_v{version}_all_scores"):
        f, modifier = row_of[row["formula"]], modifier_of[row["modifier"]]
        if row["target"] == "True":
            made = database.target[f][database.modifier == modifier]
        else:
            made = database.decoy[f][database.decoy_modifier[f] == modifier]
        assert len(made) >= 1
        assert (made >= 0).all()
        assert set(score[made]) <= {0.0, float(row["msm"])}  # a formula has one score
        score[made] = float(row["msm"])

    fdr = run_fdr(score, database, version)

    found = {
        (formulas[f], ions.modifiers[database.modifier[k]]): fdr[f, k]
        for f, k in np.argwhere(fdr < 1)
    }
    rows = read_golden(f"{name}_cm3_v{version}_annotations")
    known = {(row["formula"], row["modifier"]): float(row["fdr"]) for row in rows}
    assert len(rows) == len(known) == n_rows
    assert found.keys() == known.keys()
    differences = [abs(found[key] - known[key]) for key in known]
    assert max(differences) <= (1e-9 if version == 3 else 0)


@st.composite
def databases(draw):
    """Return the scores of some ions, and targets and decoys made of them."""
    n_ions = draw(st.integers(1, 25))
    score = draw(arrays(float, n_ions, elements=st.one_of(st.just(0.0), scored)))
    shape = draw(st.tuples(st.integers(0, 8), st.integers(1, 3), st.integers(1, 5)))
    ion = st.integers(-1, n_ions - 1)
    target = draw(arrays(np.int64, shape[:2], elements=ion))
    decoy = draw(arrays(np.int64, shape, elements=ion))
    nothing = np.zeros(0, np.int64)
    return score, Candidates(nothing, nothing, target, decoy, nothing)


@given(databases(), st.sampled_from([1, 3]))
def test_run_fdr__is_the_slow_one(database, version):
    found = run_fdr(*database, version)
    npt.assert_allclose(found, naive_scores.run_fdr(*database, version), rtol=1e-12)


@given(databases())
def test_run_fdr__of_a_higher_score_is_no_higher(database):
    score, candidates = database
    for version in (1, 3):
        fdr = run_fdr(score, candidates, version)
        for rates, targets in zip(fdr.T, candidates.target.T, strict=True):
            order = np.argsort(score[targets], kind="stable")
            known = rates[order][~np.isnan(rates[order])]
            assert (np.diff(known) <= 0).all()
            assert (known > 0).all()


@pytest.mark.parametrize(("version", "rate"), [(3, 1 / 20 / 4), (1, LEVELS[0])])
def test_run_fdr__without_decoys(version, rate):
    target, decoy = np.arange(3)[:, None], np.full((3, 1, 20), -1)
    nothing = np.zeros(0, np.int64)
    candidates = Candidates(nothing, nothing, target, decoy, nothing)
    fdr = run_fdr(np.array([0.3, 0.2, 0.3]), candidates, version)
    npt.assert_allclose(fdr[:, 0], rate)  # the lowest score holds for those above


@pytest.mark.parametrize("get_fdr", [get_continuous_fdr, get_digitised_fdr])
@pytest.mark.parametrize("n_formulas", [0, 7])
def test_fdr__without_targets(get_fdr, n_formulas):
    assert get_fdr(np.zeros(0), np.full((n_formulas, 20), 0.5)).shape == (0,)


@given(
    st.lists(scored, min_size=1, max_size=12),
    arrays(
        float,
        st.tuples(st.integers(0, 9), st.integers(1, 5)),
        elements=st.one_of(st.just(0.0), scored),
    ),
)
def test_fdr__is_the_slow_one(targets, decoys):
    targets = np.array(targets)
    npt.assert_allclose(
        get_continuous_fdr(targets, decoys),
        naive_scores.get_continuous_fdr(targets, decoys),
        rtol=1e-12,
    )
    npt.assert_array_equal(
        get_digitised_fdr(targets, decoys),
        naive_scores.get_digitised_fdr(targets, decoys),
    )


def test_get_level__rounds_to_two_digits():
    found = get_level(np.array([0.0, 0.0549, 0.0551, 0.1, 0.5049, 0.51, 3.0]))
    assert found.tolist() == [0.05, 0.05, 0.1, 0.1, 0.5, 1.0, 1.0]
