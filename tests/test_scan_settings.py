"""How large pixels are and in which order they were scanned, by imzML."""

import pytest

from hpc_connector.loader.spectra.header import parse_header
from hpc_connector.loader.spectra.scan_settings import ScanSettings, get_scan_settings

X, Y = "IMS:1000046", "IMS:1000047"
MICRO = "UO:0000017"


def read(*params):
    """Return the settings of parameters: accession, value and unit."""
    lines = [
        f'<cvParam accession="{a}" value="{v}" unitAccession="{u}"/>'
        for a, v, u in params
    ]
    text = f'<mzML><scanSettings id="a">{"".join(lines)}</scanSettings></mzML>'
    return get_scan_settings(parse_header("x.imzML", text.encode()))


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ([(X, "100.0", MICRO), (Y, "50", MICRO)], (100, 50)),
        ([(X, "50", "")], (50, 50)),
        ([(X, "0.05", "UO:0000016"), (Y, "0.002", "UO:0000015")], (50, 20)),
        ([(X, "500", "UO:0000018"), (Y, "1e-5", "UO:0000008")], (0.5, 10)),
        ([(X, "50", MICRO), (X, "50.0", MICRO)], (50, 50)),
        ([(X, "50", MICRO), (X, "60", MICRO)], None),
        ([(Y, "50", MICRO)], None),
        ([(X, "2500", "UO:0010001")], None),  # square micrometres
        ([(X, "0", MICRO), (Y, "50", MICRO)], None),
        ([(X, "", MICRO)], None),
        ([(X, "nan", MICRO)], None),
        ([], None),
    ],
)
def test_get_scan_settings__is_in_micrometres(params, size):
    found = read(*params).pixel_size
    assert found == (size and pytest.approx(size))


def test_get_scan_settings__says_the_order():
    terms = ("IMS:1000402", "IMS:1000412", "IMS:1000481", "IMS:1000493", "IMS:1000404")
    assert read(*((term, "", "") for term in terms)).order == {
        "scan_direction": "left_right",
        "scan_pattern": "random_access",
        "scan_type": "vertical_line",
        "line_scan_direction": "line_top_down",
    }
    assert read() == ScanSettings()
