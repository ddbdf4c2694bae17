"""Sum formulas and adducts as people and other programs write them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import parse_formula, read_formula
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.modifiers import (
    drop_repeated,
    get_charge,
    make_modifiers,
    parse_modifier,
    read_adduct,
    read_modifier,
)
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids

GLUCOSE = {"C": 6, "H": 12, "O": 6}
OF_CARBON_13 = {"Cx": 6, "H": 12, "O": 6}


def get_mz(formula, adduct="+H", charge=1):
    """Return the m/z of the lightest peak of an ion."""
    ions, (found,) = make_ions([[formula]], Chemistry((adduct,), n_decoys=1))
    ion = found.target[0, 0]
    resolution = Resolution("Orbitrap", 0.000619, charge)
    return calculate_centroids(ions, resolution, ion, ion + 1)[0][0, 0]


@pytest.mark.parametrize(
    ("formula", "mz"),
    [  # monoisotopic [M+H]+ of molmass 2026.8.15
        ("C6H12O6", 181.070665),
        ("C6H5D7O6", 188.114602),
        ("[13C]6H12O6", 187.090794),
        ("C5[13C]H12O6", 182.074019),
        ("C2H5[15N]O2", 77.036340),
        ("C5H9[18O]2NO2", 152.068924),
    ],
)
def test_parse_formula__weighs_isotopes(formula, mz):
    assert get_mz(formula) == pytest.approx(mz, abs=3e-5)  # of an envelope


@pytest.mark.parametrize(
    ("formula", "mz"),
    [("T2O", 23.03429), ("C6H5[37Cl]", 115.01226), ("[14C]H4", 19.04182)],
)
def test_parse_formula__knows_every_isotope(formula, mz):
    assert get_mz(formula) == pytest.approx(mz, abs=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "[13C]6H12O6",
        "[13C6]H12O6",
        "(13C)6H12O6",
        "(13C6)H12O6",
        "(13)C6H12O6",  # OpenMS
        "[13]C6H12O6",  # enviPat
        "C[13]6H12O6",  # pyteomics
        "H12O6[13C]6",
        "[13C]6 H12 O6",
        "([13C]H2O)6",
        "\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT THREE}C6H12O6",
        "Cx6H12O6",  # METASPACE
    ],
)
def test_parse_formula__isotopes_as_they_are_written(text):
    assert parse_formula(text) == OF_CARBON_13


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C6H12O6", "C6H12O6"),
        (" C6H12O6 ", "C6H12O6"),
        ("C6 H12 O6", "C6H12O6"),
        ("C6\N{NO-BREAK SPACE}H12\N{NO-BREAK SPACE}O6", "C6H12O6"),
        ("C\N{SUBSCRIPT SIX}H\N{SUBSCRIPT ONE}\N{SUBSCRIPT TWO}O6", "C6H12O6"),
        ("C6H12O6\N{ZERO WIDTH SPACE}", "C6H12O6"),
        ("K4[Fe(CN)6]", "K4[Fe(CN)6]"),
        ("C6H5D7O6", "C6H5D7O6"),
    ],
)
def test_read_formula__keeps_what_is_plain(text, expected):
    assert read_formula(text) == expected
    assert parse_formula(read_formula(text)) == parse_formula(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a sum formula"),
        ("NaN", "expected a sum formula"),  # of pandas, not of sodium and nitrogen
        ("()", "no atom"),
        ("(())", "no atom"),
        ("(CH2)0", "0 times"),
        ("C0H4", "'C' is counted 0 times"),
        ("C6H5D0", "'D' is counted 0 times"),
        ("[13C]0H4", "0 times"),
        ("C6H7N.HCl", "without its salt or water"),
        ("C6H7N\N{MIDDLE DOT}HCl", "without its salt or water"),
        ("CuSO4*5H2O", "without its salt or water"),
        ("C6H12O6 H2O", "one molecule"),
        ("C5H12NO+", "without its charge"),
        ("[C5H12NO]+", "without its charge"),
        ("C2H3O2\N{MINUS SIGN}", "without its charge"),
        ("C2H3O2\N{SUPERSCRIPT MINUS}", "without its charge"),
        ("13C6H12O6", r"\[13C\]"),
        ("2H2O", "before its count"),
        ("[99C]H4", "no isotope"),
        ("CH[2]H3", r"expected \[2H\]"),
        ("C999999H2", "at most 99999"),
        ("C" + "9" * 5000, "at most 99999"),
        ("(C2H4O)n", "no element"),
        ("(CH3]2", "closes none"),
        ("CH3R", "no element"),
    ],
)
def test_read_formula__refuses(text, said):
    with pytest.raises(ValueError, match=said):
        read_formula(text)


@given(st.text("CHNOxD[]()0123 +.2", max_size=15))
def test_read_formula__gives_what_can_be_read_again(text):
    try:
        formula = read_formula(text)
    except ValueError:
        return
    counts = parse_formula(formula)
    assert counts == parse_formula(text.replace("=", ""))
    assert counts
    assert min(counts.values()) > 0


def test_calculate_centroids__too_many_isotopologues_are_bad_input():
    with pytest.raises(BadInput, match="expected a smaller molecule"):
        get_mz("Sn999")


@pytest.mark.parametrize(
    ("text", "modifier", "charge"),
    [
        ("+H", "+H", 1),
        ("M+H", "+H", 1),
        ("[M+H]+", "+H", 1),
        ("[M+H]1+", "+H", 1),
        ("[M+H]+1", "+H", 1),
        ("(M+H)+", "+H", 1),
        (" [M + H] + ", "+H", 1),
        ("M+H+", "+H", 1),
        ("[M+H]\N{SUPERSCRIPT PLUS SIGN}", "+H", 1),
        ("[M+H](+)", "+H", 1),
        ("[M+H]^+", "+H", 1),
        ("[M-H](-)", "-H", -1),
        ("+Cl-", "+Cl", -1),
        ("[M+Na]1+", "+Na", 1),
        ("+NH4", "+NH4", 1),
        ("\N{MINUS SIGN}H", "-H", -1),
        ("\N{EN DASH}H", "-H", -1),
        ("[M-H]-", "-H", -1),
        ("M-H-", "-H", -1),
        ("[M-H]+", "-H", 1),  # a hydride is lost
        ("[M+HCOO]-", "+HCOO", -1),
        ("+HCOO", "+HCOO", -1),
        ("[M+FA-H]-", "+CH2O2-H", -1),
        ("[M+OAc]-", "+C2H3O2", -1),
        ("[M+ACN+H]+", "+C2H3N+H", 1),
        ("[M+H-2H2O]+", "+H-2H2O", 1),
        ("+2Na-H", "+2Na-H", 1),
        ("+K-2H", "+K-2H", -1),
        ("[M]+", "[M]+", 1),
        ("M+", "[M]+", 1),
        ("[M]+.", "[M]+", 1),
        ("[M]+\N{BULLET}", "[M]+", 1),
        ("[M]-", "[M]-", -1),
        ("-H2O", "-H2O", 0),
        ("-CH3", "-CH3", None),
        ("+Fe", "+Fe", None),
    ],
)
def test_read_adduct__as_it_is_written(text, modifier, charge):
    adduct = read_adduct(text)
    assert (adduct.text, get_charge(adduct)) == (modifier, charge)
    assert isinstance(parse_modifier(adduct.text), list)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[M+2H]2+", "2 charges"),
        ("[M-2H]2-", "2 charges"),
        ("M+2H", "2 charges"),
        ("[M+2H]++", "2 charges"),
        ("[M-2H]--", "2 charges"),
        ("-H+", "an atom or its ion"),
        ("+H+Na", "2 charges"),
        ("[M+3H]+3", "3 charges"),
        ("[2M+H]+", "2 molecules"),
        ("2M+Na", "2 molecules"),
        ("[M+Ac]-", "C2H3O2 for acetate"),
        ("[M+H", "expected parts"),
        ("[M]", "expected parts"),
        ("M", "expected parts"),
        ("H", "expected parts"),
        ("", "expected parts"),
        ("+h", "expected parts"),
        ("+0H", "1 to 9"),
        ("+13C", "1 to 9"),
        ("+Xx", "no element"),
    ],
)
def test_read_adduct__refuses_by_name(text, said):
    with pytest.raises(ValueError, match=said):
        read_adduct(text)


@given(st.text("M[]()+-HNa2O.4 ", max_size=12))
def test_read_modifier__gives_what_can_be_parsed(text):
    try:
        modifier = read_modifier(text).text
    except ValueError:
        return
    assert isinstance(parse_modifier(modifier), list)


def test_read_adduct__gives_the_same_ions():
    assert get_mz("C6H12O6", read_adduct("[M+Na]+").text) == get_mz("C6H12O6", "+Na")
    two = get_mz("C6H12O6", read_adduct("[M-H+2Na]+").text)
    assert two == pytest.approx(225.034553, abs=3e-5)  # by hand: M + 2 Na - H - e


def test_drop_repeated__keeps_the_first():
    written = ["[M+H]+", "+H", "+HCOO", "[M+CHO2]-", "-H2O+H", "+H-H2O", "M+H", "+D"]
    kept = drop_repeated(read_modifier(text) for text in written)
    assert [adduct.text for adduct in kept] == ["+H", "+HCOO", "-H2O+H", "+D"]


def test_make_modifiers__of_one_ion_stand_once():
    pairs = make_modifiers(["-CO2"], ["-H2O", "-CO2"], ["+H", "-H2O+H"])
    names = [prefix + adduct for prefix, adduct in pairs]
    nets = [
        tuple(np.sum([part.get(e, 0) for part in parse_modifier(n)]) for e in "CHO")
        for n in names
    ]
    assert len(set(nets)) == len(nets)
    assert {"+H", "-H2O+H", "-CO2+H", "-CO2-CO2+H"} <= set(names)
