"""The rows of the nodes of a run, as their agents or another sampler wrote them."""

import contextlib
import csv
import itertools
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.columns import COLUMNS

FOLDER = "telemetry"
FILE = "telemetry.parquet"
TEXTS = ("node", "source", "energy_source")
NUMBERS = ("time_s", "elapsed_s", "cpu_s", "energy_j")  # the rest are whole
NEEDED = ("time_s", "elapsed_s", "node", "rank", "cpu_s", "rss_bytes")
NODE_RANK = -1  # of the rows of a whole node
FUNCTIONS = "functions.csv"  # totals of calls, and no samples
STEP_S = 1.0  # by which the clock and the elapsed time may part
MOST_WHOLE = 1 << 63  # whole numbers lie below it
MOST_NOTES = 100  # on the clock of one node; the others are counted
LONGEST_HEAD = 1 << 16  # characters of the line of names

Row = dict[str, Any]


class Rows(NamedTuple):
    """The rows of a node, in the order in which they were written.

    Parameters
    ----------
    rows
        The columns of the agent, None where a value is not known; "attempt": 1, 2, ...
        for each time the agent has started; "clock_s": Unix time by a clock that does
        not step within an attempt.
    totals
        What the agent wrote at its end; empty if it did not come to that.
    notes
        What is wrong with the file, though the rest was used.
    """

    node: str
    rows: list[Row]
    totals: dict[str, Any]
    notes: list[str]


def read_nodes(directory: Path) -> list[Rows]:
    """Return the rows of every node of a run.

    They are in a CSV file a node, or where there is none, in one Parquet file.

    Raises
    ------
    BadInput
        There are none, or columns are not there.
    """
    files = [read_file(path) for path in find_files(directory)]
    nodes = [node for one in files for node in split_nodes(one)]
    lost = [note for one in files if not one.rows for note in one.notes]
    if not nodes:
        raise BadInput(say_none(directory, lost))
    return [nodes[0]._replace(notes=lost + nodes[0].notes), *nodes[1:]]


def find_files(directory: Path) -> list[Path]:
    """Return the files of a run that hold rows, in the order of nodes.

    They are a CSV file a node, or where there is none, one Parquet file.
    """
    folder = find_folder(directory)
    paths = [path for path in folder.glob("*.csv") if path.name != FUNCTIONS]
    paths.sort(key=lambda path: get_order(path.stem))
    return paths or [path for path in [folder / FILE] if path.exists()]


def read_file(path: Path) -> Rows:
    """Return the rows of a CSV file, or of a Parquet file."""
    return read_table(path) if path.suffix == ".parquet" else read_rows(path)


def say_none(directory: Path, lost: Sequence[str]) -> str:
    """Say that a folder holds no row, by what is wrong with its files if there are."""
    return "; ".join(lost) or (
        f"{directory} holds no telemetry: expected {FOLDER}/NODE.csv in it, of a "
        "run with --telemetry"
    )


def say_lost(path: Path, n_lines: int, n_rows: int) -> list[str]:
    """Say how many lines of a file could not be used."""
    if not n_lines:
        return [f"{path}: there is no line behind that of the names of columns"]
    if n_lines == n_rows:
        return []
    lost = f"{n_lines - n_rows} of {n_lines} lines are cut or hold no sample"
    if n_rows:
        return [f"{path}: {lost}; the rest is used"]
    return [
        f"{path}: {lost}: none has a value for each name in the first line, with "
        "commas between, and points in numbers"
    ]


def find_folder(directory: Path) -> Path:
    """Return the folder of telemetry of a run, or that folder itself."""
    return directory / FOLDER if (directory / FOLDER).is_dir() else directory


def get_order(name: str) -> list[tuple[int, str]]:
    """Return by what names sort as people count: node2 is before node10.

    Examples
    --------
    >>> sorted(["node10", "node2"], key=get_order)
    ['node2', 'node10']
    """
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]


def read_rows(path: Path) -> Rows:
    """Read the rows of a CSV file; lines that are cut are left out, and said.

    Raises
    ------
    BadInput
        The file cannot be read, or has not the columns that are needed.
    """
    return make_rows(path, read_lines(path))


def read_lines(path: Path, needed: Sequence[str] = NEEDED) -> list[Row | None]:
    """Return the rows of a CSV file, None for lines that are cut or lack a value."""
    with open_lines(path) as (names, stream):
        return [parse_row(line, names, needed) for line in stream if line != "\n"]


@contextlib.contextmanager
def open_lines(path: Path) -> Iterator[tuple[list[str], TextIO]]:
    """Give the names of the columns of a CSV file, and the lines behind them."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            names = split_line(stream.readline(LONGEST_HEAD).rstrip("\n"))
            check_columns(path, names)
            yield names, stream
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def read_table(path: Path) -> Rows:
    """Read the rows of a Parquet file, but for those of functions.

    Raises
    ------
    BadInput
        The file cannot be read, or has not the columns that are needed.
    """
    found = [make_row(row) for rows in read_batches(path) for row in rows]
    return make_rows(path, found)


def read_batches(path: Path, n: int = 1 << 13) -> Iterator[list[Row]]:
    """Yield the rows of a Parquet file as they are there, some at a time.

    Those of functions are left out. See :func:`read_table` for what is raised.
    """
    with open_parquet(path) as file:
        check_columns(path, file.schema_arrow.names)
        kept = [name for name in COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(n, columns=kept):
            yield [row for row in batch.to_pylist() if not is_call(row["rank"])]


def is_call(rank: Any) -> bool:
    """Return whether the number of a row's rank is that of a function."""
    return isinstance(rank, int | float) and rank < NODE_RANK


