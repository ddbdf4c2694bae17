"""Ions, their order and their decoys against the slow ones."""

import re

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_ions
from hpc_connector.learner.annotation.chemistry.formula_table import (
    count_atoms,
    read_atoms,
)
from hpc_connector.learner.annotation.decoys import draw_decoys
from hpc_connector.learner.annotation.formulas import parse_formula, read_formula
from hpc_connector.learner.annotation.ions import Chemistry, make_ions

FORMULAS = ["CH4", "C2H4", "H4C", "CH3Na", "H2O", "C2H6O2", "Na.Cl", "KC=Cl", "H"]
FORMULAS += ["Ca(OH)2", "C2D4O", "[13C]2H6O", "Cx2H6O", "CHeHoBaYb", "C6H12O6"]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from(FORMULAS), unique=True), min_size=1, max_size=3),
    st.lists(
        st.sampled_from(["+H", "+Na", "-H", "-H2O+H", "[M]+", "-CO2+CO"]),
        min_size=1,
        unique=True,
        max_size=3,
    ),
    st.sampled_from([(), ("-H2O",)]),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 7]),
)
def test_make_ions__are_the_slow_ones(databases, adducts, losses, version, n_decoys):
    chemistry = Chemistry(tuple(adducts), losses, (), n_decoys, version)
    ions, candidates = make_ions(databases, chemistry)
    made_of, found = naive_ions.make_ions(databases, chemistry)
    assert len(ions) == len(made_of)
    for k, (formula, modifier, atoms) in enumerate(made_of):
        assert ions.formulas[ions.formula[k]] == formula
        assert ions.modifiers[ions.modifier[k]] == modifier
        counts = ions.formula_counts[ions.formula[k]].copy()
        counts += ions.modifier_counts[ions.modifier[k]]
        named = zip(ions.elements, counts.tolist(), strict=True)
        assert tuple((e, n) for e, n in named if n) == atoms
    for own, (target, decoy) in zip(candidates, found, strict=True):
        npt.assert_array_equal(own.target, target)
        npt.assert_array_equal(own.decoy, decoy)


def test_make_ions__keeps_the_types_that_name_cached_patterns():
    ions, _ = make_ions([["CH4", "C2H6"]], Chemistry(("+H",)))
    arrays = ions.formula_counts, ions.modifier_counts, ions.formula, ions.modifier
    assert {array.dtype for array in arrays} == {np.dtype(np.int64)}


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
@pytest.mark.parametrize("n_candidates", [1, 2, 5, 64, 65, 80])
def test_draw_decoys__are_those_of_numpys_shuffle(n_candidates, seed):
    number = min(20, n_candidates)
    setting = {"number": number, "seed": seed}
    for size in [(0, 2), (1, 1), (150, 2)]:
        npt.assert_array_equal(
            draw_decoys(*size, n_candidates, **setting),
            naive_ions.draw_decoys(*size, n_candidates, **setting),
        )


def count_slowly(formula):
    """Return atoms, or what is wrong."""
    try:
        return parse_formula(formula.replace(".", "").replace("=", ""))
    except ValueError as error:
        return str(error)


@settings(max_examples=300)
@given(st.text("CHNaDTx[]()0123 .=é", max_size=12) | st.sampled_from(FORMULAS))
def test_read_atoms__of_one_is_the_slow_one(formula):
    expected = count_slowly(formula)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=re.escape(expected)):
            read_atoms(["C6H6", formula, "O"])
        return
    atoms = read_atoms(["C6H6", formula, "O"])
    elements = sorted({*atoms.names})
    counts = count_atoms(atoms, 3, elements)[1].tolist()
    assert {e: n for e, n in zip(elements, counts, strict=True) if n} == expected


@pytest.mark.parametrize(
    ("formulas", "said"),
    [
        (["C2H6", "C0H4", "C999999"], "'C' is counted 0 times"),
        (["C0000002"], "at most 99999"),
        (["C60000H2C60000"], "at most 99999"),
        (["CH4", "C)", "C0"], "closes none"),
        (["CH4", "(QxC)2", "CXy"], "'Qx' is no element"),
        (["CXy", "CQx"], "'Xy' is no element"),
    ],
)
def test_make_ions__names_the_first_that_is_wrong(formulas, said):
    with pytest.raises(ValueError, match=said):
        make_ions([formulas], Chemistry(("+H",)))


def test_make_ions__of_nothing():
    ions, (candidates,) = make_ions([[]], Chemistry(("+H",)))
    assert len(ions) == 0
    assert candidates.decoy.shape == (0, 1, 20)


@pytest.mark.parametrize("text", ["NaN", "C" * 60 + "x", "XeC", "C99999", "C01", "C0"])
def test_read_formula__in_short_is_in_full(text):
    """The brackets have it read in full."""
    answers = []
    for written in (text, f"({text})"):
        try:
            answers.append(parse_formula(read_formula(written)))
        except ValueError:
            answers.append(None)
    expected = None if text == "NaN" else answers[1]
    assert answers[0] == expected
