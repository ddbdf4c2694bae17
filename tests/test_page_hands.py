"""What hands do on the page: figures for paper, drawing, places that are typed."""

import io

import numpy as np
import numpy.testing as npt
import pytest
from PIL import Image

from annotation_runs import write_run
from browser import is_wider, list_faults
from metabolite_annotation.report.page import save_report

WIDTH, HEIGHT = 2, 4  # pixels of a small image
LONGEST = 1200  # pixels of a figure, its frame apart


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the path of a page whose images have few pixels."""
    out = write_run(tmp_path_factory.mktemp("run"), rows=3, width=WIDTH, height=HEIGHT)
    return save_report(out)


def save_figure(page):
    page.locator("#download").evaluate("element => element.open = true")
    with page.expect_download() as begun:
        page.click("#save-png")
    content = begun.value.path().read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        image.load()  # which checks the sum of each chunk
        return image.info, np.asarray(image.convert("L"))


def count_rows_of_text(pixels):
    """Return how many blocks of rows have ink, and how many pixels the largest has."""
    inked = np.flatnonzero((pixels < 128).any(axis=1))
    blocks = np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1)
    return len(blocks), max(map(len, blocks))


def test_figure__of_few_pixels_is_large_and_says_its_size(small, open_page):
    page = open_page(small, "fdr=1")
    info, pixels = save_figure(page)
    assert info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert pixels.shape[0] > LONGEST
    page.fill("#downloads [name=times]", "12")
    _, pixels = save_figure(page)
    unit, left = 12, 12 + 12 * WIDTH + 12  # of the frame; where the colour bar begins
    labels = pixels[: -3 * unit, left + 19 :][int(4.3 * unit) - 8 :]
    n_labels, most = count_rows_of_text(labels)
    assert n_labels >= 2
    assert most <= unit  # none runs into another


def test_drawing__is_told_over_the_image_and_leads_to_the_table(small, open_page):
    page = open_page(small, "fdr=1")
    page.click("#draw-rectangle")
    said = page.locator("#drawing-said")
    assert "Drag from corner to corner" in said.inner_text()
    box, image = said.bounding_box(), page.locator("#ion-image").bounding_box()
    assert 0 <= box["y"] == pytest.approx(image["y"], abs=1)
    middle = image["x"] + image["width"] / 2, image["y"] + image["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 60)
    page.mouse.up()
    page.wait_for_selector("#region-table tbody tr")
    assert said.is_hidden()
    table = page.locator("#region-table").bounding_box()
    assert 0 < table["y"] < 900 - table["height"]


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (500, True)])
def test_places__are_typed(small, open_page, tmp_path, width, dark):
    page = open_page(small, "fdr=1", width=width, dark=dark)
    Image.new("RGB", (40, 80), "white").save(tmp_path / "optical.png")
    page.locator("#optical").evaluate("element => element.open = true")
    page.set_input_files("#optical-form [name=file]", tmp_path / "optical.png")
    page.click("#placing summary")
    names = ("fromX", "fromY", "toX", "toY")
    for place in ((0, 0, 0, 0), (40, 0, WIDTH, 0), (0, 80, 0, HEIGHT)):
        for name, value in zip(names, place, strict=True):
            page.fill(f"#place-numbers [name={name}]", str(value))
        page.keyboard.press("Enter")
    found = page.evaluate("getTransform()")
    npt.assert_allclose(found, [0.05, 0, 0, 0.05, 0, 0], atol=1e-12)
    page.wait_for_function("location.hash.includes('place=0%2C0%2C0%2C0%3B40')")
    page.keyboard.press("Enter")  # of fields that are empty nothing is made
    assert page.evaluate("listPlaced().length") == 3
    assert list_faults(page) == []
    assert not is_wider(page)
