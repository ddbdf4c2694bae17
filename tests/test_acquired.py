"""Spectra as records of a stream, and datasets replayed as an instrument would."""

import json
from types import SimpleNamespace

import numpy as np
import numpy.testing as npt
import pytest

from acquisitions import make_records
from hpc_connector.commands.main import main
from hpc_connector.commands.streams import from_imzml
from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquired.head import (
    FileFacts,
    Head,
    read_file_facts,
    read_head,
    write_head,
)
from hpc_connector.loader.spectra.acquired.points import (
    Point,
    pack_point,
    unpack_point,
)
from hpc_connector.loader.spectra.acquired.replay import make_head
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.streams.open import open_stream
from imzml import write_imzml

SPECTRA = [
    (3, 7, [100.0, 200.5, 300.0], [5, 0, 7]),
    (4, 7, [100.0], [9]),
    (3, 8, [], []),
]
HEAD = Head("a", "", "processed", np.dtype("<f8"), np.dtype("<f4"))


@pytest.fixture
def dataset(tmp_path):
    """Return a dataset of three spectra."""
    write_imzml(tmp_path / "a.imzML", SPECTRA, with_tic=True)
    return tmp_path / "a.imzML"


def read_all(url):
    with open_stream(url) as stream:
        records = stream.read(0, most_records=100)
        return [(r.key, r.value) for r in records], stream.is_sealed(0)


@pytest.mark.parametrize("mz_type", ["f4", "f8"])
@pytest.mark.parametrize("mode", ["continuous", "processed"])
@pytest.mark.parametrize("is_zlib", [True, False])
def test_records__have_every_peak_as_it_is_stored(tmp_path, mz_type, mode, is_zlib):
    spectra = SPECTRA[:1] * 2 if mode == "continuous" else SPECTRA
    given = {"mode": mode, "mz_type": mz_type, "intensity_type": "i4"}
    write_imzml(tmp_path / "a.imzML", spectra, is_zlib=is_zlib, **given)
    (_, value), *records = make_records(tmp_path / "a.imzML")
    head = read_head(value, "here")
    assert (head.mode, head.n_spectra, head.mz_dtype.str) == (
        mode,
        len(spectra),
        f"<{mz_type}",
    )
    for k, ((x, y, mz, intensity), record) in enumerate(
        zip(spectra, records, strict=True)
    ):
        point = unpack_point(head, *record, "here")
        assert point[:3] == (k, x, y)
        npt.assert_array_equal(point.mz, np.array(mz, f"<{mz_type}"))
        npt.assert_array_equal(point.intensity, np.array(intensity, "<i4"))


def test_record__is_as_the_specification_says():
    mz, intensity = np.array([1.0, 2.0]), np.array([3.0, 4.0], "f4")
    key, value = pack_point(HEAD, Point(812, 5, 6, mz, intensity))
    assert key == b"5,6"
    assert value == (
        (812).to_bytes(4, "little")
        + (2).to_bytes(4, "little")
        + mz.astype("<f8").tobytes()
        + intensity.astype("<f4").tobytes()
    )


def test_head__keeps_what_a_file_says(dataset):
    imzml = read_imzml(str(dataset))
    head = make_head(imzml, "a")
    found = read_head(write_head(head), "here")
    facts = read_file_facts(found, "here")
    assert facts == FileFacts(
        imzml.acquisition, (), imzml.pixel_size_um, imzml.scan_order, imzml.assumed,
        dict(imzml.counted),
    )  # fmt: skip
    assert (found.n_spectra, found.n_pixels, found.x, found.y) == (3, 3, (3, 4), (7, 8))
    assert found.polarity == "positive"


