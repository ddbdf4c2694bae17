"""TSV of sources: LIPID MAPS has one, ChEBI's flat files are two that belong together.

``compounds.tsv`` of ChEBI has the names, ``chemical_data.tsv`` the formulas: one line a
compound since the release of 2025, before it one for each of formula, mass and charge.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping

from hpc_connector.errors import BadInput
from metabolite_annotation.databases.fields import (
    FORMULAS,
    IDS,
    make_molecule,
    read_charge,
    simplify,
    take,
)
from metabolite_annotation.databases.molecules import Molecule
from metabolite_annotation.databases.streams import split_lines

MERGED = "parentid"  # of compounds.tsv: the entry that took the place of this one
Fields = Mapping[str, str]
Formulas = dict[str, tuple[str, int | None]]


def name_columns(line: str) -> list[str]:
    """Return the simple names of the columns that a header line names."""
    return [simplify(name) for name in line.split("\t")]


def is_table(columns: Iterable[str]) -> bool:
    """Return whether columns have all of a database."""
    return bool({*IDS} & {*columns} and {*FORMULAS} & {*columns})


def is_compounds(columns: Iterable[str]) -> bool:
    """Return whether columns are those of ChEBI's ``compounds.tsv``."""
    return {"id", MERGED, "name"} <= {*columns}


def is_chemical_data(columns: Iterable[str]) -> bool:
    """Return whether columns are those of ChEBI's ``chemical_data.tsv``."""
    known = {*columns}
    return "compoundid" in known and ("formula" in known or "chemicaldata" in known)


def read_rows(path: str, blocks: Iterable[bytes]) -> Iterator[Fields]:
    """Yield the rows of a TSV file by simple names of columns.

    Quotes enclose fields, but in the old flat files of ChEBI, whose columns are in
    capitals.

    Raises
    ------
    BadInput
        A row with more or fewer fields than the header.
    """
    lines = split_lines(blocks)
    header = next(lines, "")
    columns = name_columns(header)
    is_old = header.isupper() and is_chemical_data(columns) | is_compounds(columns)
    reader = csv.reader(
        (f"{line}\n" for line in lines),
        "excel-tab",
        quoting=csv.QUOTE_NONE if is_old else csv.QUOTE_MINIMAL,
    )
    try:
        for row in reader:
            if len(row) != len(columns) and row:
                raise BadInput(
                    f"{path}, line {1 + reader.line_num}: {len(row)} fields, expected "
                    f"{len(columns)}"
                )
            yield dict(zip(columns, row, strict=bool(row)))
    except csv.Error as error:
        raise BadInput(f"{path}, line {1 + reader.line_num}: {error}") from None


def read_molecules(path: str, blocks: Iterable[bytes]) -> Iterator[Molecule]:
    """Yield the molecules of one table, as of LIPID MAPS."""
    for fields in read_rows(path, blocks):
        if fields:
            yield make_molecule(fields)


def read_chemical_data(path: str, blocks: Iterable[bytes]) -> Formulas:
    """Return formula and charge of ChEBI's compounds by their number, the first said.

    They are all in memory, for the two files have no common order.
    """
    found: Formulas = {}
    for fields in read_rows(path, blocks):
        number = fields.get("compoundid", "")
        formula, charge = found.get(number, ("", None))
        said, charge_said = _read_data(fields)
        if charge is None:
            charge = read_charge(charge_said)
        found[number] = formula or said, charge
    return found


def _read_data(fields: Fields) -> tuple[str, str]:
    """Return formula and charge of a row, the one there is in the old flat file."""
    if "chemicaldata" not in fields:
        return take(fields, FORMULAS), fields.get("charge", "")
    value, kind = fields["chemicaldata"].strip(), fields.get("type", "").strip()
    return value if kind == "FORMULA" else "", value if kind == "CHARGE" else ""


def read_compounds(
    path: str, blocks: Iterable[bytes], formulas: Formulas
) -> Iterator[Molecule]:
    """Yield the molecules of ChEBI's flat files."""
    for fields in read_rows(path, blocks):
        if not fields:
            continue
        formula, charge = formulas.get(fields["id"], ("", None))
        number = take(fields, ("chebiaccession",)) or f"CHEBI:{fields['id']}"
        name = take(fields, ("name", "asciiname"))
        is_merged = bool(take(fields, (MERGED,)))
        yield Molecule(number, name, formula, charge, is_merged)
