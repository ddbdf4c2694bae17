"""A picture of how an object would be cut: a row a slice, along the bytes of it."""

from collections.abc import Sequence

import numpy as np

from hpc_connector.report.axes import Frame, draw_ticks
from hpc_connector.report.svg import (
    draw_path,
    draw_rect,
    draw_text,
    make_picture,
    make_scale,
)
from hpc_connector.report.text import say_count, shorten
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.slices.formats.blocks import WITHIN

WIDTH, LEFT, RIGHT = 960, 70, 170  # pixels; margins of numbers and of sizes
TOP, BOTTOM, STRIP = 116, 46, 14
MOST_ROWS, LEAST_ROW, ROW = 2000, 3, 22
LABEL = 18  # pixels that a number needs
STEPS = (1, 2, 5, 10, 20, 50, 100)  # between numbers
UNITS = ("bytes", "KB", "MB", "GB", "TB")
STYLE = """.slice { fill: #2f6f9f; } .more { fill: #a9c6dc; }
.slice:hover, .more:hover { fill: #c25119; } .mark { stroke: #c8541b; }
"""


def draw_slices(co: CloudObject, slices: Sequence[DataSlice]) -> str:
    """Return a picture, SVG, of the slices of an object: where they are, and how large.

    A picture has at most 2,000 rows; of more slices the first ones are shown.
    """
    shown = slices[:MOST_ROWS]
    row = max(LEAST_ROW, min(ROW, 1200 // len(shown)))
    end = max(co.size, *(part.span[1] for part in shown))
    places = get_places(co)
    lift = 0 if len(places) else STRIP + 18  # no strip
    height = TOP + row * len(shown) + BOTTOM - lift
    body = draw_title(co, slices, len(shown))
    body += [f'<g transform="translate(0 {-lift})">']
    body += draw_places(places, end)
    has_more = any(a < b for part in shown for a, b in part.ranges[:-1])
    body += draw_axis(end, TOP + row * len(shown), has_more=has_more)
    body += [*draw_rows(shown, end, row), "</g>"]
    label = f"{len(slices)} slices of {co.source.uri}"
    return make_picture(WIDTH, height, label, "".join(body), STYLE)


def draw_title(co: CloudObject, slices: Sequence[DataSlice], n_shown: int) -> list[str]:
    """Return a line on object and index, and how even the slices."""
    sizes = [part.n_bytes for part in slices if part.n_bytes] or [0]
    n_empty = sum(part.n_bytes == 0 for part in slices)
    least, most = say_bytes(min(sizes)), say_bytes(max(sizes))
    even = f"of {least}" + (f" to {most}" if most != least else "")
    even += f", {n_empty:,} of them empty" if n_empty else ""
    even += f"; the first {n_shown:,} are shown" if n_shown < len(slices) else ""
    name = co.format.name.rpartition(":")[2]
    index = f"index {say_bytes(len(co.index_bytes))}"
    facts = f"{name}, {say_bytes(co.size)}, {index}"
    return [
        draw_text(16, 28, shorten(co.source.uri, 100), "title"),
        draw_text(16, 48, f"{facts}; {say_count(len(slices), 'slice')} {even}", "soft"),
    ]


def get_places(co: CloudObject) -> np.ndarray:
    """Return the bytes of the object where the index lets a reader enter, if it says.

    Points of gzip, blocks of bgzip where a record begins; text is cut anywhere.
    """
    arrays = co.index.arrays
    if "points" in arrays or "places" in arrays:
        return arrays["points" if "points" in arrays else "places"][:-1, 0]
    if "starts" in arrays and "first" in co.index.facts:
        return np.unique(arrays["starts"] >> np.uint64(WITHIN))
    return np.zeros(0, np.uint64)


def draw_places(places: np.ndarray, end: int) -> list[str]:
    """Return a strip with a mark at each place, and how many they are."""
    if not len(places):
        return []
    x = make_scale(0, end, LEFT, WIDTH - RIGHT)
    top = TOP - 26 - STRIP
    at = np.unique(np.round([x(float(place)) for place in places], 1))
    marks = "".join(f"M{a:g} {top}v{STRIP}" for a in at)
    said = f"{say_count(len(places), 'place')} to enter"
    return [
        draw_text(LEFT - 10, top + 11, "index", "end soft"),
        draw_path(marks, "mark", said),
        draw_text(WIDTH - 16, top + 11, said, "end soft"),
    ]


def draw_axis(end: int, bottom: float, *, has_more: bool) -> list[str]:
    """Return the bytes of the object below the rows, and lines through these."""
    power = get_power(end)
    frame = Frame(LEFT, TOP, WIDTH - RIGHT, bottom)
    ticks = draw_ticks(
        frame.make_x(0, end), (0, end), frame, unit=1000**power, has_grid=True
    )
    name = f"place in the object, {UNITS[power]}"
    name += "; pale: read besides, such as a header" if has_more else ""
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [ticks, draw_text(middle, bottom + 36, name, "middle soft")]


def draw_rows(slices: Sequence[DataSlice], end: int, row: int) -> list[str]:
    """Return a bar a slice, from its first byte to its last, and its size."""
    x = make_scale(0, end, LEFT, WIDTH - RIGHT)
    every = next((n for n in STEPS if n * row >= LABEL), STEPS[-1])
    parts = [
        draw_text(LEFT - 10, TOP - 8, "slice", "end soft"),
        draw_text(WIDTH - 16, TOP - 8, "bytes read", "end soft"),
    ]
    for number, part in enumerate(slices):
        (first, last), y = part.span, TOP + row * number
        title = f"slice {number}: bytes {first:,} to {last:,}, reads {part.n_bytes:,}"
        others = [("more", *pair) for pair in part.ranges[:-1] if part.n_bytes]
        for kind, first, last in [*others, ("slice", *part.span)]:
            if first < last:
                room = max(x(last) - x(first), 1)
                gap = row / 10
                place = x(first), y + gap, room, row - 2 * gap
                parts.append(draw_rect(*place, kind, title))
        if number % every == 0:
            base = y + row / 2 + 4
            parts.append(draw_text(LEFT - 10, base, f"{number}", "end soft"))
            size = f"{part.n_bytes:,}" if part.n_bytes else "empty"
            parts.append(draw_text(WIDTH - 16, base, size, "end"))
    return parts


def get_power(n_bytes: int) -> int:
    """Return the power of 1,000 to say a number of bytes in."""
    return min((len(str(n_bytes)) - 1) // 3, len(UNITS) - 1)


def say_bytes(n_bytes: int) -> str:
    """Return a number of bytes as people say it.

    Examples
    --------
    >>> say_bytes(999), say_bytes(1_234_567)
    ('999 bytes', '1.23 MB')
    """
    power = get_power(n_bytes)
    return f"{n_bytes / 1000**power:.3g} {UNITS[power]}"
