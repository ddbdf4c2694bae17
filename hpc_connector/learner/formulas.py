"""Sum formulas: element counts, modifiers, and the text form that names an ion."""

import re
from collections.abc import Mapping, Sequence
from itertools import product

FIRST_ELEMENTS = ("C", "H", "N", "O", "P", "S")
TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)|(\()|\)(\d*)")
PART = re.compile(r"([+-])([^+-]+)")
NOTHING = re.compile(r"\[M\][+-]")
WHOLE = re.compile(r"(\[M\][+-]|[+-][^\[\]+-]+)+")


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


def parse_modifier(text: str) -> list[dict[str, int]]:
    """Return the element counts that each + and - part of a modifier adds, in order.

    `[M]+` and `[M]-` add nothing.

    Raises
    ------
    ValueError
        No part, or one that is no sum formula.

    Examples
    --------
    >>> parse_modifier("-H2O+Na")
    [{'H': -2, 'O': -1}, {'Na': 1}]
    """
    if WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r}: expected parts such as +Na, -H2O or [M]+")
    parts = PART.findall(NOTHING.sub("", text))
    return [
        {e: n if sign == "+" else -n for e, n in parse_formula(part).items()}
        for sign, part in parts
    ]


def format_formula(counts: Mapping[str, int]) -> str:
    """Return the text of element counts: C H N O P S, then the others by name."""
    others = sorted(counts.keys() - set(FIRST_ELEMENTS))
    return "".join(
        f"{element}{'' if counts[element] == 1 else counts[element]}"
        for element in (*FIRST_ELEMENTS, *others)
        if counts.get(element, 0) > 0
    )
