"""The optical image of a page: read, made small, placed, and kept beside the run."""

import io
import sys

import numpy as np
import numpy.testing as npt
import pytest
from PIL import Image

from annotation_runs import write_run
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from metabolite_annotation.program import main
from metabolite_annotation.report import optical
from metabolite_annotation.report.optical import read_optical, read_transform
from metabolite_annotation.report.page import save_report


def save_image(path, width=64, height=60, mode="RGB", **more):
    """Write a picture that is dark on its left and bright on its right."""
    ramp = np.broadcast_to(np.linspace(0, 1, width), (height, width))
    dtype, top = (np.uint16, 40_000) if mode == "I;16" else (np.uint8, 255)
    grey = (ramp * top).astype(dtype)
    image = Image.fromarray(grey)
    (image if mode == "I;16" else image.convert(mode)).save(path, **more)
    return path


def read_jpeg(found):
    return np.asarray(Image.open(io.BytesIO(found.jpeg)).convert("L"), int)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("x.png", "RGB"),
        ("x.png", "P"),
        ("x.png", "1"),
        ("x.jpg", "L"),
        ("x.jpg", "CMYK"),
        ("x.tif", "I;16"),
        ("x.tif", "RGB"),
    ],
)
def test_read_optical__of_every_kind(tmp_path, name, mode):
    found = read_optical(save_image(tmp_path / name, mode=mode), None)
    assert (found.width, found.height, found.transform) == (64, 60, None)
    grey = read_jpeg(found)
    assert grey[:, :6].mean() < 40
    assert grey[:, -6:].mean() > 215


def test_read_optical__white_where_it_is_transparent(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "x.png")
    assert (read_jpeg(read_optical(tmp_path / "x.png", None)) > 250).all()


def test_read_optical__upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was on its side
    path = save_image(tmp_path / "x.jpg", exif=turned)
    found = read_optical(path, None)
    assert (found.width, found.height) == (60, 64)


def test_read_optical__made_small(tmp_path, monkeypatch):
    monkeypatch.setattr(optical, "LONGEST", 50)
    path = save_image(tmp_path / "x.png", 400, 200)
    found = read_optical(path, (0.1, 0.02, -0.03, 0.2, 5.0, 7.0))
    assert (found.width, found.height) == (50, 25)
    npt.assert_allclose(found.transform, (0.8, 0.16, -0.24, 1.6, 5, 7))


def test_encode__at_most_so_many_bytes(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    picture = Image.fromarray(noise)
    whole = len(optical.encode(picture))
    monkeypatch.setattr(optical, "MOST_BYTES", whole // 2)
    assert len(optical.encode(picture)) <= whole // 2


def test_read_transform__of_metaspace_goes_the_other_way():
    numbers = (3.0, -0.5, 40.0, 0.6, 2.5, 11.0, 0.0, 0.0, 1.0)
    a, b, c, d, e, f = read_transform(numbers)
    there = np.array([[*numbers[:3]], [*numbers[3:6]], [0, 0, 1]])
    for ion in ((0.0, 0.0, 1.0), (10.0, 4.0, 1.0)):
        x, y, _ = there @ ion
        npt.assert_allclose((a * x + c * y + e, b * x + d * y + f), ion[:2], atol=1e-9)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ("1,2,3", "expected a,b,c,d,e,f"),
        ("1,0,0,1,0,x", "transform value"),
        ("1,0,0,1,0,nan", "expected a,b,c,d,e,f"),
        ("1,2,2,4,0,0", "can be inverted"),
        ("1,0,0,0,1,0,0.1,0,1", "last row is 0, 0, 1"),
    ],
)
def test_report__transform_that_cannot_be(tmp_path, capsys, numbers, said):
    write_run(tmp_path / "run", rows=2)
    path = save_image(tmp_path / "x.png")
    words = ["--optical", str(path), f"--optical-transform={numbers}"]
    assert main_code(["report", str(tmp_path / "run"), *words]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1


def main_code(argv):
    try:
        return main(argv)
    except SystemExit as end:
        return end.code


def test_report__transform_without_an_image(tmp_path, capsys):
    write_run(tmp_path, rows=2)
    assert main(["report", str(tmp_path), "--optical-transform", "-1,0,0,1,0,0"]) == 2
    assert "expected --optical with it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"", "cannot be read: expected JPEG, PNG or TIFF"),
        (b"%PDF-1.4", "cannot be read: expected JPEG, PNG or TIFF"),
        ("cut", "cannot be read"),
    ],
)
def test_read_optical__refuses(tmp_path, content, said):
    path = tmp_path / "x.png"
    if content == "cut":
        content = save_image(path).read_bytes()[:90]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=said) as caught:
        read_optical(path, None)
    assert "\n" not in str(caught.value)


def test_read_optical__too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(optical, "MOST_PIXELS", 100)
    with pytest.raises(BadInput, match="64 x 60 pixels: expected at most 100"):
        read_optical(save_image(tmp_path / "x.png"), None)


def test_read_optical__without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BadInput, match=r"hpc_connector\[optical\]"):
        read_optical(tmp_path / "x.png", None)


def test_report__keeps_the_optical_image(tmp_path, open_page, monkeypatch):
    run = write_run(tmp_path / "run", rows=3)
    path = save_image(tmp_path / "x.png", 128, 120)
    given = ["--optical", str(path), "--optical-transform", "0.25,0,0,0.25,-1,2"]
    assert main(["report", str(run), *given, "--pixel-size", "50,40"]) == 0
    assert {"page.json", "optical.jpg"} <= set(read_manifest(run)["outputs"])
    page = open_page(save_report(run), "fdr=1")
    found = page.evaluate("data.optical")
    assert found["transform"] == [0.25, 0, 0, 0.25, -1, 2]
    assert found["placed"]
    size = "new Promise(d => { const i = new Image(); i.onload = () => "
    size += "d([i.naturalWidth, i.naturalHeight]); i.src = data.optical.uri; })"
    assert page.evaluate(size) == [128, 120]
    assert page.evaluate("data.box.pixel_um") == [50, 40]
    monkeypatch.setattr("metabolite_annotation.report.images.LONGEST", 16)
    smaller = open_page(save_report(run), "fdr=1").evaluate("data.optical.transform")
    assert smaller == [0.125, 0, 0, 0.125, -0.5, 1]


def test_report__lays_the_image_over_all_where_no_place_is_given(tmp_path, open_page):
    run = write_run(tmp_path / "run", rows=3)
    path = save_image(tmp_path / "x.png", 128, 120)
    assert main(["report", str(run), "--optical", str(path)]) == 0
    found = open_page(run / "report.html", "fdr=1").evaluate("data.optical")
    assert found["transform"] == [0.25, 0, 0, 0.25, 0, 0]
    assert not found["placed"]


def test_report__page_json_that_is_damaged(tmp_path):
    run = write_run(tmp_path, rows=2)
    (run / "page.json").write_text('{"format_version": 1, "optical": 5}')
    with pytest.raises(BadInput, match=r"page\.json is damaged"):
        save_report(run)
