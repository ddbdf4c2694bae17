"""Genotypes of the MDR and GAMETES text table: one individual a row.

A header names the variants and the class; values are 0, 1, 2 or missing. Separated by
tabs, commas or blanks, compressed or not.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_blocks
from hpc_connector.loader.files import get_size
from hpc_connector.loader.genotypes.columns import make_variants
from hpc_connector.loader.genotypes.companions import NOBODY, read_people
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
)
from hpc_connector.loader.labels import CASE_NAMES, ID_NAMES
from hpc_connector.text import MARKS, decode_text

CLASS_NAMES = {*CASE_NAMES, "response", "y"}
GENOTYPES = {b"0": 0, b"1": 1, b"2": 2}
MISSING = {b"", b"NA", b"na", b"nan", b"NaN", b".", b"-9", b"-1"}
BLOCK_VARIANTS = 1024


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the header, the class and, if there is one, the id column."""
    header, rows = _read_rows(path)
    of_class = _find(header, CLASS_NAMES)
    if of_class is None:
        raise BadInput(f"{path} has no column Class: its last is {header[-1]!r}")
    ids = _find(header, set(ID_NAMES))
    named = None if ids is None else tuple(row[ids].decode() for row in rows)
    people = NOBODY
    if options.sample_file is not None:
        people = read_people(options.sample_file, len(rows), path)
    return SampleFile(
        path=path,
        format="table",
        n_individuals=len(rows),
        individuals=people.individuals or named,
        phenotypes=tuple(row[of_class].decode() for row in rows),
        families=people.families,
        n_bytes=get_size(path),
        options=options,
        assumed=people.assumed,
    )


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces."""
    header, rows = _read_rows(sample_file.path)
    apart = {_find(header, CLASS_NAMES), _find(header, set(ID_NAMES))}
    columns = [k for k in range(len(header)) if k not in apart]
    first = len(columns) * part // n_parts
    last = len(columns) * (part + 1) // n_parts
    for at in range(first, last, BLOCK_VARIANTS):
        chosen = columns[at : min(at + BLOCK_VARIANTS, last)]
        yield Block(
            _name([header[k] for k in chosen]),
            _convert(rows, chosen, header, sample_file.path),
        )


def _read_rows(path: str) -> tuple[list[str], list[list[bytes]]]:
    """Return the header and the fields of every row."""
    data = b"".join(block for _, block in read_blocks(path))
    if data.startswith(tuple(MARKS)):
        data = decode_text(data, path)[0].encode()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}, byte {error.start}: expected UTF-8 text") from None
    lines = [line for line in data.splitlines() if line.strip()]
    separator = next((s for s in (b"\t", b",") if lines and s in lines[0]), None)
    rows = [[v.strip(b' "') for v in line.split(separator)] for line in lines]
    if len(rows) < 2:
        raise BadInput(f"{path}: expected a header and an individual a row")
    header = [name.decode() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise BadInput(
                f"{path}: line {number} has {len(row)} fields, expected {len(header)}"
            )
    if rows[-1][-1] == b"" and not data.endswith(b"\n"):
        raise BadInput(f"{path} is cut: its last line has no end")
    return header, rows[1:]


def _find(header: list[str], names: set[str]) -> int | None:
    """Return the column of one of some names; only the first or the last may be it."""
    for column in (len(header) - 1, 0):
        if header[column].lower() in names:
            return column
    return None


def _name(names: list[str]) -> Variants:
    """Return variants that have a name alone."""
    return make_variants([(name, "0", 0, "2", "0") for name in names])


def _convert(
    rows: list[list[bytes]], columns: list[int], header: list[str], path: str
) -> NDArray[np.int8]:
    """Return some columns as genotypes, int8 (variants, individuals)."""
    code = GENOTYPES | dict.fromkeys(MISSING, -1)
    try:
        values = [[code[row[k]] for row in rows] for k in columns]
    except KeyError:
        number, k = next(
            (n, k)
            for n, row in enumerate(rows, 2)
            for k in columns
            if row[k] not in code
        )
        found = rows[number - 2][k].decode()
        raise BadInput(
            f"{path}: line {number}, column {header[k]}: {found!r}, "
            "expected 0, 1, 2 or NA"
        ) from None
    return np.array(values, np.int8).reshape(len(columns), len(rows))