def make_rows(path: Path, found: Sequence[Row | None]) -> Rows:
    """Return the rows of a file, with their attempts and clocks, and what is wrong."""
    rows = [row for row in found if row is not None]
    notes = say_lost(path, len(found), len(rows))
    for (node,), mine in split(rows, "node").items():
        number_attempts(mine)
        notes += find_clock_steps(node, mine)
    return Rows(path.stem, rows, read_totals(path.with_suffix(".json")), notes)


def split_nodes(file: Rows) -> list[Rows]:
    """Return the nodes of a file: one, unless another sampler wrote it."""
    nodes = split(file.rows, "node")
    if len(nodes) == 1:
        return [file._replace(node=node, rows=rows) for (node,), rows in nodes.items()]
    return [
        Rows(node, rows, {}, [] if k else file.notes)
        for k, ((node,), rows) in enumerate(nodes.items())
    ]


def split_line(line: str) -> list[str]:
    """Return the values of a line; a quote that is not closed ends with it."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # a value longer than any is
        return []


def parse_row(
    line: str, names: Sequence[str] = COLUMNS, needed: Sequence[str] = NEEDED
) -> Row | None:
    """Return the values of a line, None for one that is not whole."""
    words = split_line(line.rstrip("\n"))
    if not line.endswith("\n") or len(words) != len(names):
        return None
    return make_row(dict(zip(names, words, strict=True)), needed)


def make_row(values: dict[str, Any], needed: Sequence[str] = NEEDED) -> Row | None:
    """Return the columns of a row in their types, None if one that is needed is not.

    What is not known, or no column, is None.
    """
    try:
        row = {name: convert(name, values.get(name)) for name in COLUMNS}
    except (ValueError, OverflowError):
        return None
    return None if any(row[name] is None for name in needed) else row


def convert(name: str, word: Any) -> Any:
    """Return the value of a column; None where it was not known.

    Raises
    ------
    ValueError, OverflowError
        It is no number, or not finite.
    """
    if word is None or word == "":
        return None
    if name in TEXTS:
        return sys.intern(str(word))  # the same in every row
    if name not in NUMBERS:
        return convert_whole(name, word)
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return value


def convert_whole(name: str, word: Any) -> int:
    """Return a whole number of 64 bits; see :func:`convert` for what is raised."""
    try:
        value = int(word)
    except ValueError:
        value = int(float(word))
    if abs(value) >= MOST_WHOLE:
        raise OverflowError(f"{name} is {value}")
    return value


def check_columns(path: Path, found: Sequence[str]) -> None:
    """Refuse a table without the columns that are needed."""
    missing = [name for name in NEEDED if name not in found]
    if not missing:
        return
    lacks = f"; there is no {', '.join(missing)}"
    if len(found) == 1:  # with semicolons, say
        lacks = f" with commas between; the first line is {found[0]!r:.80}"
    raise BadInput(f"{path}: expected the columns {', '.join(NEEDED)}{lacks}")


@contextlib.contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Give a Parquet file.

    Raises
    ------
    BadInput
        There is no pyarrow, or the file cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput(
            f"{path}: expected pyarrow to be installed: pip install "
            "'hpc_connector[telemetry]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        raise BadInput(f"{path}: cannot be read as Parquet: {error}") from None


def number_attempts(rows: list[Row]) -> None:
    """Count how often the agent of a node has started, and give each row its clock.

    At a start the elapsed time begins again, and the clock says when that is.
    """
    attempt, last_s, start_s = 0, math.inf, 0.0
    for row in rows:
        if row["elapsed_s"] < last_s:
            attempt, start_s = attempt + 1, row["time_s"] - row["elapsed_s"]
        last_s = row["elapsed_s"]
        row |= {"attempt": attempt, "clock_s": start_s + last_s}


def find_clock_steps(node: str, rows: list[Row]) -> list[str]:
    """Say where the clock of a node was set while the agent ran."""
    notes = []
    for attempt in split(rows, "attempt").values():
        for before, now in itertools.pairwise(attempt):
            step_s = now["time_s"] - before["time_s"]
            step_s -= now["elapsed_s"] - before["elapsed_s"]
            if abs(step_s) > STEP_S:
                notes.append(say_clock_step(node, step_s, before["elapsed_s"]))
    return notes[:MOST_NOTES] + say_more_steps(node, len(notes))


def say_clock_step(node: str, step_s: float, elapsed_s: float) -> str:
    """Say that the clock of a node was set."""
    return (
        f"{node}: the clock was set by {step_s:+.1f} s after {elapsed_s:.1f} s; "
        "elapsed_s is not touched by that"
    )


def say_more_steps(node: str, n: int) -> list[str]:
    """Say how often the clock was set beyond what is told one by one."""
    more = n - MOST_NOTES
    return [f"{node}: the clock was set {more} times more"] if more > 0 else []


def read_totals(path: Path) -> dict[str, Any]:
    """Return the totals that an agent wrote at its end, empty without one.

    "ranks" is a list of objects, and "notes" one of texts, whatever else is there.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    ranks, notes = found.get("ranks"), found.get("notes")
    return found | {
        "ranks": [one for one in as_list(ranks) if isinstance(one, dict)],
        "notes": [one for one in as_list(notes) if isinstance(one, str)],
    }


def as_list(found: Any) -> list[Any]:
    """Return a list, empty where something else was found."""
    return found if isinstance(found, list) else []


def split(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return rows by the values of some columns."""
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        parts[tuple(row[name] for name in names)].append(row)
    return parts
