"""Sum formulas: element counts, modifiers, and the text form that names an ion."""

import re
from collections.abc import Mapping, Sequence
from itertools import product

FIRST_ELEMENTS = ("C", "H", "N", "O", "P", "S")
TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)|(\()|\)(\d*)")
PART = re.compile(r"([+-])([^+-]+)")


def parse_formula(text: str) -> dict[str, int]:
    """Return the count of each element of a sum formula, groups in brackets included.

    Raises
    ------
    ValueError
        Something that is no element, or a bracket without its partner.

    Examples
    --------
    >>> parse_formula("Ca(OH)2")
    {'Ca': 1, 'O': 2, 'H': 2}
    """
    groups: list[dict[str, int]] = [{}]
    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"{text[at]!r} at character {at + 1} is no element")
        element, count, opened, times = token.groups()
        if element:
            add_counts(groups[-1], {element: int(count or 1)})
        elif opened:
            groups.append({})
        elif len(groups) > 1:
            add_counts(groups[-2], groups.pop(), int(times or 1))
        else:
            raise ValueError(f"')' at character {at + 1} closes no bracket")
        at = token.end()
    if len(groups) > 1:
        raise ValueError("a bracket is not closed")
    return groups[0]


def add_counts(
    total: dict[str, int], counts: Mapping[str, int], times: int = 1
) -> None:
    """Add element counts to a total, in place."""
    for element, count in counts.items():
        total[element] = total.get(element, 0) + times * count


def make_modifiers(
    chem_mods: Sequence[str], neutral_losses: Sequence[str], adducts: Sequence[str]
) -> list[tuple[str, str]]:
    """Return prefix (chemical modification, neutral loss) and adduct of each modifier.

    Nested in this order, each of the first two also left out.

    Examples
    --------
    >>> make_modifiers([], ["-H2O"], ["+H", "+Na"])
    [('', '+H'), ('', '+Na'), ('-H2O', '+H'), ('-H2O', '+Na')]
    """
    parts = product(["", *chem_mods], ["", *neutral_losses], adducts)
    return [(chem_mod + loss, adduct) for chem_mod, loss, adduct in parts]


def make_ion_formula(formula: str, modifier: str) -> str | None:
    """Return the formula of an ion: a molecule and every + and - part in order.

    `[M]+` and `[M]-` add nothing.

    Returns
    -------
    None where an element runs short or nothing is left: there is no such ion.

    Examples
    --------
    >>> make_ion_formula("C6H12O6", "-H2O+Na")
    'C6H10O5Na'
    """
    counts = parse_formula(formula.replace(".", "").replace("=", ""))
    for sign, part in PART.findall(re.sub(r"\[M\][+-]", "", modifier)):
        add_counts(counts, parse_formula(part), 1 if sign == "+" else -1)
        if min(counts.values()) < 0:
            return None
    return format_formula(counts) or None


def format_formula(counts: Mapping[str, int]) -> str:
    """Return the text of element counts: C H N O P S, then the others by name."""
    others = sorted(counts.keys() - set(FIRST_ELEMENTS))
    return "".join(
        f"{element}{'' if counts[element] == 1 else counts[element]}"
        for element in (*FIRST_ELEMENTS, *others)
        if counts.get(element, 0) > 0
    )
