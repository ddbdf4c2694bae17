"""SDF: a structure and its data items a record, as ChEBI, LIPID MAPS and HMDB have it.

A record ends with ``$$$$``; an item is a line ``> <NAME>``, its lines, and an empty one
(BIOVIA, CTfile formats, 2020).
"""

import re
from collections.abc import Iterable, Iterator

from hpc_connector.errors import BadInput
from metabolite_annotation.databases.fields import (
    FORMULAS,
    KNOWN,
    make_molecule,
    simplify,
)
from metabolite_annotation.databases.molecules import Molecule
from metabolite_annotation.databases.streams import decode

END = re.compile(rb"^\$\$\$\$[^\n]*(?:\n|\Z)", re.MULTILINE)
ITEM = re.compile(
    rb"^>[^<\n]*<([^>\n]+)>[^\n]*\n(.*?)(?=\n[ \t]*\n|\n>|\Z)", re.M | re.S
)
CHARGES = re.compile(rb"^M  CHG *\d+((?: +\d+ +-?\d+)+)", re.MULTILINE)
MOST_BYTES = 1 << 25  # of a record: what has no end is no SDF


def read_sdf(path: str, blocks: Iterable[bytes]) -> Iterator[Molecule]:
    """Yield the molecules of an SDF file, which `path` names.

    Raises
    ------
    BadInput
        A record without its end.
    """
    for record in split_records(path, blocks):
        yield read_record(record)


def split_records(path: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the records of blocks."""
    rest = b""
    for block in blocks:
        rest += block.replace(b"\r", b"")
        first = 0
        for found in END.finditer(rest):
            if not found[0].endswith(b"\n"):
                break  # the line may go on in the next block
            yield rest[first : found.start()]
            first = found.end()
        rest = rest[first:]
        if len(rest) > MOST_BYTES:
            raise BadInput(f"{path} is no SDF: {len(rest):,} bytes without $$$$")
    if end := END.search(rest):
        yield rest[: end.start()]
    elif rest.strip():
        raise BadInput(f"{path} is cut: expected $$$$ at its end")


def read_record(record: bytes) -> Molecule:
    """Return the molecule of a record.

    Its charge is what an item says, else the sum of those of its atoms (``M  CHG``). Of
    several formulas, as ChEBI has had them, the first is taken.
    """
    structure, _, _ = record.partition(b"M  END")
    fields: dict[str, str] = {}
    for name, value in ITEM.findall(record):
        key = simplify(decode(name))
        if key in KNOWN:
            text = decode(value)
            fields[key] = text.split("\n")[0] if key in FORMULAS else text
    return make_molecule(fields, _sum_charges(structure))


def _sum_charges(structure: bytes) -> int:
    """Return the net charge of a structure of the version V2000."""
    pairs = (found[1].split() for found in CHARGES.finditer(structure))
    return sum(int(charge) for words in pairs for charge in words[1::2])
