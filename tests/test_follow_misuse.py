"""Acquisitions that no file could hold: refused with the record, before any search."""

import json

import numpy as np
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquired.head import (
    KEY,
    Head,
    read_file_facts,
    read_head,
    write_head,
)
from hpc_connector.loader.spectra.acquired.points import Point, pack_point
from hpc_connector.streams.open import open_stream
from metabolite_annotation.follow.dataset import Growing
from metabolite_annotation.follow.pace import Pace
from metabolite_annotation.follow.receive import receive

HEAD = Head("small", "", "processed", np.dtype("<f8"), np.dtype("<f4"))
FILE = {
    "polarities": [],
    "instruments": [[], [], [], []],
    "form": "",
    "unread": "",
    "profile": [],
    "pixel_size_um": None,
    "scan_order": {},
    "assumed": [],
    "counted": {},
}


def make_value(**changed):
    return json.dumps(json.loads(write_head(HEAD)) | changed).encode()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "a\0b"}, "text without characters 0"),
        ({"name": "\ud800"}, "surrogates not allowed"),
        ({"file": {"form": "a\0b"}}, "text without characters 0"),
    ],
)
def test_read_head__refuses_text_that_no_file_holds(changed, said):
    with pytest.raises(BadInput, match=f"^here: expected the head.*{said}"):
        read_head(make_value(**changed), "here")


@pytest.mark.parametrize(
    "changed", [{"profile": [[0, 1e999]]}, {"counted": {"x": 1e999}}, {"profile": [[]]}]
)
def test_read_file_facts__refuses_what_is_no_number(changed):
    assert read_file_facts(read_head(make_value(file=FILE), "here"), "here")
    head = read_head(make_value(file=FILE | changed), "here")
    with pytest.raises(BadInput, match=r"^here: file of the head: cannot be read"):
        read_file_facts(head, "here")


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize(
    ("box", "last"), [(None, (999_999_999, 3)), ([1, 10**12], (2, 3))]
)
def test_receive__refuses_an_image_too_large_for_its_pixels(
    box, last, is_sealed, tmp_path
):
    places = [(1, 1), (2, 1), last]
    peaks = np.array([500.0]), np.array([1.0])
    points = [Point(k, *place, *peaks) for k, place in enumerate(places)]
    with open_stream((tmp_path / "stream").as_uri()) as stream:
        stream.create(1)
        stream.append(0, KEY, make_value(x=box, y=[1, 3] if box else None))
        stream.append_many(0, (pack_point(HEAD, point) for point in points))
        if is_sealed:
            stream.seal()
        growing = Growing(stream.url, tmp_path / "peaks.ibd")
        with pytest.raises(BadInput, match=r"record at 3:.* an image of \d{9,} x 3 "):
            receive(stream, growing, Pace(0.0))
