"""Regions: which pixels are in them, the intensities there, and drawing on the page."""

import csv
import json
from fractions import Fraction

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_runs import write_run
from browser import list_faults
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from metabolite_annotation.program import main
from metabolite_annotation.report.page import save_report
from metabolite_annotation.report.regions import (
    Region,
    find_inside,
    find_pixels,
    make_geojson,
    measure,
    read_regions,
)
from metabolite_annotation.report.run_file import read_annotation_run, read_images

SQUARE = [[2, 2], [20, 2], [20, 25], [2, 25], [2, 2]]
HOLE = [[5, 5], [10, 5], [10, 10], [5, 10], [5, 5]]


def save_geojson(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def make_feature(name, *coordinates, kind="Polygon"):
    properties = {} if name is None else {"name": name}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def is_inside_naive(rings, x, y):
    """Return whether a ray from a point to the right crosses an odd number of edges."""
    crossings = 0
    for ring in rings:
        for k, (x1, y1) in enumerate(ring):
            x0, y0 = ring[k - 1]
            if min(y0, y1) <= y < max(y0, y1):
                share = (Fraction(y) - Fraction(y0)) / (Fraction(y1) - Fraction(y0))
                crossings += Fraction(x0) + share * Fraction(x1 - x0) > x
    return crossings % 2 == 1


quarters = st.integers(-8, 48).map(lambda n: n / 4)
rings = st.lists(st.lists(st.tuples(quarters, quarters), min_size=3, max_size=7))


@given(rings)
def test_find_inside__agrees_with_naive(polygon):
    y, x = (axis.ravel() + 0.5 for axis in np.mgrid[:8, :9])
    expected = [
        is_inside_naive(polygon, *at) for at in zip(x.tolist(), y.tolist(), strict=True)
    ]
    polygon = [[list(point) for point in ring] for ring in polygon]
    npt.assert_array_equal(find_inside(polygon, x, y), expected)


def test_find_inside__parts_side_by_side_share_no_pixel():
    y, x = (axis.ravel() + 0.5 for axis in np.mgrid[:6, :6])
    cuts = [[[0, 0], [2.5, 0], [2.5, 6], [0, 6]], [[2.5, 0], [6, 0], [6, 6], [2.5, 6]]]
    n = sum(find_inside([ring], x, y).astype(int) for ring in cuts)
    npt.assert_array_equal(n, 1)


@given(st.floats(0, 9), st.floats(0, 9))
def test_find_inside__parts_of_a_slanting_cut_share_no_pixel(top, bottom):
    y, x = (axis.ravel() + 0.5 for axis in np.mgrid[:6, :9])
    left = [[0, 0], [top, 0], [bottom, 6], [0, 6]]
    right = [[9, 0], [9, 6], [bottom, 6], [top, 0]]
    n = sum(find_inside([ring], x, y).astype(int) for ring in (left, right))
    npt.assert_array_equal(n, 1)


def test_find_pixels__holes_and_parts():
    y, x = (axis.ravel() for axis in np.mgrid[:30, :40])
    more = [[[30, 0], [32, 0], [32, 1], [30, 1]]]
    is_in = find_pixels(Region("a", [[SQUARE, HOLE], more]), x, y)
    assert is_in.sum() == 18 * 23 - 25 + 2
    assert not is_in[(x == 7) & (y == 7)].any()


def test_measure__without_a_pixel_or_signal():
    nothing = np.array([], np.int64), np.array([], np.float32)
    assert np.isnan(measure(np.zeros(4, bool), *nothing)[:2]).all()
    assert measure(np.ones(4, bool), *nothing) == (0, 0, 0)


def test_report__regions_tsv_is_exact(tmp_path, capsys):
    run = read_annotation_run(write_run(tmp_path / "run", rows=5))
    path = save_geojson(
        tmp_path / "r.geojson",
        make_feature("tumour", SQUARE, HOLE),
        make_feature("tumour", [[24, 10], [30, 10], [27, 20]]),
        make_feature(None, [[0, 0], [32, 0], [32, 30], [0, 30]]),
    )
    assert main(["report", str(tmp_path / "run"), "--regions", str(path)]) == 0
    with open(tmp_path / "run" / "regions.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [row["region"] for row in rows] == ["tumour", "Region 3"] * 5
    x, y = run.pixels["x"], run.pixels["y"]
    in_square = (x >= 2) & (x < 20) & (y >= 2) & (y < 25)
    is_in = in_square & ~((x >= 5) & (x < 10) & (y >= 5) & (y < 10))
    is_in |= [
        is_inside_naive([[(24, 10), (30, 10), (27, 20)]], *at)
        for at in zip((x + 0.5).tolist(), (y + 0.5).tolist(), strict=True)
    ]
    ions = run.rows["image"].tolist()
    for n, found in enumerate(read_images(run, ions)):
        dense = np.zeros(len(x))
        dense[found.images[0][0]] = found.images[0][1]
        for row, mask in zip(
            rows[2 * n :], (is_in, np.ones(len(x), bool)), strict=False
        ):
            assert row["formula"] == run.rows["formula"][n]
            assert int(row["pixels"]) == mask.sum()
            assert int(row["n_pixels"]) == (dense[mask] > 0).sum()
            assert float(row["mean"]) == pytest.approx(dense[mask].mean(), rel=1e-9)
            assert float(row["median"]) == pytest.approx(np.median(dense[mask]))
    outputs = read_manifest(tmp_path / "run")["outputs"]
    assert {"regions.tsv", "regions.geojson"} <= set(outputs)
    kept = read_regions(tmp_path / "run" / "regions.geojson")
    assert make_geojson(kept) == make_geojson(read_regions(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ("{", "is no GeoJSON"),
        ("\udcff", "is no GeoJSON"),
        ("[]", "has 0 regions"),
        ("3", "has 0 regions"),
        ('{"type": "FeatureCollection", "features": []}', "has 0 regions"),
        ('{"type": "Point", "coordinates": [1, 2]}', "region 1 is Point"),
        ('[{"type": "Feature", "geometry": null}]', "region 1 is None"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}', "three or more"),
        (
            '{"type": "Polygon", "coordinates": [[[1, 2], [3, 4], [5]]]}',
            "three or more",
        ),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, "a"], [5, 6]]]}', "three"),
        ('{"type": "Polygon", "coordinates": 5}', "region 1 has other coordinates"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, NaN], [5, 6]]]}', "three"),
    ],
)
def test_read_regions__refuses(tmp_path, text, said):
    path = tmp_path / "r.geojson"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadInput, match=said) as caught:
        read_regions(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_read_regions__of_qupath(tmp_path):
    feature = make_feature(None, SQUARE)
    feature["properties"] = {
        "objectType": "annotation",
        "classification": {"name": "T"},
    }
    path = tmp_path / "q.geojson"
    path.write_text("\ufeff" + json.dumps([feature]))
    assert [region.name for region in read_regions(path)] == ["T"]


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """Return the page of a run with a given region."""
    out = write_run(tmp_path_factory.mktemp("run"), rows=4)
    path = save_geojson(out.parent / "r.geojson", make_feature("given <b>", SQUARE))
    assert main(["report", str(out), "--regions", str(path)]) == 0
    return out / "report.html"


def find_row(page, number):
    """Return the row of a region, which is made once images are unpacked."""
    return page.locator("#region-table tbody tr").nth(number)


def get_fragment(page):
    """Return the fragment of the address, once the state is written to it."""
    page.wait_for_function("!settling")
    return page.evaluate("location.hash.slice(1)")


def list_regions(page):
    rows = page.locator("#region-table tbody tr").all()
    names = [row.locator("input[type=text]").input_value() for row in rows]
    return [
        (name, row.locator("td").first.inner_text())
        for name, row in zip(names, rows, strict=True)
    ]


def count_pixels(path, ring):
    run = read_annotation_run(path.parent)
    return int(
        find_pixels(Region("", [[ring]]), run.pixels["x"], run.pixels["y"]).sum()
    )


def click_at(page, x, y):
    """Click on the ion image at a pixel."""
    where = "(([x, y]) => { const r = find('ion-image').getBoundingClientRect();"
    where += f"return [r.x + x, r.y + y]; }})(toRegionScreen({x}, {y}))"
    page.mouse.click(*page.evaluate(where))


def test_regions__drawn_on_the_image(page_path, open_page):
    page = open_page(page_path, "fdr=1&ion=2")
    ring = [[10, 10], [22, 10], [22, 24]]
    find_row(page, 0).wait_for()
    page.locator("#draw-polygon").click()
    page.wait_for_function("ionShown.parts.length > 0 && !ionStage.asked")
    for corner in [*ring, ring[0]]:
        click_at(page, *corner)
    find_row(page, 1).wait_for()
    assert page.locator("#draw-polygon").get_attribute("aria-pressed") == "false"
    drawn = page.evaluate("regions[1].polygons[0][0]")
    npt.assert_allclose(drawn, ring, atol=0.2)
    expected = count_pixels(page_path, drawn)
    given = count_pixels(page_path, SQUARE)
    assert list_regions(page) == [
        ("given <b>", str(given)),
        ("Region 1", str(expected)),
    ]
    assert "log₂" in page.locator("#region-fold").inner_text()
    assert page.locator("#region-plot circle").count() == 2
    again = open_page(page_path, get_fragment(page))
    find_row(again, 1).wait_for()
    assert list_regions(again) == list_regions(page)
    find_row(again, 1).locator("button").click()
    find_row(again, 1).wait_for(state="detached")
    assert len(list_regions(again)) == 1
    assert "regions" not in get_fragment(again)


def test_regions__by_numbers_and_to_files(page_path, open_page):
    page = open_page(page_path, "fdr=1")
    page.locator("#regions details summary").click()
    for name, value in {"x0": 3, "y0": 4, "x1": 12, "y1": 20}.items():
        page.locator(f"#region-numbers [name={name}]").fill(str(value))
    page.keyboard.press("Enter")
    find_row(page, 1).locator("input[type=text]").fill("mine; a:b,c")
    page.keyboard.press("Tab")
    page.get_by_label("Delete mine; a:b,c").wait_for()
    assert list_faults(page) == []
    with page.expect_download() as download:
        page.locator("#save-geojson").click()
    found = json.loads(download.value.path().read_text())
    assert [f["properties"]["name"] for f in found["features"]][1] == "mine; a:b,c"
    (page_path.parent / "own.geojson").write_text(json.dumps(found))
    regions = read_regions(page_path.parent / "own.geojson")
    with page.expect_download() as download:
        page.locator("#save-regions").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    run = read_annotation_run(page_path.parent)
    x, y = run.pixels["x"], run.pixels["y"]
    masks = [find_pixels(region, x, y) for region in regions]
    for n, found in enumerate(read_images(run, run.rows["image"].tolist())):
        for k, mask in enumerate(masks):
            mean, median, _ = measure(mask, *found.images[0])
            row = rows[2 * n + k]
            assert row["region"] == regions[k].name
            assert float(row["mean"]) == pytest.approx(mean, rel=1e-3)
            assert float(row["median"]) == pytest.approx(
                median, rel=1e-3, abs=1e-3 * mean
            )
    again = open_page(page_path, get_fragment(page))
    find_row(again, 1).wait_for()
    assert list_regions(again)[1][0] == "mine; a:b,c"


def test_regions__say_that_images_are_reduced(tmp_path, monkeypatch):
    out = write_run(tmp_path, rows=2)
    assert "these figures are close ones" not in save_report(out).read_text()
    monkeypatch.setattr("metabolite_annotation.report.images.LONGEST", 16)
    assert "these figures are close ones" in save_report(out).read_text()
