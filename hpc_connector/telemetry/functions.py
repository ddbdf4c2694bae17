"""The rows of functions: one for each call whose answer counts, beside those of ranks.

They are kept apart from the samples of nodes, for a call is a total and no sample, and
functions are not ranks: nothing here goes into utilisation or imbalance.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.telemetry.agent import COLUMNS, format_figure, open_rows
from hpc_connector.telemetry.call import OF_PROCESS
from hpc_connector.telemetry.nodes import (
    FOLDER,
    FUNCTIONS,
    Row,
    find_folder,
    read_lines,
)

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
    return " ".join(word.replace(",", " ").split())


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


def summarise_calls(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the telemetry of a run has under "functions": the calls in short.

    Returns
    -------
    Empty without any call. Else their number; CPU and wall seconds of all; P50 and P90
    of the wall seconds of one; the greatest peak, and whose mark it is: of the call, or
    of its process so far.
    """
    if not rows:
        return {}
    wall_s = [row["elapsed_s"] for row in rows]
    p50_s, p90_s = np.quantile(wall_s, (0.5, 0.9))
    summary = {
        "calls": len(rows),
        "cpu_s": round(sum(row["cpu_s"] for row in rows), 3),
        "wall_s": round(sum(wall_s), 3),
        "wall_p50_s": round(float(p50_s), 3),
        "wall_p90_s": round(float(p90_s), 3),
    }
    return {"functions": summary | find_peak(rows)}


def find_peak(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the greatest peak of some calls, and whose mark it is."""
    known = [row for row in rows if row["peak_bytes"] is not None]
    if not known:
        return {"peak_bytes": None, "peak_source": "none"}
    most = max(known, key=lambda row: row["peak_bytes"])
    words = dict(word.partition("=")[::2] for word in str(most["source"]).split())
    return {
        "peak_bytes": most["peak_bytes"],
        "peak_source": words.get("peak", OF_PROCESS),
    }
