"""Sum formulas: element counts, as people write them, and the text that names an ion.

Atoms of one isotope are written in many ways, all of them read here: ``D``, ``T``,
``[13C]6`` (IUPAC), ``(13)C6`` (OpenMS), ``[13]C6`` (enviPat, Thermo), ``C[13]6``
(pyteomics), ``¹³C₆``, and METASPACE's ``Cx6``.
"""

import re
from collections.abc import Mapping

from hpc_connector.learner.annotation.elements import ISOTOPES, LABELS, name_label

FIRST_ELEMENTS = ("C", "H", "N", "O", "P", "S")
MOST_ATOMS = 99_999  # of an element
TOKEN = re.compile(
    r"""
    [\[(](?P<mass>\d+)(?P<of>[A-Z][a-z]?)(?P<times>\d*)[\])](?P<n>\d*)     # [13C]6
    | (?<![A-Za-z])[\[(](?P<mass2>\d+)[\])](?P<of2>[A-Z][a-z]?)(?P<n2>\d*) # (13)C6
    | (?P<of3>[A-Z][a-z]?)\[(?P<mass3>\d+)\](?P<n3>\d*)                    # C[13]6
    | (?P<element>[A-Z][a-z]?)(?P<count>\d*)
    | (?P<opened>[(\[{])
    | (?P<closed>[)\]}])(?P<group>\d*)
    """,
    re.VERBOSE,
)
ATOM = re.compile(r"([A-Z][a-z]?)(\d*)")
SIMPLE = re.compile(r"(?:[A-Z][a-z]?\d*)+")
SPACE = re.compile(r"[\s\u00ad\u200b\u2060\ufeff]*")
RAISED = re.compile(r"([⁰¹²³⁴⁵⁶⁷⁸⁹]+)(?=[A-Z])")
PLAIN_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "01234567890123456789")
SHORT = {"D": name_label(2, "H"), "T": name_label(3, "H")}
HINTS = {
    "+-−–⁺⁻": "expected a neutral molecule, without its charge",  # noqa: RUF001
    ".·•∙⋅*・": "expected one molecule, without its salt or water",
    "0123456789": "expected an element before its count ('[13C]' for an isotope)",
}


def read_formula(text: str) -> str:
    """Return a sum formula that is right: as it stands, or in plain letters and digits.

    Raises
    ------
    ValueError
        What is wrong with it.

    Examples
    --------
    >>> read_formula("C6H5D7O6"), read_formula("C₆ H₁₂ O₆")
    ('C6H5D7O6', 'C6H12O6')
    """
    text = text.strip()
    if not text or text == "NaN":
        raise ValueError("expected a sum formula")
    words = text.split()
    if len(words) > 1 and any(len(re.findall("[A-Z]", word)) > 1 for word in words):
        raise ValueError("expected one molecule, or spaces between all elements")
    counts = parse_formula(text.replace("=", ""))
    check_elements(counts)
    if not counts:
        raise ValueError("there is no atom in it")
    is_plain = text.isascii() and len(words) == 1
    return text if is_plain else format_formula(counts)


def check_elements(names: Mapping[str, int]) -> None:
    """Raise ValueError for what is no element, and no isotope of one."""
    for name in names:
        if name not in ISOTOPES and name not in LABELS:
            kind = "isotope that is known" if name.startswith("[") else "element"
            raise ValueError(f"{name.strip('[]')!r} is no {kind}")


def parse_formula(text: str) -> dict[str, int]:
    """Return the count of each element of a sum formula, groups in brackets included.

    Raises
    ------
    ValueError
        Something that is no element, a count of 0, or a bracket without its partner.

    Examples
    --------
    >>> parse_formula("Ca(OH)2"), parse_formula("[13C]2D4O")
    ({'Ca': 1, 'O': 2, 'H': 2}, {'Cx': 2, 'Hx': 4, 'O': 1})
    """
    counts = _read_simple(text) if SIMPLE.fullmatch(text) else _read_any(text)
    if max(counts.values(), default=0) > MOST_ATOMS:
        raise ValueError(f"expected at most {MOST_ATOMS} atoms of an element")
    return counts


