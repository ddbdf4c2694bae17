"""The rows of the nodes of a run, as their agents or another sampler wrote them."""

import csv
import itertools
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.agent import COLUMNS

FOLDER = "telemetry"
FILE = "telemetry.parquet"
TEXTS = ("node", "source", "energy_source")
NUMBERS = ("time_s", "elapsed_s", "cpu_s", "energy_j")  # the rest are whole
NEEDED = ("time_s", "elapsed_s", "node", "rank", "cpu_s", "rss_bytes")
NODE_RANK = -1  # of the rows of a whole node
FUNCTIONS = "functions.csv"  # totals of calls, and no samples
STEP_S = 1.0  # by which the clock and the elapsed time may part

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
    folder = find_folder(directory)
    found_paths = (path for path in folder.glob("*.csv") if path.name != FUNCTIONS)
    paths = sorted(found_paths, key=lambda path: get_order(path.stem))
    found = [read_rows(path) for path in paths]
    if not paths and (folder / FILE).exists():
        found = [read_table(folder / FILE)]
    nodes = [node for one in found for node in split_nodes(one)]
    if not nodes:
        raise BadInput(
            f"{directory} holds no telemetry: expected {FOLDER}/NODE.csv in it, of a "
            "run with --telemetry"
        )
    return nodes


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
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            names = split_line(stream.readline().rstrip("\n"))
            check_columns(path, names)
            return [parse_row(line, names, needed) for line in stream if line != "\n"]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def read_table(path: Path) -> Rows:
    """Read the rows of a Parquet file, but for those of functions.

    Raises
    ------
    BadInput
        The file cannot be read, or has not the columns that are needed.
    """
    table = open_parquet(path)
    check_columns(path, table.column_names)
    kept = table.select([name for name in COLUMNS if name in table.column_names])
    rows = [row for row in kept.to_pylist() if row["rank"] >= NODE_RANK]
    return make_rows(path, [make_row(row) for row in rows])


def make_rows(path: Path, found: Sequence[Row | None]) -> Rows:
    """Return the rows of a file, with their attempts and clocks, and what is wrong."""
    rows = [row for row in found if row is not None]
    notes = []
    if n_lost := len(found) - len(rows):
        lost = f"{n_lost} of {len(found)} lines are cut or hold no sample"
        notes.append(f"{path}: {lost}; the rest is used")
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
    return next(csv.reader([line]), []) if '"' in line else line.split(",")


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
        try:
            return int(word)
        except ValueError:
            return int(float(word))
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return value


def check_columns(path: Path, found: Sequence[str]) -> None:
    """Refuse a table without the columns that are needed."""
    if missing := [name for name in NEEDED if name not in found]:
        raise BadInput(
            f"{path}: expected the columns {', '.join(NEEDED)}; there is no "
            f"{', '.join(missing)}"
        )


def open_parquet(path: Path) -> Any:
    """Return the table of a Parquet file.

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
        return pyarrow.parquet.read_table(path)
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
                notes.append(
                    f"{node}: the clock was set by {step_s:+.1f} s after "
                    f"{before['elapsed_s']:.1f} s; elapsed_s is not touched by that"
                )
    return notes


def read_totals(path: Path) -> dict[str, Any]:
    """Return what an agent wrote at its end, empty if it did not come to that."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def split(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return rows by the values of some columns."""
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        parts[tuple(row[name] for name in names)].append(row)
    return parts
