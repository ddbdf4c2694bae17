"""Samples of a run as the agent wrote them: CSV a node, or one Parquet file."""

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.telemetry import functions

logger = logging.getLogger(__name__)

FOLDER = "telemetry"
USED = ("time_s", "elapsed_s", "node", "rank", "cpu_s", "rss_bytes")
PEAK = "peak_bytes"  # may be missing
NODE_RANK = -1  # of the samples of a whole node


@dataclass(frozen=True)
class Samples:
    """What one rank, or one whole node, had used at each sample, in order of time.

    Parameters
    ----------
    clock_s
        Unix time by a clock that does not step, shape (n,).
    cpu_s
        A counter; it may start again from 0, shape (n,).
    memory_bytes
        Resident; of a rank the kernel's high-water mark where that rose since the last
        sample, for the peak was then reached in between. Shape (n,).
    """

    node: str
    rank: int
    clock_s: np.ndarray
    cpu_s: np.ndarray
    memory_bytes: np.ndarray


def read_samples(directory: Path) -> list[Samples]:
    """Return the samples of a run, of each rank and each node.

    A line that was cut, as a killed node leaves it, is left out with a warning.

    Raises
    ------
    BadInput
        No telemetry, columns that are not there, or a clock that steps back.
    """
    folder = directory / FOLDER if (directory / FOLDER).is_dir() else directory
    parquet, paths = folder / "telemetry.parquet", sorted(folder.glob("*.csv"))
    paths = [path for path in paths if path.name != functions.FILE]
    if parquet.exists() and not any(is_newer(path, parquet) for path in paths):
        paths = [parquet]  # else the run has gone on since
    if not paths:
        raise BadInput(
            f"{directory} has no telemetry: expected {FOLDER}/NODE.csv in it, of a run "
            "with --telemetry"
        )
    read = read_parquet if paths == [parquet] else read_csv
    return [s for path in paths for s in split_samples(path, read(path))]


def is_newer(path: Path, other: Path) -> bool:
    """Return whether a file was written after another."""
    return path.stat().st_mtime_ns > other.stat().st_mtime_ns


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a CSV file that are used."""
    try:
        with open(path, newline="") as stream:
            header, *lines = list(csv.reader(stream)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV: {error}") from None
    check_columns(path, header)
    last_is_cut = bool(lines) and not ends_in_newline(path)
    whole = [
        line for line in lines[: len(lines) - last_is_cut] if _is_whole(line, header)
    ]
    if lost := len(lines) - len(whole):
        logger.warning(
            "%s: %d of %d lines are cut or hold no sample; the rest is used",
            path,
            lost,
            len(lines),
        )
    columns = {n: [line[header.index(n)] for line in whole] for n in get_used(header)}
    return {name: make_column(name, column) for name, column in columns.items()}


def get_used(names: Sequence[str]) -> list[str]:
    """Return the columns that are used, of those that there are."""
    return [*USED, PEAK] if PEAK in names else [*USED]


def ends_in_newline(path: Path) -> bool:
    """Return whether the last line of a file is whole."""
    with open(path, "rb") as stream:
        stream.seek(-1, 2)
        return stream.read() == b"\n"


def _is_whole(line: list[str], header: list[str]) -> bool:
    """Return whether a line holds a sample."""
    if len(line) != len(header):
        return False
    try:
        numbers = [float(line[header.index(name)]) for name in USED if name != "node"]
    except ValueError:
        return False
    return bool(np.isfinite(numbers).all())


def make_column(name: str, words: Any) -> np.ndarray:
    """Return a column in its type."""
    if name == "node":
        return np.asarray(words, str)
    if name == PEAK:
        words = [word or "nan" for word in words]  # not every kernel tells it
    return np.asarray(words, float).astype(int if name == "rank" else float)


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a Parquet file that are used."""
    table = open_parquet(path)
    check_columns(path, table.column_names)
    names = get_used(table.column_names)
    columns = {name: make_column(name, np.asarray(table[name])) for name in names}
    is_whole = ~np.isnan(columns["cpu_s"] + columns["rss_bytes"])
    is_whole &= columns["rank"] >= NODE_RANK  # those of functions are totals
    return {name: column[is_whole] for name, column in columns.items()}


def open_parquet(path: Path) -> Any:
    """Return the table of a Parquet file."""
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


def check_columns(path: Path, found: list[str]) -> None:
    """Refuse a table without the columns that are used."""
    if missing := [name for name in USED if name not in found]:
        raise BadInput(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(USED)}"
        )


def split_samples(path: Path, table: dict[str, np.ndarray]) -> Iterator[Samples]:
    """Yield the samples of each rank of each node."""
    for node in np.unique(table["node"]):
        for rank in np.unique(table["rank"][table["node"] == node]):
            chosen = (table["node"] == node) & (table["rank"] == rank)
            mine = {name: column[chosen] for name, column in table.items()}
            clock_s = make_clock(mine["time_s"], mine["elapsed_s"], f"{path}, {node}")
            memory = mine["rss_bytes"]
            if rank >= 0 and PEAK in mine:
                memory = raise_to_peak(memory, mine[PEAK])
            yield Samples(str(node), int(rank), clock_s, mine["cpu_s"], memory)


def raise_to_peak(rss_bytes: np.ndarray, peak_bytes: np.ndarray) -> np.ndarray:
    """Return the most memory since the last sample, as far as the kernel tells.

    Examples
    --------
    >>> raise_to_peak(np.array([5.0, 6.0, 5.0]), np.array([5.0, 9.0, 9.0])).tolist()
    [5.0, 9.0, 5.0]
    """
    has_risen = np.diff(peak_bytes, prepend=np.inf) > 0
    return np.where(has_risen, np.maximum(rss_bytes, peak_bytes), rss_bytes)


def make_clock(time_s: np.ndarray, elapsed_s: np.ndarray, where: str) -> np.ndarray:
    """Return the Unix time of samples by the clock that does not step, shape (n,).

    Where `elapsed_s` starts again, a job was queued again; `time_s` says when.

    Raises
    ------
    BadInput
        Both clocks step back.
    """
    begins = np.flatnonzero(np.diff(elapsed_s, prepend=np.inf) < 0)
    offset = np.repeat((time_s - elapsed_s)[begins], np.diff([*begins, len(time_s)]))
    clock_s = elapsed_s + offset
    if len(back := np.flatnonzero(np.diff(clock_s) < 0)):
        k = int(back[0]) + 1
        raise BadInput(
            f"{where}: the clock steps back by {clock_s[k - 1] - clock_s[k]:.3f} s at "
            f"sample {k + 1}: expected samples in order of time"
        )
    return clock_s
