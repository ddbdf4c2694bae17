"""How the pixels of an imzML dataset were scanned: how large they are, in which order.

Terms of the imaging ontology, IMS; pixels are as long in x as in y where a file says
one length alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from hpc_connector.loader.spectra.header import list_params

PIXEL_SIZES = ("IMS:1000046", "IMS:1000047")  # in x and in y
MICROMETRES = {  # of a unit of the Unit Ontology
    "": 1.0,
    "UO:0000008": 1e6,
    "UO:0000015": 1e4,
    "UO:0000016": 1e3,
    "UO:0000017": 1.0,
    "UO:0000018": 1e-3,
}
ORDERS = {
    "IMS:1000400": ("scan_direction", "bottom_up"),
    "IMS:1000401": ("scan_direction", "top_down"),
    "IMS:1000402": ("scan_direction", "left_right"),
    "IMS:1000403": ("scan_direction", "right_left"),
    "IMS:1000410": ("scan_pattern", "meandering"),
    "IMS:1000411": ("scan_pattern", "one_way"),
    "IMS:1000412": ("scan_pattern", "random_access"),
    "IMS:1000480": ("scan_type", "horizontal_line"),
    "IMS:1000481": ("scan_type", "vertical_line"),
    "IMS:1000490": ("line_scan_direction", "line_right_left"),
    "IMS:1000491": ("line_scan_direction", "line_left_right"),
    "IMS:1000492": ("line_scan_direction", "line_bottom_up"),
    "IMS:1000493": ("line_scan_direction", "line_top_down"),
}


@dataclass(frozen=True)
class ScanSettings:
    """What a file says of its scan.

    ``pixel_size`` is in x and y, micrometres; None where the file does not say it, or
    more than one. ``order`` has a word for each of ``scan_direction``,
    ``scan_pattern``, ``scan_type`` and ``line_scan_direction`` that is said.
    """

    pixel_size: tuple[float, float] | None = None
    order: Mapping[str, str] = field(default_factory=dict)


def get_scan_settings(root: Element) -> ScanSettings:
    """Return the settings in the elements of a file."""
    params = list_params(root, "scanSettings")
    said = [ORDERS.get(param.get("accession", "")) for param in params]
    order = dict(filter(None, said))
    x, y = ({*_list_lengths(params, term)} for term in PIXEL_SIZES)
    y = y or set(x)
    size = (x.pop(), y.pop()) if len(x) == len(y) == 1 else None
    return ScanSettings(size, order)


def _list_lengths(params: list[Element], term: str) -> list[float]:
    """Return the lengths that parameters give, micrometres."""
    found = []
    for param in params:
        scale = MICROMETRES.get(param.get("unitAccession", "").strip(), math.nan)
        if param.get("accession") == term:
            found.append(_read_number(param.get("value", "")) * scale)
    return [length for length in found if 0 < length < math.inf]


def _read_number(text: str) -> float:
    """Return a number, NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
