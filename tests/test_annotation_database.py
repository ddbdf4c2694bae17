"""Formulas, ions and decoys against METASPACE's."""

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.learner.annotation.decoys import CANDIDATES, draw_decoys
from hpc_connector.learner.annotation.elements import ISOTOPES, LABELS
from hpc_connector.learner.annotation.formulas import format_formula, parse_formula
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.modifiers import parse_modifier
from naive_patterns import make_ion_formula

KNOWN = Path(__file__).parent / "data/metaspace_known_answers/decoys.csv.gz"
SETTINGS = {
    "v1": (1, ["+H", "+Na", "+K"], []),
    "v3": (3, ["+H", "+Na", "+K"], []),
    "v1 (adducts -H,+Cl; neutral loss -H2O)": (1, ["-H", "+Cl"], ["-H2O"]),
    "v3 (adducts -H,+Cl; neutral loss -H2O)": (3, ["-H", "+Cl"], ["-H2O"]),
}


def read_known(setting):
    """Return formula, target and decoy modifier of one setting, in order."""
    with gzip.open(KNOWN, "rt") as stream:
        rows = [row for row in csv.DictReader(stream) if row["algorithm"] == setting]
    names = ("formula", "target_modifier", "decoy_modifier")
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("setting", SETTINGS)
def test_draw_decoys__as_metaspace_does(setting):
    version, adducts, losses = SETTINGS[setting]
    known = read_known(setting)
    formulas = list(dict.fromkeys(formula for formula, _, _ in known))
    chemistry = Chemistry(tuple(adducts), tuple(losses), version=version)
    ions, (database,) = make_ions([formulas], chemistry)
    found = [
        (formula, ions.modifiers[target], ions.modifiers[decoy])
        for formula, of_formula in zip(formulas, database.decoy_modifier, strict=True)
        for target, decoys in zip(database.modifier, of_formula, strict=True)
        for decoy in decoys
    ]
    assert len(found) >= 640
    assert sorted(found) == sorted(known)


def test_draw_decoys__are_no_targets_and_differ():
    ions, (database,) = make_ions([["CH4", "C2H6"]], Chemistry(("+Li", "+H")))
    for decoys in database.decoy_modifier.reshape(4, 20):
        names = {ions.modifiers[decoy] for decoy in decoys}
        assert len(names - {"+Li", "+H"}) == 20
    assert len(CANDIDATES.split()) == len(set(CANDIDATES.split())) == 80
    with pytest.raises(ValueError, match="81 decoys of 80"):
        draw_decoys(1, 1, 80, number=81)


@pytest.mark.parametrize(
    ("formula", "modifier", "expected"),
    [
        ("C6H12O6", "+H", "C6H13O6"),
        ("C6H12O6", "-H2O+Na", "C6H10O5Na"),
        ("C2H4", "-H2O+H", None),
        ("H", "-H", None),
        ("C6H12O6", "[M]+", "C6H12O6"),
        ("BrClC", "+Ag", "CAgBrCl"),
        ("C2H6", "-CO2+CO", None),
        ("C2H6O2", "-CO2+CO", "C2H6O"),
        ("C2Cx3H6", "+H", "C2H7Cx3"),
    ],
)
def test_make_ions__of_molecule_and_modifier(formula, modifier, expected):
    ions, (database,) = make_ions([[formula]], Chemistry((modifier,), n_decoys=1))
    ion = database.target[0, 0]
    assert (ions.get_name(ion) if ion >= 0 else None) == expected
    assert make_ion_formula(formula, modifier) == expected


MOLECULES = ["CH4", "C2H4", "CH3Na", "CH4O", "H2O", "C2H6O2", "NaCl", "KCl", "H"]
MODIFIERS = ["+H", "+Na", "-H", "+K", "-H2O+H", "-CO2+CO", "[M]+"]


@given(
    st.lists(st.lists(st.sampled_from(MOLECULES), unique=True), min_size=1, max_size=3),
    st.lists(st.sampled_from(MODIFIERS), min_size=1, unique=True),
)
def test_make_ions__gives_one_number_to_one_formula(databases, adducts):
    ions, found = make_ions(databases, Chemistry(tuple(adducts), n_decoys=2))
    names = [ions.get_name(ion) for ion in range(len(ions))]
    assert len(set(names)) == len(names)
    seen = set()
    for formulas, database in zip(databases, found, strict=True):
        for f, formula in enumerate(formulas):
            for t, adduct in enumerate(adducts):
                pairs = [(adduct, database.target[f, t])]
                decoys = [ions.modifiers[m] for m in database.decoy_modifier[f, t]]
                pairs += zip(decoys, database.decoy[f, t], strict=True)
                for modifier, ion in pairs:
                    expected = make_ion_formula(formula, modifier)
                    assert (names[ion] if ion >= 0 else None) == expected
                    seen.add(expected)
    assert seen - {None} == set(names)


@pytest.mark.parametrize("text", ["", "H", "+h", "+", "[M]", "+H(", "+H[M]", "--H"])
def test_parse_modifier__refuses(text):
    with pytest.raises(ValueError, match=r"expected|element|bracket"):
        parse_modifier(text)


def test_isotopes__are_the_known_ones():
    rows = csv.DictReader(KNOWN.with_name("elements.csv").read_text().splitlines())
    known = [(r["element"], float(r["mass"]), float(r["abundance"])) for r in rows]
    assert known == [(e, *isotope) for e, many in ISOTOPES.items() for isotope in many]
    assert not LABELS.keys() & ISOTOPES.keys()


@given(
    st.dictionaries(
        st.sampled_from(["C", "H", "N", "O", "P", "S", "Na", "Cl", "Br"]),
        st.integers(1, 300),
        min_size=1,
    )
)
def test_parse_formula__undoes_format_formula(counts):
    assert parse_formula(format_formula(counts)) == counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c6", "no element"),
        ("C(H2", "not closed"),
        ("C)2", "closes no"),
        ("2C", "an element before"),
    ],
)
def test_parse_formula__refuses(text, said):
    with pytest.raises(ValueError, match=said):
        parse_formula(text)


@given(st.text(max_size=12))
def test_parse_formula__survives_anything(text):
    message = ""
    try:
        parse_formula(text)
    except ValueError as error:
        message = str(error)
    assert "Traceback" not in message
