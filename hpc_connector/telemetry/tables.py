"""The rows of telemetry as arrays, some thousands at a time: no file is held whole.

Lines that are plain are read by pyarrow, where it is there; a piece with any that is
not is read line by line, as :func:`nodes.parse_row` does, which says what they mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.records import (
    MOST_WHOLE,
    NEEDED,
    NUMBERS,
    TEXTS,
    Row,
    make_row,
    open_lines,
    parse_row,
    read_batches,
)

PIECE = 1 << 18  # characters of a file that are looked at together
UNKNOWN = -MOST_WHOLE  # of whole numbers; NaN of others, NO_WORD of texts
NO_WORD = -1
KINDS = {name: "i4" if name in TEXTS else "i8" for name in COLUMNS}
KINDS |= dict.fromkeys(NUMBERS, "f8") | {"attempt": "i8", "clock_s": "f8"}
DTYPE = np.dtype(list(KINDS.items()))


class Words(dict[str, int]):
    """The texts of tables and their numbers there, in order of appearance."""

    def __missing__(self, word: str) -> int:
        """Give the next number to a text that is new."""
        self[word] = len(self)
        return self[word]


def read_tables(
    path: Path, words: Words, needed: Sequence[str] = NEEDED
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the rows of a file as arrays of ``DTYPE``, each with the lines it is from.

    There are fewer rows than lines where some are cut or lack a value. Attempts and
    clocks are not known here.

    Raises
    ------
    BadInput
        The file cannot be read, or has not the columns that are needed.
    """
    if path.suffix == ".parquet":
        for rows in read_batches(path):
            yield make_table(map(make_row, rows), words), len(rows)
        return
    with open_lines(path) as (names, stream):
        while lines := stream.readlines(PIECE):
            lines = [line for line in lines if line != "\n"]
            yield read_piece(lines, names, words, needed), len(lines)


def read_piece(
    lines: Sequence[str], names: Sequence[str], words: Words, needed: Sequence[str]
) -> np.ndarray:
    """Return the rows of some lines of a CSV file.

    Parameters
    ----------
    names
        Of the columns, in their order.
    words
        Texts by number, to which new ones are added.
    needed
        Columns in which a row must have a value.
    """
    text = "".join(lines)
    if is_plain(text) and len(set(names)) == len(names):
        table = read_plain(text.encode(), names, words, needed)
        if table is not None:
            return table
    return make_table((parse_row(line, names, needed) for line in lines), words)


def is_plain(text: str) -> bool:
    """Return whether pyarrow and Python cannot differ on what some lines mean."""
    is_odd = '"' in text or "0x" in text or "0X" in text
    return text.isascii() and text.endswith("\n") and not is_odd


def read_plain(
    data: bytes, names: Sequence[str], words: Words, needed: Sequence[str]
) -> np.ndarray | None:
    """Return the rows of lines that are plain; None if any is not, or lacks a value.

    Parameters
    ----------
    data
        Lines without quotes.
    names
        Of the columns, in their order.
    words
        Texts by number, to which new ones are added.
    needed
        Columns in which a row must have a value.
    """
    try:
        import pyarrow as pa
        from pyarrow import csv
    except ImportError:
        return None
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {"i4": text, "i8": pa.int64(), "f8": pa.float64()}
    known = [name for name in COLUMNS if name in names]
    options = csv.ConvertOptions(
        column_types={name: kinds[KINDS[name]] for name in known},
        include_columns=known,
        null_values=[""],
        strings_can_be_null=True,
    )
    try:
        found = csv.read_csv(
            pa.py_buffer(data),
            csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=list(names)
            ),
            csv.ParseOptions(quote_char=False),
            options,
            pa.system_memory_pool(),
        )
    except pa.ArrowInvalid:
        return None
    table = make_empty(len(found))
    for name in known:
        for column in found[name].chunks:
            table[name] = get_values(column, name, words)
    is_known = all(np.all(has_value(table, name)) for name in needed)
    is_finite = all(not np.isinf(table[name]).any() for name in NUMBERS)
    nulls = all(
        np.isnan(table[n]).sum() == found[n].null_count for n in NUMBERS if n in known
    )
    return table if is_known and is_finite and nulls else None


def get_values(column: Any, name: str, words: Words) -> np.ndarray:
    """Return a column of pyarrow as one of a table."""
    if name in TEXTS:
        places = [words[str(word)] for word in column.dictionary]
        numbers = np.array([*places, NO_WORD], np.int32)
        found: np.ndarray = numbers[get_numbers(column.indices, "i4", NO_WORD)]
        return found
    unknown = np.nan if name in NUMBERS else UNKNOWN
    return get_numbers(column, KINDS[name], unknown)


def get_numbers(column: Any, kind: str, unknown: float) -> np.ndarray:
    """Return the numbers of a column, by its memory: pyarrow would load pandas."""
    n, first = len(column), column.offset
    validity, data = column.buffers()
    values = np.frombuffer(data, kind, n + first)[first:]
    if validity is None or not column.null_count:
        return values
    bits = np.frombuffer(validity, np.uint8)
    known = np.unpackbits(bits, count=n + first, bitorder="little")[first:]
    return np.where(known, values, np.array(unknown, kind))


def make_empty(n: int) -> np.ndarray:
    """Return a table of which nothing is known."""
    table = np.empty(n, DTYPE)
    for name, kind in KINDS.items():
        table[name] = {"i4": NO_WORD, "i8": UNKNOWN, "f8": np.nan}[kind]
    return table


def make_table(rows: Iterable[Row | None], words: Words) -> np.ndarray:
    """Return rows as a table, without those that are None."""
    kept = [row for row in rows if row is not None]
    table = make_empty(len(kept))
    for name, kind in KINDS.items():
        values = [row.get(name) for row in kept]
        if kind == "i4":
            table[name] = [NO_WORD if v is None else words[v] for v in values]
        else:
            unknown = np.nan if kind == "f8" else UNKNOWN
            table[name] = [unknown if v is None else v for v in values]
    return table


def has_value(table: np.ndarray, name: str) -> NDArray[np.bool_]:
    """Return whether the values of a column are known, shape (n,)."""
    values: np.ndarray = table[name]
    if KINDS[name] == "f8":
        return np.asarray(~np.isnan(values))
    return np.asarray(values != (NO_WORD if name in TEXTS else UNKNOWN))
