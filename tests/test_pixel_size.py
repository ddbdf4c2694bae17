"""The size of a pixel: what imzML files say of it, and options."""

from pathlib import Path

import h5py
import pytest

from hpc_connector.loader.spectra.header import parse_header
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.loader.spectra.pixel_size import get_pixel_size
from hpc_connector.manifest import read_manifest
from metabolite_annotation.program import main

DATA = Path(__file__).parent / "data"
UM = 'unitAccession="UO:0000017" unitName="micrometer"'
MM = 'unitAccession="UO:0000016" unitName="millimeter"'
SIZE, COUNT, EXTENT = "IMS:1000046", "IMS:1000042", "IMS:1000044"


def param(accession, value, more=UM, name=""):
    return f'<cvParam accession="{accession}" name="{name}" value="{value}" {more}/>'


def read(*params):
    settings = f"<scanSettings>{''.join(params)}</scanSettings>"
    return get_pixel_size("x", parse_header("x", f"<mzML>{settings}</mzML>".encode()))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([param(SIZE, "100.0"), param("IMS:1000047", "50")], (100, 50)),
        ([param(SIZE, 20)], (20, 20)),
        ([param(SIZE, 20, "")], (20, 20)),
        ([param(SIZE, 0.02, MM)], (20, 20)),
        ([param(SIZE, 4500, 'unitAccession="UO:0000018"')], (4.5, 4.5)),
        ([param(SIZE, 25, 'unitName="microns"')], (25, 25)),
        ([param(SIZE, 25, 'unitName="micrometre"')], (25, 25)),
        ([param(SIZE, 20), param(SIZE, 20)], (20, 20)),
        ([param(SIZE, 20), param(SIZE, 50)], None),
        ([param(SIZE, 20, 'unitAccession="UO:0000010" unitName="second"')], None),
        ([param(SIZE, 0)], None),
        ([param(SIZE, "-5")], None),
        ([param(SIZE, "nan")], None),
        ([param(SIZE, "")], None),
        ([param("IMS:1000047", 50)], None),
        ([], None),
    ],
)
def test_get_pixel_size__of_lengths(params, expected):
    size, assumed = read(*params)
    assert size == (expected and pytest.approx(expected))
    assert assumed == ()


@pytest.mark.parametrize(
    "params",
    [
        [param(SIZE, 2500, name="pixel area")],
        [param(SIZE, 2500, 'unitName="square micrometer"')],
        [param(SIZE, 2500), param(COUNT, 40, ""), param(EXTENT, 2000)],
    ],
)
def test_get_pixel_size__of_an_area(params):
    size, assumed = read(*params)
    assert size == (50, 50)
    assert "area of a pixel" in str(assumed[0])
    assert "--pixel-size" in str(assumed[0])


@pytest.mark.parametrize("extent", ["4000", "8000"])
def test_get_pixel_size__of_a_length_beside_an_image(extent):
    found = read(param(SIZE, 100), param(COUNT, 40, ""), param(EXTENT, extent))
    assert found == ((100, 100), ())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Example_Continuous", (100, 100)), ("Untreated_3_434_tiny", None)],
)
def test_read_imzml__gives_the_size_of_a_pixel(name, expected):
    assert read_imzml(str(DATA / "imzml" / f"{name}.imzML")).pixel_size_um == expected


@pytest.mark.parametrize(
    ("words", "expected", "source"),
    [
        ([], [100, 100], "the file"),
        (["--pixel-size", "20,30"], [20, 30], "--pixel-size"),
    ],
)
def test_run__keeps_the_size_of_a_pixel(tmp_path, words, expected, source):
    (tmp_path / "gold.tsv").write_text("id\tname\tformula\n1\tgold\tAu5\n")
    words += ["--database", str(tmp_path / "gold.tsv"), "--profile", "as-is", "--quiet"]
    words += ["--out", str(tmp_path / "run"), "--pattern-cache", str(tmp_path / "c")]
    assert main(["run", str(DATA / "imzml" / "Example_Continuous.imzML"), *words]) == 0
    dataset = read_manifest(tmp_path / "run")["dataset"]
    assert dataset["pixel_size_um"] == expected
    assert dataset["pixel_size_from"] == source
    with h5py.File(tmp_path / "run" / "results.h5") as file:
        assert file.attrs["pixel_size_um"].tolist() == expected
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"{expected[0]} × {expected[1]} µm (by {source})" in page  # noqa: RUF001
    assert "of them are in the range of the spectra" in page
