"""Molecules as sources have them, and why some are no row of a database.

A search adds an adduct to a neutral molecule of one sum formula. What has none, stands
for many molecules or bears a charge is left out, and counted by the reason.
"""

import re
from typing import NamedTuple

from hpc_connector.learner.annotation.formulas import read_formula

NO_ID = "without an id"
MERGED = "merged into another entry"
NO_FORMULA = "without a formula"
POLYMER = "polymers"
GENERIC = "with R groups or other placeholders"
MIXED = "of several parts, such as salts and hydrates"
CHARGED = "charged"
UNREAD = "with a formula that cannot be read"
REASONS = (NO_ID, MERGED, NO_FORMULA, POLYMER, GENERIC, MIXED, CHARGED, UNREAD)

NOTHING = ("", "-", "null", "none", "nan", "n/a", ".")
REPEATED = re.compile(r"[)\]]\d*[a-z]|(?<![A-Za-z])n(?![a-z])")  # (C5H8)n
PLACEHOLDER = re.compile(r"[RXZQA](?![a-z])|\*")  # of no element
SEPARATE = re.compile(r"[.·•]")
SIGN = re.compile(r"\(?\d*[+-]\d*\)?$")  # of a charge, behind a formula


class Molecule(NamedTuple):
    """An entry of a source, its texts as they stand there.

    Parameters
    ----------
    charge
        Net, in elementary charges; None where the source does not say.
    is_merged
        Whether another entry has taken its place.
    """

    id: str
    name: str
    formula: str
    charge: int | None = None
    is_merged: bool = False


class LeftOut(ValueError):
    """A molecule is no row of a database; the reason is one of :data:`REASONS`."""


def make_row(molecule: Molecule, *, with_charged: bool) -> tuple[str, str, str]:
    """Return id, name and formula for a database.

    A molecule without a name is called by its id.

    Raises
    ------
    LeftOut
        It is none.

    Examples
    --------
    >>> make_row(Molecule("CHEBI:15354", "choline", "C5H14NO", 1), with_charged=True)
    ('CHEBI:15354', 'choline', 'C5H14NO')
    """
    number, name, formula = (" ".join(text.split()) for text in molecule[:3])
    if not number:
        raise LeftOut(NO_ID)
    if molecule.is_merged:
        raise LeftOut(MERGED)
    plain = SIGN.sub("", formula)
    if reason := _find_reason(plain):
        raise LeftOut(reason)
    is_charged = bool(molecule.charge) or plain != formula
    if is_charged and not with_charged:
        raise LeftOut(CHARGED)
    try:
        return number, name or number, read_formula(plain)
    except ValueError:
        raise LeftOut(UNREAD) from None


def _find_reason(formula: str) -> str:
    """Return why a formula is not that of one molecule, nothing if it may be."""
    if formula.lower() in NOTHING:
        return NO_FORMULA
    found = ((POLYMER, REPEATED), (GENERIC, PLACEHOLDER), (MIXED, SEPARATE))
    return next((reason for reason, mark in found if mark.search(formula)), "")
