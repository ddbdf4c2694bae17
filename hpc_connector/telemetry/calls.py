"""The rows of functions: one for each call whose answer counts, beside those of ranks.

They are kept apart from the samples of nodes, for a call is a total and no sample, and
functions are not ranks: nothing here goes into utilisation or imbalance.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.run_record import CallsUse
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.records import (
    FOLDER,
    FUNCTIONS,
    Row,
    find_folder,
    read_lines,
)
from hpc_connector.telemetry.spool import Spool, get_quantile
from hpc_connector.telemetry.tables import UNKNOWN, Words, make_table, read_tables
from hpc_connector.telemetry.watch.agent import format_figure, open_rows
from hpc_connector.telemetry.watch.call import OF_PROCESS

logger = logging.getLogger(__name__)

NEEDED = ("elapsed_s", "rank", "cpu_s")


def append_call(out: Path, row: Row) -> None:
    """Add the row of a call to ``telemetry/functions.csv``; no run fails by it."""
    figures = [row.get(name) for name in COLUMNS]
    line = ",".join("" if f is None else clean(format_figure(f)) for f in figures)
    try:
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        file = open_rows(str(out / FOLDER / FUNCTIONS))
        try:
            os.write(file, f"{line}\n".encode(errors="replace"))
        finally:
            os.close(file)
    except OSError as error:
        logger.warning("a row of telemetry was lost: %s", error)


def clean(word: str) -> str:
    """Return text that does not end a cell or a line, whatever a function sent."""
    return " ".join(word.replace(",", " ").replace('"', "'").split())


def read_calls(directory: Path) -> list[Row]:
    """Return the rows of a run's functions; none where there were no functions.

    Lines that are cut are left out with a warning.

    Raises
    ------
    BadInput
        The file cannot be read, or begins with other columns.
    """
    path = find_folder(directory) / FUNCTIONS
    if not path.exists():
        return []
    found = read_lines(path, NEEDED)
    rows = [row for row in found if row is not None]
    if lost := len(found) - len(rows):
        logger.warning("%s: %d lines are cut, the rest is used", path, lost)
    return rows


def read_call_tables(directory: Path, words: Words) -> Iterator[np.ndarray]:
    """Yield what :func:`read_calls` returns, as tables of some thousands of rows."""
    path = find_folder(directory) / FUNCTIONS
    if not path.exists():
        return
    lost = 0
    for table, n_lines in read_tables(path, words, NEEDED):
        lost += n_lines - len(table)
        yield table
    if lost:
        logger.warning("%s: %d lines are cut, the rest is used", path, lost)


def summarise_calls(rows: Sequence[Row]) -> dict[str, CallsUse]:
    """Return the section "functions" of the telemetry of a run: the calls in short.

    Returns
    -------
    Empty without any call. Else their number; CPU and wall seconds of all; P50 and P90
    of the wall seconds of one; the greatest peak, and whose mark it is: of the call, or
    of its process so far.
    """
    words, calls = Words(), Calls()
    if rows:
        calls.add(make_table(rows, words), words)
    return calls.close()


class Calls:
    """What the calls so far have used.

    Parameters
    ----------
    folder
        Where a file is made, if one is needed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Begin without any."""
        self.wall = Spool("f8", folder)
        self.cpu_s = self.wall_s = 0.0
        self.peak_bytes: int | None = None
        self.source = ""

    def add(self, table: np.ndarray, words: Words) -> None:
        """Take up calls."""
        self.wall.add(table["elapsed_s"])
        self.wall_s = sum(table["elapsed_s"].tolist(), self.wall_s)
        self.cpu_s = sum(table["cpu_s"].tolist(), self.cpu_s)
        known = table[table["peak_bytes"] != UNKNOWN]
        if not len(known):
            return
        most = known[known["peak_bytes"].argmax()]
        if self.peak_bytes is None or most["peak_bytes"] > self.peak_bytes:
            self.peak_bytes = int(most["peak_bytes"])
            self.source = [*words, ""][most["source"]]

    def close(self) -> dict[str, CallsUse]:
        """Return the section of :func:`summarise_calls`, of the calls as they are."""
        if not self.wall.n:
            return {}
        p50_s, p90_s = (get_quantile(self.wall, share) for share in (0.5, 0.9))
        summary: Any = {
            "calls": self.wall.n,
            "cpu_s": round(self.cpu_s, 3),
            "wall_s": round(self.wall_s, 3),
            "wall_p50_s": round(p50_s, 3),
            "wall_p90_s": round(p90_s, 3),
        }
        self.wall.close()
        return {"functions": summary | say_peak(self.peak_bytes, self.source)}


def find_peak(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the greatest peak of some calls, and whose mark it is."""
    known = [row for row in rows if row["peak_bytes"] is not None]
    if not known:
        return {"peak_bytes": None, "peak_source": "none"}
    most = max(known, key=lambda row: row["peak_bytes"])
    return say_peak(most["peak_bytes"], str(most["source"]))


def say_peak(peak_bytes: int | None, source: str) -> dict[str, Any]:
    """Return a peak, and whose mark it is by the source of its row."""
    if peak_bytes is None:
        return {"peak_bytes": None, "peak_source": "none"}
    words = dict(word.partition("=")[::2] for word in source.split())
    return {"peak_bytes": peak_bytes, "peak_source": words.get("peak", OF_PROCESS)}
