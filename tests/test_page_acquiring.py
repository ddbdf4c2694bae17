"""The page of a growing result: what it says, and what it keeps as it is reloaded."""

import json

import pytest

from annotation_runs import write_run
from browser import is_wider, list_faults
from metabolite_annotation.report.acquiring import estimate_left, list_runs, say_pixels
from metabolite_annotation.report.page import save_report

TOLD = {
    "spectra": 500,
    "of_spectra": 2000,
    "pixels": 500,
    "of_pixels": 2000,
    "since": "2026-01-02T03:00:00+00:00",
    "until": "2026-01-02T03:00:50+00:00",
    "final": False,
    "every_s": 60.0,
}
HELD = "touched = Infinity"  # in somebody's hands, so that it is not loaded again


def write_growing(folder, told, **given):
    """Write a run that is still growing, and its page; return that."""
    out = write_run(folder, **given)
    path = out / "manifest.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"acquired": told}))
    return save_report(out)


def test_page__says_how_much_it_shows(tmp_path):
    page = write_growing(tmp_path, TOLD, rows=3).read_text()
    assert "<b>pixels 500 of 2000, not final</b>" in page
    assert '<progress max="100" value="25.0">25 %</progress>' in page
    assert "about 2 min 30 s to go" in page
    assert "location.reload()" in page


def test_page__of_unknown_length_says_what_is_known(tmp_path):
    told = TOLD | {"of_spectra": None, "of_pixels": None}
    page = write_growing(tmp_path, told, rows=3).read_text()
    assert "<b>pixels 500, not final</b>" in page
    assert "<progress" not in page
    assert "to go" not in page


def test_page__that_is_final_has_none_of_it(tmp_path):
    page = write_growing(tmp_path, TOLD | {"final": True}, rows=3).read_bytes()
    assert page == save_report(write_run(tmp_path, rows=3)).read_bytes()
    assert b"acquiring" not in page


def test_estimate_left__of_what_has_come():
    assert estimate_left(TOLD) == pytest.approx(50 / 499 * 1500)
    assert estimate_left(TOLD | {"until": TOLD["since"]}) is None


def test_list_runs__draws_rows(tmp_path):
    import numpy as np

    there = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]], bool)
    drawn = list_runs(there, 2.0)
    assert drawn == ("M0.0 0.0h4.0v2.0H0.0zM6.0 0.0h2.0v2.0H6.0zM2.0 4.0h4.0v2.0H2.0z")


def test_say_pixels__as_the_log_does():
    assert say_pixels({"pixels": 812, "of_pixels": 2184}) == (
        "pixels 812 of 2184, not final"
    )


@pytest.mark.parametrize(
    ("width", "dark", "final"), [(1440, False, False), (500, True, True)]
)
def test_page__keeps_annotations_by_name(tmp_path, open_page, width, dark, final):
    chosen = "nameOf(Number(state.{}))"
    path = write_growing(tmp_path, TOLD, rows=60)
    page = open_page(
        path, "fdr=1&ion=40&overlay=40&red=40&blue=7", width=width, dark=dark
    )
    page.evaluate(HELD)
    names = [page.evaluate(chosen.format(name)) for name in ("ion", "red", "blue")]
    assert not is_wider(page)
    assert list_faults(page) == []
    told = TOLD | {"final": final}
    more = {"rows": 60, "databases": ("new", "core")}
    write_growing(tmp_path, told, **more)  # now they stand elsewhere
    page.evaluate("window.isOld = true; loadAgain()")
    page.wait_for_function("!window.isOld && document.readyState === 'complete'")
    page.evaluate(HELD)
    found = [page.evaluate(chosen.format(name)) for name in ("ion", "red", "blue")]
    assert found == names
    assert page.evaluate("state.ion") != "40"
    assert page.evaluate("isOverlay()")
    assert "named" not in page.url
