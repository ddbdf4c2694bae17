"""What sources call the id, the name, the formula and the charge of a molecule.

Names of fields in SDF and of columns in TSV, in lower case and without what is no
letter or digit: ChEBI wrote ``ChEBI Name`` before its release of 2025 and since then
``ChEBI NAME``, LIPID MAPS ``LM_ID``, HMDB ``DATABASE_ID``. The first there is counts.
"""

from collections.abc import Iterable, Mapping

from metabolite_annotation.databases.molecules import Molecule

IDS = ("lmid", "chebiid", "chebiaccession", "hmdbid", "databaseid", "accession", "id")
NAMES = (
    *("name", "commonname", "chebiname", "genericname", "systematicname", "sysname"),
    *("abbreviation", "abbrev"),
)
FORMULAS = ("formula", "formulae", "chemicalformula")
CHARGES = ("charge", "formalcharge", "jchemformalcharge")
KNOWN = frozenset((*IDS, *NAMES, *FORMULAS, *CHARGES))
EMPTY = ("", "-", "null")  # ChEBI and LIPID MAPS write such where there is nothing


def simplify(name: str) -> str:
    """Return the name of a field as it stands here.

    Examples
    --------
    >>> simplify("ChEBI Name"), simplify("LM_ID")
    ('chebiname', 'lmid')
    """
    return "".join(filter(str.isalnum, name)).lower()


def make_molecule(fields: Mapping[str, str], charge: int | None = None) -> Molecule:
    """Return the molecule of some fields by simple name.

    Parameters
    ----------
    charge
        Where no field has it.
    """
    said = read_charge(take(fields, CHARGES))
    known = charge if said is None else said
    number, name, formula = (take(fields, names) for names in (IDS, NAMES, FORMULAS))
    return Molecule(number, name, formula, known)


def take(fields: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first field of some names that is not empty, nothing without any."""
    values = (fields.get(name, "").strip() for name in names)
    return next((value for value in values if value not in EMPTY), "")


def read_charge(text: str) -> int | None:
    """Return a charge, such as of ``-1``, ``+2`` and ``1.0``; None for no number."""
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        return None
