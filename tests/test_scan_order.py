"""In which order pixels were scanned, by imzML."""

from hpc_connector.loader.spectra.header import parse_header
from hpc_connector.loader.spectra.scan_order import get_scan_order


def read(*terms):
    """Return the order by the accessions of some parameters."""
    lines = [f'<cvParam accession="{term}"/>' for term in terms]
    text = f'<mzML><scanSettings id="a">{"".join(lines)}</scanSettings></mzML>'
    return get_scan_order(parse_header("x.imzML", text.encode()))


def test_get_scan_order__by_its_terms():
    terms = ("IMS:1000402", "IMS:1000412", "IMS:1000481", "IMS:1000493", "IMS:1000404")
    assert read(*terms) == {
        "scan_direction": "left_right",
        "scan_pattern": "random_access",
        "scan_type": "vertical_line",
        "line_scan_direction": "line_top_down",
    }
    assert read() == {}
