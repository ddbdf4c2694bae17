"""The dataset's part of report.html, driven as a user drives it."""

import re
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

import metabolite_annotation.report
from annotation_runs import write_run
from browser import is_wider, list_faults
from metabolite_annotation.report.page import SCRIPTS, save_report
from metabolite_annotation.report.run_file import read_annotation_run
from metabolite_annotation.report.summary import count_by_adduct

VIEW = Path(metabolite_annotation.report.__file__).parent / "view"


def add_spectrum(out):
    """Give a run a mean spectrum: noise, and a peak at each annotation."""
    with h5py.File(out / "results.h5", "r+") as file:
        known = file["annotations/mz"][:]
        noise = np.linspace(100, 1100, 15_000)
        mz = np.unique(np.concatenate([known, noise]))
        intensity = np.where(np.isin(mz, known), 500 + mz, 3)
        file["spectrum/mz"] = mz
        file["spectrum/intensity"] = intensity.astype(np.float32)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run of two databases, with its page."""
    out = tmp_path_factory.mktemp("dataset")
    write_run(out, databases=("core", "lipids"))
    save_report(add_spectrum(out))
    return out


@pytest.fixture(scope="module")
def rows(run):
    return read_annotation_run(run).rows


def find_marks(page):
    return page.locator("#spectrum .mark")


FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def get_range(page):
    page.evaluate(FRAMES)  # a chart is drawn with the next frame
    said = page.locator("#spectrum-said").inner_text()
    return [float(x) for x in re.findall(r"\d+\.\d+", said)]


def drag(page, first, last):
    """Draw over a part of the spectrum, ends as shares of its width."""
    box = page.locator("#spectrum").bounding_box()
    y = box["y"] + 40
    page.mouse.move(box["x"] + first * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (first + last) / 2 * box["width"], y)
    page.mouse.move(box["x"] + last * box["width"], y)
    page.mouse.up()


def test_spectrum__is_zoomed_by_drag_and_its_marks_open_annotations(
    run, rows, open_page
):
    page = open_page(run / "report.html")
    page.locator("#spectrum").scroll_into_view_if_needed()
    page.locator("#spectrum svg").wait_for()
    ions = set(rows["image"][rows["fdr_level"] <= 0.1].tolist())
    assert find_marks(page).count() == len(ions)
    drag(page, 0.6, 0.7)
    page.wait_for_function("state.spectrum !== ''")
    low, high = get_range(page)
    assert 0 < high - low < 150
    page.wait_for_function("document.querySelectorAll('#spectrum .mark').length < 200")
    inside = rows["mz"][[rows["image"].tolist().index(ion) for ion in ions]]
    n = np.count_nonzero((inside > low) & (inside < high))
    assert abs(find_marks(page).count() - n) <= 1
    assert f"spectrum={page.evaluate('state.spectrum')}".replace(
        ",", "%2C"
    ) in page.evaluate("location.href")
    open_mark(page)
    page.locator("#spectrum-whole").click()
    page.wait_for_function("state.spectrum === ''")


def open_mark(page):
    """Click a mark that is not chosen; it is that annotation which is then shown."""
    mark = page.locator("#spectrum .mark:not(.picked)").last
    name = mark.locator("title").text_content().split(",")[0]
    box = mark.locator("path").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator("#chosen-title h3").inner_text().replace(" ", "") == (
        name.replace(" ", "")
    )
    assert page.locator("#chosen-title").is_visible()


def test_spectrum__follows_keys_filters_and_the_fragment(run, rows, open_page):
    mz = float(rows["mz"][0])
    fragment = f"spectrum={mz - 2},{mz + 2}&fdr=0.05"
    page = open_page(run / "report.html", fragment)
    page.locator("#spectrum").focus()
    page.locator("#spectrum svg").wait_for()
    assert get_range(page) == pytest.approx([mz - 2, mz + 2], abs=0.006)
    page.keyboard.press("+")
    page.wait_for_function("document.querySelector('#spectrum-said')")
    assert page.evaluate("state.spectrum") == f"{mz - 1:.3f},{mz + 1:.3f}"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.spectrum") == f"{mz - 0.5:.3f},{mz + 1.5:.3f}"
    page.keyboard.press("0")
    assert page.evaluate("state.spectrum") == ""
    page.locator("#spectrum-chosen").click()
    low, high = (float(x) for x in page.evaluate("state.spectrum").split(","))
    assert low < mz < high < low + 7


def test_calibration__shows_what_is_listed_and_opens_it(run, rows, open_page):
    page = open_page(run / "report.html", "fdr=0.05&database=core")
    page.locator("#calibration").scroll_into_view_if_needed()
    page.locator("#calibration circle").first.wait_for()
    is_listed = (rows["fdr_level"] <= 0.05) & (rows["database"] == "core")
    assert page.locator("#calibration circle").count() == is_listed.sum()
    dot = page.locator("#calibration circle:not(.picked)").last
    row = int(dot.get_attribute("data-row"))
    dot.dispatch_event("click")
    assert page.evaluate("state.ion") == str(row)
    page.locator(f"#calibration circle.picked[data-row='{row}']").wait_for()


def test_counts__are_those_of_the_run_and_list_what_they_count(run, rows, open_page):
    counts = count_by_adduct(read_annotation_run(run))
    assert set(counts) == {"core", "lipids"}
    page = open_page(run / "report.html")
    for name, adduct, limit in (("core", "+Na", 0.1), ("lipids", "+K", 0.05)):
        known = (rows["database"] == name) & (rows["adduct"] == adduct)
        n = int((known & (rows["fdr_level"] <= limit)).sum())
        assert counts[name][adduct][limit] == n > 0
        button = page.locator(
            f"button[data-database={name}][data-adduct='{adduct}'][data-level='{limit}']"
        )
        assert button.inner_text() == f"{n:,}"
        button.click()
        assert page.locator("#count").inner_text().startswith(f"{n} of ")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (500, True)])
def test_dataset__fits_and_has_no_serious_fault(run, open_page, width, dark):
    page = open_page(run / "report.html", width=width, dark=dark)
    page.locator("#dataset").scroll_into_view_if_needed()
    page.locator("#calibration svg").wait_for()
    page.wait_for_function("document.getElementById('tic').width > 20")
    assert "at most" in page.locator("#tic-said").inner_text()
    assert not is_wider(page)
    assert list_faults(page) == []


def test_dataset__without_a_spectrum_or_an_annotation(tmp_path, open_page):
    page = open_page(save_report(write_run(tmp_path / "old", rows=3)))
    assert page.locator("#spectrum").is_hidden()
    page = open_page(save_report(add_spectrum(write_run(tmp_path / "none", rows=0))))
    page.locator("#spectrum svg").wait_for()
    assert page.locator("#calibration").count() == 0


def test_scripts__share_no_name():
    """A function of two scripts would silently be the last one's."""
    names = Counter(
        name
        for script in SCRIPTS
        for name in re.findall(
            r"^(?:async )?(?:function|const|let|class) (\w+)",
            (VIEW / f"{script}.js").read_text(),
            re.MULTILINE,
        )
    )
    assert [name for name, n in names.items() if n > 1] == []
