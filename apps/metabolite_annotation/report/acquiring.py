"""How much of a dataset a page shows, while its spectra are still being acquired."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from hpc_connector.report.facts import format_duration
from hpc_connector.report.svg import draw_path, draw_rect, make_svg
from metabolite_annotation.report.run_file import AnnotationRun

LONGEST = 150  # side of the map, pixels of the page
MOST_CELLS = 75  # along it


class Acquiring(NamedTuple):
    """What a page says of an acquisition that goes on.

    Parameters
    ----------
    said
        How much is shown, in words.
    share
        Of the dataset, percent; None where it is not known how much comes.
    left
        When the rest will be there, in words; empty where that is not known.
    n
        Pixels that are shown.
    until
        When the last spectrum came, ISO 8601.
    due
        When the page may be another, ISO 8601.
    picture
        The places that have a spectrum, among all.
    """

    said: str
    share: float | None
    left: str
    n: int
    until: str
    due: str
    picture: Markup


def say_pixels(acquired: Mapping[str, Any]) -> str:
    """Return how much of a dataset a growing result shows.

    Examples
    --------
    >>> say_pixels({"pixels": 812, "of_pixels": 2184})
    'pixels 812 of 2184, not final'
    """
    whole = acquired.get("of_pixels")
    of = f" of {whole}" if whole else ""
    return f"pixels {acquired['pixels']}{of}, not final"


def get_acquiring(run: AnnotationRun) -> Acquiring | None:
    """Return what the page of a growing result says; None of any other."""
    told = run.get_part("acquired")
    if told.get("final") is not False:
        return None
    n, whole = told["pixels"], told.get("of_pixels")
    share = 100 * n / whole if whole else None
    left_s = estimate_left(told)
    left = "" if left_s is None else f"about {format_duration(round(left_s))} to go"
    finished = datetime.fromisoformat(run.record["finished"])
    due = (finished + timedelta(seconds=told["every_s"])).isoformat()
    said, picture = say_pixels(told), draw_map(run)
    return Acquiring(said, share, left, n, told["until"], due, picture)


def estimate_left(told: Mapping[str, Any]) -> float | None:
    """Return the seconds that the rest takes as the spectra have come so far."""
    n, whole = told["spectra"], told.get("of_spectra")
    since, until = (datetime.fromisoformat(told[name]) for name in ("since", "until"))
    took_s = (until - since).total_seconds()
    if not whole or n < 2 or took_s <= 0:
        return None
    return float(took_s / (n - 1) * (whole - n))


def draw_map(run: AnnotationRun) -> Markup:
    """Draw the places that have a spectrum, in the frame of all that are to come."""
    block = -(-max(run.width, run.height) // MOST_CELLS)
    width, height = -(-run.width // block), -(-run.height // block)
    there = np.zeros((height, width), bool)
    there[run.pixels["y"] // block, run.pixels["x"] // block] = True
    side = LONGEST / max(width, height)
    body = draw_rect(0, 0, width * side, height * side, "to-come")
    body += draw_path(list_runs(there, side), "there")
    label = "places with a spectrum"
    return make_svg(width * side, height * side, label, body, "acquired")


def list_runs(there: np.ndarray, side: float) -> str:
    """Return the path of rectangles around cells that are there, row by row.

    Parameters
    ----------
    there
        bool (rows, columns).
    side
        Of a cell, pixels of the page.
    """
    edges = np.diff(there.astype(np.int8), axis=1, prepend=0, append=0)
    row, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return "".join(
        f"M{a * side:.1f} {y * side:.1f}h{(b - a) * side:.1f}v{side:.1f}"
        f"H{a * side:.1f}z"
        for y, a, b in zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)
    )