def test_head__of_an_instrument_may_say_little():
    said = {"mode": "processed", "mz_dtype": "float64", "intensity_dtype": "<f4"}
    said |= {"polarity": "negative", "analyzer": "Orbitrap"}
    head = read_head(json.dumps(said).encode(), "here")
    facts = read_file_facts(head, "here")
    assert facts.acquisition.polarity == "negative"
    assert facts.acquisition.instruments[0][0].what == "Orbitrap"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mz_dtype": ">f8"}, "mz_dtype '>f8'"),
        ({"intensity_dtype": "<f2"}, "intensity_dtype '<f2'"),
        ({"mz_dtype": 8}, "mz_dtype 8"),
        ({"mode": "other"}, "mode 'other'"),
        ({"polarity": "both"}, "polarity 'both'"),
        ({"spectra": 0}, "spectra 0"),
        ({"spectra": True}, "spectra True"),
        ({"x": [2, 1]}, "x [2, 1]"),
        ({"format_version": 2}, "format 2"),
    ],
)
def test_head__refuses(changes, said):
    value = json.dumps(json.loads(write_head(HEAD)) | changes).encode()
    with pytest.raises(BadInput) as refused:
        read_head(value, "stream: record at 7")
    assert str(refused.value).startswith("stream: record at 7: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "file", [{"polarities": []}, {"polarities": 3}, [1], "x", {"instruments": None}]
)
def test_head__refuses_facts_that_cannot_be_read(file):
    value = json.dumps(json.loads(write_head(HEAD)) | {"file": file}).encode()
    with pytest.raises(BadInput, match="file of the head"):
        read_file_facts(read_head(value, "here"), "here")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (b"3;4", bytes(8), "key '3;4'"),
        (b"3.5,4", bytes(8), "key '3.5,4'"),
        (b"3,4", bytes(7), "7 bytes"),
        (b"3,4", bytes(9), "9 bytes of spectrum 0: expected 8 for n = 0"),
        (b"3,4", bytes(4) + b"\2\0\0\0" + bytes(23), "31 bytes of spectrum 0"),
        (b"3,4", b"\xff" * 20, "20 bytes of spectrum 4294967295"),
    ],
)
def test_unpack_point__refuses(key, value, said):
    with pytest.raises(BadInput) as refused:
        unpack_point(HEAD, key, value, "here")
    assert said in str(refused.value)


def test_from_imzml__goes_on_where_it_was(dataset, tmp_path, capsys):
    records = make_records(dataset)
    url = (tmp_path / "stream").as_uri()
    with open_stream(url) as stream:  # of a replay that was killed
        stream.create(1)
        stream.append_many(0, records[:2])
    for _ in range(2):  # again, where all is done
        assert main(["streams", "from-imzml", str(dataset), url, "--quiet"]) == 0
        assert read_all(url) == (records, True)
    assert "3 spectra, sealed" in capsys.readouterr().out


def test_cut__keeps_to_a_rate(monkeypatch):
    clock = SimpleNamespace(s=7.0)

    def sleep(s):
        clock.s += s

    monkeypatch.setattr(from_imzml.time, "monotonic", lambda: clock.s)
    monkeypatch.setattr(from_imzml.time, "sleep", sleep)
    sent = []
    for batch in from_imzml.cut(iter(range(9)), 0.5):
        sent += [(point, clock.s) for point in batch]
        clock.s += 5.0 * (batch[-1] == 4)  # a writer that was held up
    points, times = zip(*sent, strict=True)
    assert points == tuple(range(9))
    npt.assert_allclose(times, [9, 11, 13, 15, 17, 22, 22, 23, 25])


def test_from_imzml__refuses_the_stream_of_another(dataset, tmp_path, capsys):
    url = (tmp_path / "stream").as_uri()
    with open_stream(url) as stream:
        stream.create(1)
        stream.append(0, b"line", b"text")
    assert main(["streams", "from-imzml", str(dataset), url]) == 2
    assert "holds other records" in capsys.readouterr().err
    assert read_all(url) == ([(b"line", b"text")], False)


def test_from_imzml__refuses_what_no_record_has_room_for(tmp_path, capsys):
    long = [(1, 1, np.arange(1.0, 90_001), np.ones(90_000))]
    write_imzml(tmp_path / "a.imzML", [*SPECTRA[:1], *long])
    url = (tmp_path / "stream").as_uri()
    assert main(["streams", "from-imzml", str(tmp_path / "a.imzML"), url]) == 2
    assert "spectrum 1 has 90000 peaks: expected at most 87" in capsys.readouterr().err
    assert not (tmp_path / "stream").exists()
