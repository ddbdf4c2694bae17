"""Modifiers: what a molecule gains and loses when it becomes an ion.

One modifier is parts such as ``-H2O+Na``, or ``[M]+`` and ``[M]-``, which add nothing.
People write adducts in many ways: ``[M+H]+``, ``M+H`` and ``+H`` are one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from hpc_connector.learner.annotation.formulas import (
    PLAIN_DIGITS,
    add_counts,
    check_elements,
    format_formula,
    parse_formula,
)

PART = re.compile(r"([+-])(\d*)([^\[\]+-]+)")
NOTHING = re.compile(r"\[M\][+-]")
WHOLE = re.compile(r"(\[M\][+-]|[+-]\d*[^\[\]+-]+)+")
WRITTEN = re.compile(
    r"(?P<open>[\[(]?)(?P<molecules>\d*)(?P<M>M?)"
    r"(?P<parts>(?:[+-]\d*[A-Z][^+-]*?)*)(?P<close>[\])]?)"
    r"(?P<charge>\d*[+-]\d*|\++|-+|\([+-]\))?"
)
PLUSES = "\uff0b\u207a\u208a"
MINUSES = "\u2212\u2013\u2010\u2011\u2012\ufe63\uff0d\u207b\u208b"
SIGNS = str.maketrans(dict.fromkeys(PLUSES, "+") | dict.fromkeys(MINUSES, "-"))
LEFT_OUT = re.compile(r"[\s.·•⋅*^\u200b\ufeff]")  # spaces, and the dot of a radical
ABBREVIATIONS = {
    "ACN": "C2H3N",
    "MeCN": "C2H3N",
    "FA": "CH2O2",
    "For": "CHO2",
    "HAc": "C2H4O2",
    "Hac": "C2H4O2",
    "HOAc": "C2H4O2",
    "AcOH": "C2H4O2",
    "OAc": "C2H3O2",
    "AcO": "C2H3O2",
    "MeOH": "CH4O",
    "EtOH": "C2H6O",
    "iPrOH": "C3H8O",
    "IsoProp": "C3H8O",
    "DMSO": "C2H6OS",
    "TFA": "C2HF3O2",
}
MULTIPLES = ("", *"123456789")
CATIONS = ("H", "Hx", "Li", "Na", "K", "Rb", "Cs", "Ag", "H4N")
ANIONS = ("F", "Cl", "Br", "I", "CHO2", "C2H3O2", "C2O2F3", "NO3", "HO", "HO4S", "CHO3")
MONOVALENT = ("H", "N", "P", "F", "Cl", "Br", "I", "Li", "Na", "K", "Rb", "Cs", "Ag")
EVEN = ("C", "O", "S", "Si", "Se")  # they leave the number of bonds even

Sum = tuple[tuple[str, int], ...]  # elements and their atoms, sorted


class Adduct(NamedTuple):
    """A modifier as it is computed with, and the charge it is written with, or 0."""

    text: str
    charge: int = 0


def read_adduct(text: str) -> Adduct:
    """Return a modifier that makes ions, however it is written.

    Raises
    ------
    ValueError
        What cannot be read, ions of several molecules or charges.

    Examples
    --------
    >>> read_adduct("[M+Na]1+"), read_adduct("M+H")
    (Adduct(text='+Na', charge=1), Adduct(text='+H', charge=0))
    """
    adduct = read_modifier(text)
    if abs(charge := get_charge(adduct) or 0) > 1:
        raise ValueError(f"{text!r} makes ions of {abs(charge)} charges: expected one")
    return adduct


def read_modifier(text: str) -> Adduct:
    """Return a modifier however it is written: ``-H2O``, ``M-H2O``, ``[M + H]+``.

    Raises
    ------
    ValueError
        What cannot be read, ions of several molecules or charges.
    """
    plain = LEFT_OUT.sub("", text.translate(PLAIN_DIGITS).translate(SIGNS))
    written = WRITTEN.fullmatch(plain)
    if written is None or written["open"] + written["close"] not in ("", "[]", "()"):
        raise ValueError(f"{text!r}: expected parts such as +Na, -H2O or [M]+")
    if written["molecules"] not in ("", "1"):
        n = written["molecules"]
        raise ValueError(f"{text!r} makes ions of {n} molecules: expected one")
    charge = _read_charge(text, written["charge"] or "")
    if not written["M"] and charge > 0 and written["parts"].startswith("-"):
        raise ValueError(f"{text!r} may lose an atom or its ion: expected [M...]+ or -")
    parts = [_read_part(*part) for part in PART.findall(written["parts"])]
    if written["M"] and charge and not parts:
        return Adduct("[M]+" if charge > 0 else "[M]-", charge)
    if not parts:
        raise ValueError(f"{text!r}: expected parts such as +Na, -H2O or [M]+")
    return Adduct("".join(parts), charge)


def _read_charge(text: str, written: str) -> int:
    """Return the charge that ends an adduct, 0 where there is none."""
    if not written:
        return 0
    digits = re.sub(r"\D", "", written)
    charge = int(digits[:9]) if digits else sum(map(written.count, "+-"))
    if charge != 1:
        raise ValueError(f"{text!r} makes ions of {charge} charges: expected one")
    return 1 if "+" in written else -1


def _read_part(sign: str, number: str, formula: str) -> str:
    """Return a part with its abbreviation written out.

    Raises
    ------
    ValueError
        It is no sum formula.
    """
    formula = ABBREVIATIONS.get(formula, formula)
    counts = parse_formula(formula)
    check_elements(counts)
    if "Ac" in counts:
        raise ValueError(f"'Ac' in {formula!r}: expected C2H3O2 for acetate")
    if number not in MULTIPLES:
        raise ValueError(f"'{sign}{number}{formula}': expected 1 to 9 of a part")
    is_plain = formula.isascii() and formula.isalnum()
    plain = formula if is_plain else format_formula(counts)
    return f"{sign}{number if number != '1' else ''}{plain}"


def get_charge(adduct: Adduct) -> int | None:
    """Return the charge of the ions an adduct makes, by what its parts are.

    What is written counts, as in ``[M-H]+``; else protons and metals of one charge are
    positive, halides and acids negative, and whole molecules neutral. None for a part
    that may be either.

    Examples
    --------
    >>> get_charge(Adduct("-H2O+H", 0)), get_charge(Adduct("+Cl", 0))
    (1, -1)
    """
    if adduct.charge:
        return adduct.charge
    total = 0
    for sign, number, formula in PART.findall(adduct.text):
        charge = _get_formal_charge(parse_formula(formula))
        if charge is None:
            return None
        total += (1 if sign == "+" else -1) * int(number or 1) * charge
    return total


def _get_formal_charge(counts: Mapping[str, int]) -> int | None:
    """Return the charge of what is gained or lost: 0 where all bonds can be made."""
    name = format_formula(counts)
    if name in CATIONS or name in ANIONS:
        return 1 if name in CATIONS else -1
    (first, n), *others = counts.items()
    if not others and first in CATIONS and first != "H":
        return n
    if name == "H2" or counts.keys() - {*MONOVALENT, *EVEN}:
        return None
    n_odd = sum(n for element, n in counts.items() if element in MONOVALENT)
    return None if n_odd % 2 else 0


def drop_repeated(adducts: Iterable[Adduct]) -> list[Adduct]:
    """Return adducts without those that add the same as one before."""
    known: dict[Sum, Adduct] = {}
    for adduct in adducts:
        known.setdefault(_get_sum(adduct.text), adduct)
    return list(known.values())


def _get_sum(modifier: str) -> Sum:
    """Return the atoms that a modifier adds in all, in an order of its own."""
    total: dict[str, int] = {}
    for part in parse_modifier(modifier) if modifier else ():
        add_counts(total, part)
    return tuple(sorted((element, n) for element, n in total.items() if n))


def make_modifiers(
    chem_mods: Sequence[str], neutral_losses: Sequence[str], adducts: Sequence[str]
) -> list[tuple[str, str]]:
    """Return prefix (chemical modification, neutral loss) and adduct of each modifier.

    Nested in this order, each of the first two also left out; those that add the same
    stand once.

    Examples
    --------
    >>> make_modifiers([], ["-H2O"], ["+H", "+Na"])
    [('', '+H'), ('', '+Na'), ('-H2O', '+H'), ('-H2O', '+Na')]
    """
    parts = product(["", *chem_mods], ["", *neutral_losses], adducts)
    known: dict[Sum, tuple[str, str]] = {}
    for chem_mod, loss, adduct in parts:
        prefix = chem_mod + loss
        known.setdefault(_get_sum(prefix + adduct), (prefix, adduct))
    return list(known.values())


def parse_modifier(text: str) -> list[dict[str, int]]:
    """Return the element counts that each + and - part of a modifier adds, in order.

    `[M]+` and `[M]-` add nothing.

    Raises
    ------
    ValueError
        No part, or one that is no sum formula.

    Examples
    --------
    >>> parse_modifier("-H2O+2Na")
    [{'H': -2, 'O': -1}, {'Na': 2}]
    """
    if WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r}: expected parts such as +Na, -H2O or [M]+")
    steps = []
    for sign, number, formula in PART.findall(NOTHING.sub("", text)):
        step: dict[str, int] = {}
        times = int(number or 1) * (1 if sign == "+" else -1)
        add_counts(step, parse_formula(formula), times)
        steps.append(step)
    return steps
