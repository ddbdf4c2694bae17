"""The size of a pixel as an imzML file gives it.

Pixel size x (IMS:1000046) and y (IMS:1000047) are lengths; without the latter, pixels
are square. The first was once called pixel area, and some exporters write an area
there: it is taken for one if its name or unit says so, or if the size of the image
(IMS:1000044, IMS:1000045) over the number of pixels (IMS:1000042, IMS:1000043) does.
"""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from hpc_connector.loader.spectra.header import list_params
from hpc_connector.notes import Assumption

COUNTS = ("IMS:1000042", "IMS:1000043")
EXTENTS = ("IMS:1000044", "IMS:1000045")
SIZES = ("IMS:1000046", "IMS:1000047")
MICROMETRES = {  # in a unit, by its accession or its name
    "UO:0000008": 1e6,
    "UO:0000015": 1e4,
    "UO:0000016": 1e3,
    "UO:0000017": 1.0,
    "UO:0000018": 1e-3,
    "meter": 1e6,
    "centimeter": 1e4,
    "millimeter": 1e3,
    "mm": 1e3,
    "micrometer": 1.0,
    "square micrometer": 1.0,  # of an area, see _is_area
    "micron": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "nanometer": 1e-3,
    "nm": 1e-3,
}
NEAR = 0.02  # relative, of sizes that are the same

Size = tuple[float, float]  # along x and y, micrometres


def get_pixel_size(
    path: str, root: Element
) -> tuple[Size | None, tuple[Assumption, ...]]:
    """Return the size of a pixel, None where it is not given or cannot be, and notes.

    Parameters
    ----------
    path
        For messages.
    root
        Of the file's header, see :mod:`hpc_connector.loader.spectra.header`.
    """
    params = list_params(root, "scanSettings") or list(root.iter("cvParam"))
    x, y = (_find_lengths(params, term) for term in SIZES)
    if len(set(x)) != 1 or len(set(y)) > 1:
        return None, ()
    if not y and _is_area(params, x[0]):
        side = math.sqrt(x[0])
        because = f"{path} gives {x[0]:g}, which is the area of a pixel"
        taken = f"{side:g} µm"
        return (side, side), (Assumption("pixel size", taken, because, "--pixel-size"),)
    return (x[0], y[0] if y else x[0]), ()


def _find_lengths(params: Sequence[Element], term: str) -> list[float]:
    """Return the values of a term that are lengths, micrometres."""
    found = [_read_length(p) for p in params if p.get("accession") == term]
    return [length for length in found if length is not None]


def _read_length(param: Element) -> float | None:
    """Return a length above 0, micrometres; None for what is none."""
    name = param.get("unitName", "").lower().removesuffix("s").replace("metre", "meter")
    given = [one for one in (param.get("unitAccession", ""), name) if one]
    known = [MICROMETRES[one] for one in given if one in MICROMETRES]
    unit = known[0] if known else None if given else 1.0
    try:
        length = float(param.get("value", "")) * (unit or 0)
    except ValueError:
        return None
    return length if 0 < length < math.inf else None


def _is_area(params: Sequence[Element], size: float) -> bool:
    """Return whether what should be a length is an area."""
    own = [p for p in params if p.get("accession") == SIZES[0]]
    words = " ".join(p.get("name", "") + " " + p.get("unitName", "") for p in own)
    if any(word in words.lower() for word in ("area", "square", "²")):
        return True
    sides = [_get_side(params, *terms) for terms in zip(EXTENTS, COUNTS, strict=True)]
    known = [side for side in sides if side is not None]
    return bool(known) and all(
        math.isclose(size, side * side, rel_tol=NEAR)
        and not math.isclose(size, side, rel_tol=NEAR)
        for side in known
    )


def _get_side(params: Sequence[Element], extent: str, count: str) -> float | None:
    """Return the length of a pixel by that of the image, micrometres."""
    lengths = _find_lengths(params, extent)
    counts = [p.get("value", "") for p in params if p.get("accession") == count]
    if len(set(lengths)) != 1 or len(set(counts)) != 1 or not counts[0].isdecimal():
        return None
    return lengths[0] / int(counts[0]) if int(counts[0]) else None
