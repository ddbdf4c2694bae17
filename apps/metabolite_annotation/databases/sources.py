"""Which source a file is of, by its content, and its molecules."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from hpc_connector.errors import BadInput
from metabolite_annotation.databases import tables
from metabolite_annotation.databases.hmdb import read_hmdb
from metabolite_annotation.databases.molecules import Molecule
from metabolite_annotation.databases.sdf import read_sdf
from metabolite_annotation.databases.streams import decode, read_stream

HMDB, SDF, TABLE = "XML of HMDB", "SDF", "TSV"
COMPOUNDS, CHEMICAL_DATA = "compounds.tsv of ChEBI", "chemical_data.tsv of ChEBI"
READERS = {HMDB: read_hmdb, SDF: read_sdf, TABLE: tables.read_molecules}
SDF_MARKS = (b"$$$$", b"M  END", b"\n> <", b"V2000", b"V3000")


class Source(NamedTuple):
    """A file, what it is, and its content, which can be taken once."""

    path: str
    kind: str
    blocks: Iterator[bytes]


def read_sources(paths: Sequence[str]) -> Iterator[Molecule]:
    """Return the molecules of a file, or of the two flat files of ChEBI.

    Raises
    ------
    BadInput
        Files that cannot be read, of no known source, or that do not belong together.
    """
    sources = {source.kind: source for source in map(open_source, paths)}
    if len(paths) == 1 and (kind := next(iter(sources))) in READERS:
        source = sources[kind]
        return READERS[kind](source.path, source.blocks)
    if len(paths) == 2 and sources.keys() == {COMPOUNDS, CHEMICAL_DATA}:
        data, compounds = sources[CHEMICAL_DATA], sources[COMPOUNDS]
        formulas = tables.read_chemical_data(data.path, data.blocks)
        return tables.read_compounds(compounds.path, compounds.blocks, formulas)
    found = ", ".join(f"{one.path} ({kind})" for kind, one in sources.items())
    raise BadInput(
        "expected one file, or compounds.tsv and chemical_data.tsv of ChEBI, found "
        f"{found}"
    )


def open_source(path: str) -> Source:
    """Return a file with what it is.

    Raises
    ------
    BadInput
        It cannot be read, or is of no known source.
    """
    blocks = read_stream(path)
    head = next(blocks, b"")
    return Source(path, find_kind(path, head), chain([head], blocks))


def find_kind(path: str, head: bytes) -> str:
    """Return what a file is by its first block.

    Raises
    ------
    BadInput
        It is of no known source.
    """
    text = decode(head).lstrip()
    if text.startswith("<"):
        return HMDB
    columns = tables.name_columns(text.partition("\n")[0].rstrip("\r"))
    if tables.is_compounds(columns):
        return COMPOUNDS
    if tables.is_chemical_data(columns):
        return CHEMICAL_DATA
    if len(columns) > 1 and tables.is_table(columns):
        return TABLE
    if any(mark in head for mark in SDF_MARKS):
        return SDF
    found = f"found {text[:30]!r}" if text else "found nothing"
    raise BadInput(
        f"{path}: expected XML of HMDB, SDF, or TSV with columns of an id, a name and "
        f"a formula, {found}"
    )
