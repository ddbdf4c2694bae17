"""In which order the pixels of an imzML dataset were scanned, as its file says it."""

from xml.etree.ElementTree import Element

from hpc_connector.loader.spectra.header import list_params

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


def get_scan_order(root: Element) -> dict[str, str]:
    """Return how a dataset was scanned, by the imaging ontology, IMS.

    Returns
    -------
    A word for each of ``scan_direction``, ``scan_pattern``, ``scan_type`` and
    ``line_scan_direction`` that is said.
    """
    params = list_params(root, "scanSettings")
    return dict(filter(None, (ORDERS.get(p.get("accession", "")) for p in params)))