def _read_simple(text: str) -> dict[str, int]:
    """Return the count of each element of a formula of elements and counts alone."""
    counts: dict[str, int] = {}
    for element, digits in ATOM.findall(text):
        name = SHORT.get(element, element)
        n = _read_count(digits, element) if digits else 1
        counts[name] = counts.get(name, 0) + n
    return counts


def _read_any(text: str) -> dict[str, int]:
    """Return the count of each element of a formula with brackets and isotopes."""
    text = RAISED.sub(lambda raised: f"[{raised[1]}]", text).translate(PLAIN_DIGITS)
    groups: list[dict[str, int]] = [{}]
    brackets: list[str] = []
    at = _skip_space(text, 0)
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise ValueError(_explain(text, at))
        if token["opened"]:
            groups.append({})
            brackets.append(")]}"["([{".index(token["opened"])])
        elif not token["closed"]:
            add_counts(groups[-1], _read_atoms(text, token))
        elif brackets and brackets.pop() == token["closed"]:
            times = _read_count(token["group"], "a bracket")
            if not groups[-1]:
                raise ValueError(f"there is no atom in the bracket before {at + 1}")
            add_counts(groups[-2], groups.pop(), times)
        else:
            raise ValueError(f"{token['closed']!r} at character {at + 1} closes none")
        at = _skip_space(text, token.end())
    if brackets:
        raise ValueError("a bracket is not closed")
    return groups[0]


def _skip_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at


def _explain(text: str, at: int) -> str:
    """Return the fault of a character that begins no part of a formula."""
    hints = (hint for signs, hint in HINTS.items() if text[at] in signs)
    hint = next(hints, "it is no element")
    return f"{text[at]!r} at character {at + 1}: {hint}"


def _read_count(digits: str, what: str) -> int:
    """Return a count, 1 where none is written; `what` is counted."""
    if len(digits) > len(str(MOST_ATOMS)):
        raise ValueError(f"expected at most {MOST_ATOMS} atoms of an element")
    count = int(digits or 1)
    if count == 0:
        raise ValueError(f"{what!r} is counted 0 times")
    return count


def _read_atoms(text: str, token: re.Match[str]) -> dict[str, int]:
    """Return the atoms of a token: of an element, or of one isotope of it."""
    if element := token["element"]:
        name = SHORT.get(element, element)
        return {name: _read_count(token["count"], element)}
    mass = token["mass"] or token["mass2"] or token["mass3"]
    element = token["of"] or token["of2"] or token["of3"]
    name = name_label(int(mass[:9]), element)
    if token["of3"] and (after := re.match("[A-Z][a-z]?", text[token.end() :])):
        other = name_label(int(mass[:9]), after[0])
        if not token["n3"] and other in LABELS:
            raise ValueError(
                f"'[{mass}]' may belong to {element} before or {after[0]} after it: "
                f"expected [{mass}{element}] or [{mass}{after[0]}]"
            )
    counts = (token[part] or "" for part in ("times", "n", "n2", "n3"))
    n = 1
    for digits in counts:
        n *= _read_count(digits, element)
    check_elements({name: n})
    return {name: n}


def add_counts(
    total: dict[str, int], counts: Mapping[str, int], times: int = 1
) -> None:
    """Add element counts to a total, in place."""
    for element, count in counts.items():
        total[element] = total.get(element, 0) + times * count


def format_formula(counts: Mapping[str, int]) -> str:
    """Return the text of element counts: C H N O P S, then the others by name."""
    others = sorted(counts.keys() - set(FIRST_ELEMENTS))
    return "".join(
        f"{element}{'' if counts[element] == 1 else counts[element]}"
        for element in (*FIRST_ELEMENTS, *others)
        if counts.get(element, 0) > 0
    )
